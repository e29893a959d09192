"""Video: frames are exact from any place, upright, in the right colours, and faults are named."""

import struct

import av
import numpy as np
import pytest
from facequery.errors import UserError
from facequery.shots import open_shot
from shot_files import counted, counter_picture


def test_frames_count_from_1_and_come_in_order(video):
    shot = open_shot(video(frames=50))
    assert shot.frame_numbers.tolist() == list(range(1, 51))
    assert (shot.kind, shot.fps, shot.width, shot.height, shot.pixel_aspect) == ("video", 25.0, 64, 48, 1.0)
    assert shot.name == "clip ü" and not shot.notes
    assert [counted(picture) for _, picture in shot.frames()] == list(range(50))
    assert shot.display(0).dtype == np.uint8 and shot.display(0).shape == (48, 64, 3)


def test_any_order_gives_the_same_frames(video, rng):
    shot = open_shot(video(frames=200))
    order = [*rng.permutation(200).tolist(), 199, 0, 1, 2, 150, 149, 151, 21, 20, 19]
    assert [counted(shot.display(i)) for i in order] == order
    assert [counted(picture) for _, picture in shot.frames(77, 120)] == list(range(77, 120))
    shot.close()
    assert counted(shot.display(60)) == 60


def test_two_iterators_and_random_access_do_not_disturb_each_other(video):
    shot = open_shot(video(frames=60))
    for (i, a), (j, b) in zip(shot.frames(0, 20), shot.frames(30, 50), strict=True):
        assert (counted(a), counted(b), counted(shot.display(55 - i))) == (i, j, 55 - i)


def test_a_short_video_is_decoded_once_and_forgotten_when_it_is_closed(video):
    path = video(frames=60)
    shot = open_shot(path)
    assert [counted(glance.picture()) for _, glance in shot.glances([3, 30])] == [3, 30]
    path.write_bytes(b"")
    assert [counted(picture) for _, picture in shot.frames(0, 31)] == list(range(31))
    shot.close()
    with pytest.raises(UserError):
        shot.display(3)


def test_a_video_too_large_to_be_kept_is_decoded_again(video, monkeypatch):
    monkeypatch.setattr("facequery.shots.video.KEPT_BYTES", 80 * 64 * 48 * 3 // 2)
    shot = open_shot(video(frames=200))
    for _ in range(2):
        assert [counted(picture) for _, picture in shot.frames()] == list(range(200))
    assert [counted(shot.display(i)) for i in (0, 199, 120)] == [0, 199, 120]


def test_a_range_is_in_numbers_from_1(video):
    shot = open_shot(video(frames=30), frames=(11, 20))
    assert shot.frame_numbers.tolist() == list(range(11, 21))
    assert [counted(picture) for _, picture in shot.frames()] == list(range(10, 20))
    with pytest.raises(UserError, match="no frame in 40-50"):
        open_shot(video(frames=30), frames=(40, 50))


def test_a_variable_frame_rate_keeps_every_frame_once_and_says_so(video, rng):
    times = np.cumsum(rng.integers(1000, 9000, 40)).tolist()
    shot = open_shot(video(frames=40, times=times))
    assert len(shot) == 40 and any("variable frame rate" in note for note in shot.notes)
    assert [counted(shot.display(i)) for i in (39, 3, 17)] == [39, 3, 17]
    assert [counted(picture) for _, picture in shot.frames()] == list(range(40))


@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "libx264"), ("a.avi", "mpeg4"), ("a.mov", "mjpeg")])
def test_other_containers(video, name, codec):
    shot = open_shot(video(frames=45, name=name, codec=codec, pixels="yuvj420p" if codec == "mjpeg" else "yuv420p"))
    assert [counted(picture) for _, picture in shot.frames()] == list(range(45))
    assert [counted(shot.display(i)) for i in (44, 2, 30)] == [44, 2, 30]


def test_ten_bits_keep_more_than_256_levels(video):
    ramp = np.linspace(8000, 56000, 512).astype(np.uint16)
    picture = np.broadcast_to(ramp[None, :, None], (64, 512, 3)).copy()
    shot = open_shot(video(frames=3, pixels="yuv420p10le", pictures=[picture] * 3))
    levels = np.unique(shot.plate(1)[32, :, 1])
    assert len(levels) > 300
    assert np.abs(shot.display(1)[32, :, 1] - ramp / 257.0).max() < 6


@pytest.mark.parametrize(("size", "code", "name"), [((1280, 720), 2, "ITU709"), ((320, 240), 2, "ITU601"),
                                                    ((320, 240), 1, "ITU709")])  # fmt: skip
def test_colours_follow_the_matrix_that_the_stream_names_or_the_usual_one_of_its_size(video, size, code, name):
    picture = np.zeros((size[1], size[0], 3), np.uint8)
    picture[:, : size[0] // 2], picture[:, size[0] // 2 :] = (30, 160, 60), (200, 40, 90)
    shot = open_shot(video(frames=2, pictures=[picture] * 2, matrix=name, colorspace=code))
    middle = shot.display(0)[size[1] // 2]
    assert np.abs(middle[size[0] // 4].astype(int) - (30, 160, 60)).max() <= 4
    assert np.abs(middle[3 * size[0] // 4].astype(int) - (200, 40, 90)).max() <= 4


@pytest.mark.parametrize("quarter_turns", [0, 1, 2, 3])
def test_rotated_video_is_shown_upright(video, quarter_turns):
    upright = counter_picture(77)
    path = video(frames=3, pictures=[np.rot90(upright, quarter_turns).copy()] * 3)
    # The player has to turn back clockwise: a, b, c, d of the track header's matrix, QuickTime's, y down.
    a, b = [(1, 0), (0, 1), (-1, 0), (0, -1)][quarter_turns]
    data = path.read_bytes()
    header = data.index(b"tkhd")
    matrix = header + 4 + 4 + 20 + 16  # box type, version and flags, times and ids, layer to volume
    values = struct.pack(">9i", a << 16, b << 16, 0, -b << 16, a << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(data[:matrix] + values + data[matrix + 36 :])
    shot = open_shot(path)
    assert (shot.width, shot.height) == (64, 48)
    assert shot.display(1).shape == (48, 64, 3) and counted(shot.display(1)) == 77
    assert shot.display(1).flags.c_contiguous


def test_pixel_aspect_of_a_video(video):
    from fractions import Fraction

    shot = open_shot(video(frames=2, sample_aspect_ratio=Fraction(2, 1)))
    assert shot.pixel_aspect == 2.0


def test_a_truncated_video_and_one_without_pictures_give_one_sentence(video, tmp_path):
    path = video(frames=50)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])  # the table of an mp4 stands at its end
    with pytest.raises(UserError, match="cannot be read"):
        open_shot(path)
    sound = tmp_path / "sound.mp4"
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(UserError, match="no picture"):
        open_shot(sound)


def test_a_truncated_stream_gives_the_frames_it_has_and_names_one_that_is_damaged(video):
    path = video(frames=100, name="cut.mkv")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    shot = open_shot(path)
    assert 20 < len(shot) < 100
    good = 0
    try:
        for i, picture in shot.frames():
            assert counted(picture) == i or i > len(shot) - 4  # of the last ones, some that others refer to are cut off
            good += 1
    except UserError as error:
        assert f"frame {good + 1}" in str(error) and "\n" not in str(error)
    assert good > 20
