"""Exports as commands and as methods of the worker: what they say and refuse, and messages that make no sense."""

import sys
from pathlib import Path

import pytest
from facequery.cli import main
from facequery.errors import UserError
from facequery.export.formats import FORMATS
from facequery.pipeline.export_methods import list_formats, request_from, write_export, write_stmaps
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "blender"))
from synthetic_job import FIRST, PLATES, write_job


class Listener:
    """Stands in for a worker's context."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def progress(self, step: str, done: int, total: int) -> None:
        assert 0 <= done <= total

    def log(self, text: str, level: str = "info") -> None:
        self.said.append(text)


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> Path:
    folder, _ = write_job(tmp_path_factory.mktemp("export") / "ein 'Plate' ü", PLATES["anamorphic"])
    return folder


def run(*words: object) -> int:
    try:
        main([str(word) for word in words])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_the_command_says_what_it_writes_and_refuses_to_overwrite(job, tmp_path, capsys):
    target = tmp_path / "a b.txt"
    assert run("export", job, "--format", "3dequalizer", "--out", target) == 0
    assert f'Writing "{target}"' in capsys.readouterr().out
    before = target.read_bytes()
    assert run("export", job, "--format", "3dequalizer", "--out", target, "--keep-hidden") == 2
    assert "would be overwritten" in capsys.readouterr().err and target.read_bytes() == before
    assert run("export", job, "--format", "3dequalizer", "--out", target, "--keep-hidden", "--overwrite") == 0
    assert f'Overwriting "{target}"' in capsys.readouterr().out and target.read_bytes() != before


def test_the_default_place_and_several_files(job, capsys):
    assert run("export", job, "--format", "after-effects", "--layout", "ibug68", "--overwrite") == 0
    folder = job / "export" / "shot.after-effects"
    assert len(list(folder.glob("*.txt"))) >= 60
    assert "... and" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--format", "maya"), "no format"),
        (("--format", "nuke-cornerpin"), "needs corners"),
        (("--format", "nuke", "--point", "ear"), "no point"),
        (("--format", "nuke", "--layout", "wflw98"), "no layout"),
        (("--format", "nuke", "--view", "2"), "no view 2"),
        (("--format", "nuke", "--out", "a.exe"), "does not end in .nk"),
        (("--format", "arkit-csv", "--timecode", "noon"), "no timecode"),
        (("--format", "nuke-cornerpin", "--quad", "a,b,c"), "4 points"),
    ],
)
def test_wrong_words_are_one_sentence(job, words, said, capsys):
    assert run("export", job, *words) == 2
    error = capsys.readouterr().err.strip()
    assert said in error and "\n" not in error.replace("facequery: ", "")


def test_no_job(tmp_path, capsys):
    assert run("export", tmp_path, "--format", "csv") == 2
    assert run("stmap", tmp_path) == 2 and run("report", tmp_path) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_the_workers_methods(job, tmp_path):
    listener = Listener()
    formats = list_formats({}, listener)["formats"]  # type: ignore[arg-type]
    assert {one["name"] for one in formats} == {one.name for one in FORMATS}
    params = {"folder": str(job), "format": "csv", "out": str(tmp_path / "a.csv"), "start": 1}
    answer = write_export(params, listener)  # type: ignore[arg-type]
    assert answer["files"] == [str(tmp_path / "a.csv")] and "Writing" in listener.said[0]
    assert (tmp_path / "a.csv").read_text().splitlines()[1].startswith("1,") and FIRST != 1
    with pytest.raises(UserError) as caught:
        write_export(params, listener)  # type: ignore[arg-type]
    assert caught.value.code == "FQ501"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)
NAMES = (
    "folder",
    "format",
    "out",
    "layout",
    "points",
    "quads",
    "view",
    "undistorted",
    "start",
    "overwrite",
    "timecode",
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), anything))
def test_messages_that_make_no_sense_are_refused_in_words(params):
    try:
        request = request_from(params)
    except UserError:
        return
    assert isinstance(request.format, str) and isinstance(request.view, int)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from((*NAMES, "size", "directions", "source", "mean")), anything))
def test_st_maps_without_a_job_are_refused_in_words(params):
    params["folder"] = "/nowhere/at all"
    with pytest.raises(UserError):
        write_stmaps(params, Listener())  # type: ignore[arg-type]
