"""Picture sequences: names, numbers, gaps, faults, and pixels that come back exactly."""

import numpy as np
import OpenImageIO as oiio
import pytest
from facequery.errors import UserError
from facequery.shots import open_shot
from shot_files import HEIGHT, WIDTH, write


def one_sentence(error: pytest.ExceptionInfo[UserError]) -> str:
    text = str(error.value)
    assert "\n" not in text and text.rstrip().endswith((".", ")"))
    return text


@pytest.mark.parametrize("pattern", ["shot a.####.png", "shot a.%04d.png", "shot a.#.png", "shot a.%d.png", ""])
def test_patterns_and_folders_find_the_frames_in_order(sequence, pattern):
    folder, pictures = sequence([998, 999, 1000, 1001])
    shot = open_shot(folder / pattern)
    assert shot.frame_numbers.tolist() == [998, 999, 1000, 1001]
    assert (shot.width, shot.height, shot.kind, shot.name, shot.colorspace) == (
        WIDTH,
        HEIGHT,
        "sequence",
        "shot a",
        "srgb",
    )
    for i, number in enumerate(shot.frame_numbers):
        np.testing.assert_array_equal(shot.display(i), pictures[number])
        np.testing.assert_array_equal(shot.plate(i), pictures[number].astype(np.float32) * np.float32(1 / 255))


def test_numbers_longer_than_the_padding_go_on(sequence):
    folder, _ = sequence([9999, 10000])
    assert open_shot(folder / "shot a.####.png").frame_numbers.tolist() == [9999, 10000]
    with pytest.raises(UserError, match="No file matches"):
        open_shot(folder / "shot a.######.png")


def test_negative_numbers_count_after_a_dot(sequence):
    folder, _ = sequence([-2, -1, 0, 1])
    assert open_shot(folder / "shot a.####.png").frame_numbers.tolist() == [-2, -1, 0, 1]
    assert open_shot(folder).frame_numbers.tolist() == [-2, -1, 0, 1]


def test_one_file_is_a_still_and_with_a_range_its_sequence(sequence):
    folder, pictures = sequence(range(5, 9))
    still = open_shot(folder / "shot a.0006.png")
    assert (still.kind, still.frame_numbers.tolist()) == ("still", [6])
    np.testing.assert_array_equal(still.display(0), pictures[6])
    assert open_shot(folder / "shot a.0006.png", frames=(5, 7)).frame_numbers.tolist() == [5, 6, 7]


def test_a_still_without_a_number_is_frame_1(tmp_path):
    write(tmp_path / "portrait.png", np.zeros((4, 4, 3), np.uint8), "uint8")
    assert open_shot(tmp_path / "portrait.png").frame_numbers.tolist() == [1]
    assert open_shot(tmp_path).frame_numbers.tolist() == [1]


def test_gaps_are_named_and_left_out_when_allowed(sequence):
    folder, pictures = sequence([1001, 1002, 1006, 1007, 1008, 1010])
    with pytest.raises(UserError) as error:
        open_shot(folder)
    assert "frames 1003-1005, 1009 are missing" in one_sentence(error) and "--allow-gaps" in str(error.value)
    shot = open_shot(folder, allow_gaps=True)
    assert shot.frame_numbers.tolist() == [1001, 1002, 1006, 1007, 1008, 1010]
    assert any("1003-1005, 1009" in note for note in shot.notes)
    np.testing.assert_array_equal(shot.display(2), pictures[1006])
    assert open_shot(folder, frames=(1006, 1008)).frame_numbers.tolist() == [1006, 1007, 1008]
    with pytest.raises(UserError, match="frame 1009 is missing"):
        open_shot(folder, frames=(1008, 1010))
    with pytest.raises(UserError, match="1011-1012 are missing"):
        open_shot(folder, frames=(1010, 1012))


def test_indices_of_file_numbers(sequence):
    shot = open_shot(sequence([3, 4, 8])[0], allow_gaps=True)
    assert [shot.index_of(n) for n in (3, 4, 8)] == [0, 1, 2]
    with pytest.raises(UserError, match="no frame 5"):
        shot.index_of(5)


