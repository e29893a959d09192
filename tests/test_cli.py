"""The command line as a user meets it: what it prints, and one sentence with exit code 2 for every bad input."""

import errno
import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
from dot_face import draw
from facequery import __version__
from facequery.cli import main
from facequery.cli.options import parse_frames
from facequery.errors import UserError


@pytest.fixture
def fails(capsys):
    """Runs a command that must end with exit code 2 and one line on stderr; returns the line."""

    def run(*words: object) -> str:
        with pytest.raises(SystemExit) as stop:
            main([str(word) for word in words])
        assert stop.value.code == 2
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("facequery:")]
        assert len(lines) == 1
        return lines[0]

    return run


def succeeds(*words: object) -> None:
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    assert not stop.value.code


def layout_file(path, **changes):
    document = {
        "schema": "facequery.layout",
        "version": 1,
        "name": "own",
        "positions": [[0, 0.0, 0.03], [0.01, 0, 0.03]],
    }
    path.write_text(json.dumps(document | changes), encoding="utf-8")
    return path


def test_version_is_told_without_loading_pytorch():
    code = """
import sys
from facequery.cli import main
try:
    main(["--version"])
finally:
    print("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split("\n")[:2] == [f"facequery {__version__}", "False"]


def test_bad_input_through_the_real_command(tmp_path):
    command = [sys.executable, "-m", "facequery", "track", str(tmp_path / "no.mov"), "--out", str(tmp_path / "job")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "no.mov" in done.stderr
    assert not (tmp_path / "job").exists()


@pytest.mark.usefixtures("networks")
class TestTrack:
    def test_a_shot_is_tracked_and_its_files_are_named(self, sequence, job, capsys):
        succeeds("track", sequence(), "--layout", "ibug68", "--layout", "jaw", "--frames", "1002-1009", "--out", job)
        out = capsys.readouterr().out
        assert "the face is there in 8 of 8 frames" in out
        for name in ("tracks.json", "tracks.npz", "preview.mp4"):
            assert str(job / name) in out and (job / name).is_file()

    def test_the_preview_is_a_video_of_every_frame(self, sequence, job):
        import av

        succeeds("track", sequence(count=9), "--out", job)
        with av.open(str(job / "preview.mp4")) as video:
            frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
        assert len(frames) == 9
        assert frames[0].shape[0] % 2 == 0 and frames[0].shape[1] % 2 == 0

    def test_run_goes_on_with_a_job(self, sequence, job):
        succeeds("track", sequence(), "--no-preview", "--out", job)
        (job / "tracks.json").unlink()
        (job / "tracks" / "xy_0000.npy").unlink()
        succeeds("run", job)
        assert (job / "tracks.json").is_file()

    def test_no_such_file(self, fails, tmp_path, job):
        assert "no.mov" in fails("track", tmp_path / "no.mov", "--out", job)
        assert "shot.####.exr" in fails("track", tmp_path / "shot.####.exr", "--out", job)

    def test_an_empty_folder(self, fails, tmp_path, job):
        (tmp_path / "empty").mkdir()
        assert "empty" in fails("track", tmp_path / "empty", "--out", job)

    def test_a_gap_is_named_and_may_be_allowed(self, fails, sequence, tmp_path, job):
        pattern = sequence()
        (tmp_path / "plate" / "shot.1006.png").unlink()
        assert "1006" in fails("track", pattern, "--out", job)
        succeeds("track", pattern, "--allow-gaps", "--no-preview", "--out", job)

    def test_a_truncated_frame_is_named(self, fails, sequence, tmp_path, job):
        pattern = sequence()
        frame = tmp_path / "plate" / "shot.1004.png"
        frame.write_bytes(frame.read_bytes()[:-400])
        assert "1004" in fails("track", pattern, "--out", job)

    def test_a_frame_of_another_size_is_named(self, fails, sequence, tmp_path, job):
        pattern = sequence()
        cv2.imwrite(str(tmp_path / "plate" / "shot.1007.png"), np.zeros((100, 100, 3), np.uint8))
        line = fails("track", pattern, "--out", job)
        assert "1007" in line and "100 x 100" in line

    def test_malformed_layouts(self, fails, sequence, tmp_path, job):
        pattern = sequence()
        broken = tmp_path / "broken.json"
        broken.write_text("{", encoding="utf-8")
        assert "broken.json" in fails("track", pattern, "--layout", broken, "--out", job)
        triples = layout_file(tmp_path / "own.json", positions=[[0, 0]])
        assert "own.json" in fails("track", pattern, "--layout", triples, "--out", job)
        assert "nobody" in fails("track", pattern, "--layout", "nobody", "--out", job)

    def test_a_query_far_outside_the_head(self, fails, sequence, tmp_path, job):
        far = layout_file(tmp_path / "far.json", positions=[[0, 0, 0.09], [0.4, 0, 0]])
        assert "far outside the head" in fails("track", sequence(), "--layout", far, "--out", job)

    def test_no_face_in_the_shot(self, fails, sequence, job):
        assert "No face was found" in fails("track", sequence(face=False), "--out", job)

    def test_a_face_that_is_not_there(self, fails, sequence, job):
        assert "no face 3" in fails("track", sequence(), "--face", 3, "--out", job)

    def test_a_full_disk(self, fails, sequence, job, monkeypatch):
        def full(*_, **__):
            raise OSError(errno.ENOSPC, "No space left on device", "xy_0000.npy")

        monkeypatch.setattr(np, "save", full)
        assert "disk is full" in fails("track", sequence(), "--out", job)
        monkeypatch.undo()

    @pytest.mark.parametrize("what", ["preview", "npz", "json"])
    def test_a_full_disk_at_any_step(self, fails, sequence, job, monkeypatch, what):
        from facequery.pipeline import preview

        def full(*_, **__):
            raise OSError(errno.ENOSPC, "No space left on device")

        targets = {
            "preview": (preview.VideoWriter, "add"),
            "npz": (np.lib.format, "write_array"),
            "json": (json, "dumps"),
        }
        target = targets[what]
        monkeypatch.setattr(*target, full)
        assert "disk is full" in fails("track", sequence(), "--out", job)

    def test_bad_words(self, fails, sequence, tmp_path, job):
        pattern = sequence()
        assert "ear" in fails("track", pattern, "--fit", "face,ear", "--out", job)
        assert "9-3" in fails("track", pattern, "--frames", "9-3", "--out", job)
        assert "region" in fails("track", pattern, "--region", "1,2", "--out", job)
        assert "camera" in fails("track", pattern, "--camera", tmp_path / "no.json", "--out", job)
        assert "gamut" in fails("track", pattern, "--colorspace", "gamut", "--out", job)
        taken = tmp_path / "taken"
        taken.write_text("")
        assert "not a folder" in fails("track", pattern, "--out", taken)


def test_lists(capsys):
    succeeds("layouts")
    assert "ibug68" in capsys.readouterr().out


def test_other_errors_are_not_swallowed(monkeypatch, tmp_path):
    from facequery.pipeline import job

    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(job, "load_request", broken)
    with pytest.raises(ZeroDivisionError):
        main(["run", str(tmp_path)])


@pytest.mark.parametrize(
    ("text", "frames"),
    [("1001-1048", (1001, 1048)), ("7", (7, 7)), ("-5-3", (-5, 3)), ("-5--2", (-5, -2)), (None, None)],
)
def test_ranges_of_frames(text, frames):
    assert parse_frames(text) == frames


@pytest.mark.parametrize("text", ["", "a-b", "1-", "5-1", "1-2-3", "1.5"])
def test_what_is_no_range_of_frames(text):
    with pytest.raises(UserError, match="frames"):
        parse_frames(text)


def test_the_dots_are_where_they_should_be():
    """Guards the stand-in itself: a dot's centre of mass is the point it stands for."""
    from dot_face import dots, four_points, placed
    from facequery.geometry.align import apply_similarity

    found = dots(draw(5, 320, 240))
    scale, turn, move = placed(5)
    np.testing.assert_allclose(found, apply_similarity(scale, turn, move, four_points()), atol=0.05)