@pytest.mark.parametrize(
    ("path", "frames", "word"),
    [
        ("nowhere.png", None, "no file or folder"),
        ("no folder/a.####.png", None, "no folder"),
        ("b.####.png", None, "No file matches"),
        ("a.####.png", (9, 3), "ends before it begins"),
        ("a.####.png", (90, 95), "no frame in 90-95"),
        ("empty", None, "no picture sequence"),
        ("two", None, "2 sequences"),
        ("notes.txt", None, "no kind of file"),
        ("hello.png", None, "no picture that can be read"),
        ("void.png", None, "is empty"),
        ("hello.mp4", None, "cannot be read"),
    ],
)
def test_bad_input_gives_one_sentence(tmp_path, path, frames, word):
    for name in ("a.0001.png", "a.0002.png", "two/x.1.png", "two/y.1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write(tmp_path / name, np.zeros((4, 4, 3), np.uint8), "uint8")
    (tmp_path / "empty").mkdir()
    for name in ("notes.txt", "hello.png", "hello.mp4"):
        (tmp_path / name).write_text("hello")
    (tmp_path / "void.png").touch()
    with pytest.raises(UserError) as error:
        open_shot(tmp_path / path, frames=frames)
    assert word in one_sentence(error)


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [(".exr", "half"), (".png", "uint16"), (".tif", "uint16"), (".dpx", "uint16"), (".jpg", "uint8")],
)
def test_a_truncated_frame_is_named(sequence, suffix, kind):
    folder, _ = sequence([7, 8, 9], suffix, kind)
    victim = folder / f"shot a.0008{suffix}"
    data = victim.read_bytes()
    victim.write_bytes(data[: len(data) * 6 // 10])
    shot = open_shot(folder, colorspace="srgb")
    shot.plate(0)
    with pytest.raises(UserError) as error:
        shot.plate(1)
    assert "frame 8" in one_sentence(error)
    with pytest.raises(UserError, match="frame 8"):
        list(shot.frames())


def test_a_frame_of_another_size_or_other_channels_is_named(sequence):
    folder, _ = sequence([1, 2, 3])
    write(folder / "shot a.0002.png", np.zeros((HEIGHT, WIDTH + 2, 3), np.uint8), "uint8")
    write(folder / "shot a.0003.png", np.zeros((HEIGHT, WIDTH, 1), np.uint8), "uint8")
    shot = open_shot(folder)
    with pytest.raises(UserError) as error:
        shot.display(1)
    assert "frame 2" in one_sentence(error) and "34 x 24" in str(error.value)
    with pytest.raises(UserError, match="frame 3"):
        shot.display(2)


def test_a_frame_that_vanishes_is_named(sequence):
    folder, _ = sequence([1, 2, 3])
    shot = open_shot(folder)
    (folder / "shot a.0002.png").unlink()
    with pytest.raises(UserError, match="frame 2"):
        shot.display(1)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("suffix", "kind"), [(".exr", "half"), (".exr", "float"), (".png", "uint8"), (".png", "uint16")]
)
def test_channels_and_number_types_come_back_exactly(sequence, channels, suffix, kind):
    folder, pictures = sequence([1], suffix, kind, channels)
    shot = open_shot(folder)
    plate = shot.plate(0)
    scale = {"uint8": 255, "uint16": 65535}.get(kind, 1)
    assert plate.dtype == np.float32 and plate.shape == (HEIGHT, WIDTH, channels)
    np.testing.assert_allclose(plate, pictures[1] / scale, atol=1e-6)
    display = shot.display(0)
    assert display.shape == (HEIGHT, WIDTH, 3) and display.dtype == np.uint8
    if channels < 3:
        assert (display == display[..., :1]).all()


def test_half_floats_with_infinities_and_nan(tmp_path):
    picture = np.full((4, 6, 3), 0.5, np.float32)
    picture[0, 0], picture[0, 1], picture[0, 2], picture[1, 0] = np.inf, np.nan, -np.inf, 60000
    write(tmp_path / "hot.0001.exr", picture, "half")
    shot = open_shot(tmp_path)
    np.testing.assert_array_equal(np.isnan(shot.plate(0)), np.isnan(picture))
    assert np.isposinf(shot.plate(0)[0, 0]).all()
    display = shot.display(0)
    assert (display[0, 0] == 255).all() and (display[0, 1:3] == 0).all() and (display[1, 0] == 255).all()
    assert (display[3] == 188).all()  # sRGB of linear 0.5


def test_ten_bit_dpx_spreads_over_the_range(tmp_path):
    codes = np.arange(0, 1024, 8, dtype=np.uint16).reshape(8, 16)
    picture = np.repeat(((codes.astype(np.uint32) << 6) | (codes >> 4)).astype(np.uint16)[..., None], 3, axis=2)
    write(tmp_path / "film.0101.dpx", picture, "uint16", oiio__BitsPerSample=10)
    with pytest.raises(UserError) as error:
        open_shot(tmp_path)
    assert "cineon" in one_sentence(error) and "--colorspace" in str(error.value)
    shot = open_shot(tmp_path, colorspace="cineon")
    np.testing.assert_allclose(shot.plate(0)[..., 0] * 1023, codes, atol=0.02)
    assert (np.diff(shot.display(0)[..., 1].ravel().astype(int)) >= 0).all()


def test_the_display_window_is_the_picture(tmp_path, rng):
    data = rng.random((20, 30, 3)).astype(np.float16).astype(np.float32)
    windows = {"over": (-5, -3, 0, 20, 14), "inside": (4, 2, 0, 50, 40), "moved": (100, 100, 100, 30, 20)}
    for name, (x, y, origin, width, height) in windows.items():
        spec = oiio.ImageSpec(30, 20, 3, "half")
        spec.full_x, spec.full_y, spec.full_width, spec.full_height = origin, origin, width, height
        spec.x, spec.y = x, y
        target = oiio.ImageOutput.create("a.exr")
        assert target.open(str(tmp_path / f"{name}.exr"), spec) and target.write_image(data) and target.close()
    over = open_shot(tmp_path / "over.exr")
    assert (over.width, over.height) == (20, 14)
    np.testing.assert_array_equal(over.plate(0), data[3:17, 5:25])
    inside = open_shot(tmp_path / "inside.exr").plate(0)
    assert inside.shape == (40, 50, 3) and inside[:2].max() == 0
    np.testing.assert_array_equal(inside[2:22, 4:34], data)
    np.testing.assert_array_equal(open_shot(tmp_path / "moved.exr").plate(0), data)


def test_layers_of_an_exr_give_its_picture(tmp_path, rng):
    values = rng.random((4, 5, 6)).astype(np.float32)
    spec = oiio.ImageSpec(5, 4, 6, "float")
    spec.channelnames = ("Depth.Z", "View.Combined.B", "View.Combined.G", "View.Combined.R", "a.R", "View.Combined.A")
    target = oiio.ImageOutput.create("a.exr")
    assert target.open(str(tmp_path / "layers.exr"), spec) and target.write_image(values) and target.close()
    np.testing.assert_array_equal(open_shot(tmp_path / "layers.exr").plate(0), values[..., [3, 2, 1, 5]])


def test_pixel_aspect_and_rate_come_from_the_file_and_rate_can_be_overridden(tmp_path):
    picture = np.zeros((4, 4, 3), np.float32)
    write(tmp_path / "ana.1.exr", picture, "half", PixelAspectRatio=2.0, FramesPerSecond=23.976)
    shot = open_shot(tmp_path)
    assert shot.pixel_aspect == 2.0 and shot.fps == pytest.approx(23.976)
    assert open_shot(tmp_path, fps=48).fps == 48
    with pytest.raises(UserError):
        open_shot(tmp_path, fps=0)


def test_frames_come_in_order_and_may_be_left_early(sequence):
    folder, pictures = sequence(range(1, 31))
    shot = open_shot(folder)
    got = list(shot.frames(4, 20))
    assert [i for i, _ in got] == list(range(4, 20))
    for i, picture in got:
        np.testing.assert_array_equal(picture, pictures[i + 1])
    for i, _ in shot.frames():
        if i == 3:
            break
    for i, plate in shot.plates(2, 4):
        np.testing.assert_array_equal(plate, shot.plate(i))
    assert list(shot.frames(5, 5)) == []
    with pytest.raises(IndexError):
        shot.display(-1)


def test_a_photograph_is_turned_upright_a_sequence_stays_as_stored(tmp_path, rng):
    upright = rng.integers(0, 255, (6, 10, 3)).astype(np.uint8)
    for orientation, stored in {6: np.rot90(upright, 1), 3: np.rot90(upright, 2), 8: np.rot90(upright, 3)}.items():
        write(tmp_path / "side.0001.tif", stored, "uint8", Orientation=orientation)
        still = open_shot(tmp_path / "side.0001.tif")
        assert (still.width, still.height) == (10, 6) and any("upright" in note for note in still.notes)
        np.testing.assert_array_equal(still.display(0), upright)
        np.testing.assert_array_equal(open_shot(tmp_path).display(0), stored)
