"""Colour: curves and matrices against published numbers, round trips, exposure, names, and writing back."""

import numpy as np
import OpenImageIO as oiio
import pytest
from facequery.errors import UserError
from facequery.shots import colour, open_shot, write_picture
from shot_files import write


@pytest.fixture(autouse=True)
def _built_in_configuration(monkeypatch):
    monkeypatch.delenv("OCIO", raising=False)


def grey(value: float) -> np.ndarray:
    return np.full((2, 3, 3), value, np.float32)


def test_published_values():
    assert colour.to_linear(grey(0.5), "srgb").max() == pytest.approx(0.21404, abs=1e-5)
    assert colour.to_linear(grey(95 / 1023), "cineon").max() == pytest.approx(0.0, abs=1e-6)
    assert colour.to_linear(grey(685 / 1023), "cineon").max() == pytest.approx(1.0)
    assert colour.to_linear(grey(0.391), colour.resolve("logc3")).max() == pytest.approx(0.18, abs=2e-3)
    assert colour.to_linear(grey(0.18), "acescg").max() == pytest.approx(0.18, abs=1e-4)  # white stays white


@pytest.mark.parametrize(
    "name", ["srgb", "linear", "acescg", "cineon", "acescct", "logc3", "slog3", "vlog", "ACES2065-1"]
)
def test_to_linear_and_back(name, rng):
    space = colour.resolve(name)
    values = rng.uniform(0.12, 0.9, (5, 7, 3)).astype(np.float32)
    np.testing.assert_allclose(colour.from_linear(colour.to_linear(values, space), space), values, atol=2e-4)


def test_own_matrix_is_that_of_the_configuration(rng):
    values = rng.random((5, 7, 3)).astype(np.float32)
    theirs = colour.to_linear(values, colour.resolve("ACES - ACEScg"))
    np.testing.assert_allclose(colour.to_linear(values, "acescg"), theirs, atol=1e-5)


def test_names_of_the_configuration_work_in_any_case_and_others_are_refused():
    assert colour.resolve("arri logc4") == colour.resolve("logc4") == "ARRI LogC4"
    assert colour.resolve("Utility - sRGB - Texture") == "sRGB Encoded Rec.709 (sRGB)"
    with pytest.raises(UserError, match="acescg"):
        colour.resolve("my space")


def test_a_configuration_that_cannot_be_read_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("OCIO", str(tmp_path / "none.ocio"))
    with pytest.raises(UserError, match=r"none\.ocio"):
        colour.resolve("something")


def test_exposure_is_in_stops_of_light():
    one = colour.to_display(grey(0.25), "linear", 1.0)
    np.testing.assert_array_equal(one, colour.to_display(grey(0.5), "linear"))
    levels = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
    np.testing.assert_array_equal(colour.to_display(levels, "srgb"), levels)
    up = colour.to_display(levels, "srgb", 1.0)
    np.testing.assert_allclose(up, colour.to_display(levels.astype(np.float32) / 255, "srgb", 1.0), atol=1)
    assert (up[0, 1:200] >= levels[0, 1:200]).all() and up[0, 100, 0] > 120


def test_the_display_table_is_the_curve():
    light = np.concatenate([np.linspace(-0.1, 1.2, 9999), [1e-30, 1e30, 0.0, -0.0]]).astype(np.float32)
    shown = colour.to_display(np.repeat(light[None, :, None], 3, axis=2), "linear")[0, :, 0]
    exact = np.clip(colour.linear_to_srgb(np.maximum(light, 0)), 0, 1) * 255
    assert np.abs(shown - exact).max() < 0.6  # half a level is rounding


def test_sixteen_bits_round_to_eight():
    values = (np.arange(256, dtype=np.uint16) * 257)[None, :, None].repeat(3, axis=2)
    np.testing.assert_array_equal(colour.to_display(values, "srgb")[0, :, 0], np.arange(256))


def test_the_files_word_is_taken_and_the_users_overrides_it(tmp_path):
    ap1 = (0.713, 0.293, 0.165, 0.83, 0.128, 0.044, 0.32168, 0.33767)
    spec = oiio.ImageSpec(4, 4, 3, "half")
    spec.attribute("chromaticities", oiio.TypeDesc("float[8]"), ap1)
    target = oiio.ImageOutput.create("a.exr")
    assert target.open(str(tmp_path / "ap1.exr"), spec) and target.write_image(grey(0.2)[:1].repeat(4, 0)) is not None
    target.close()
    assert open_shot(tmp_path / "ap1.exr").colorspace == "acescg"
    assert open_shot(tmp_path / "ap1.exr", colorspace="linear").colorspace == "linear"
    write(tmp_path / "plain.exr", grey(0.2), "half")
    plain = open_shot(tmp_path / "plain.exr")
    assert plain.colorspace == "linear" and any("linear Rec.709" in note for note in plain.notes)


def test_pictures_return_in_the_plates_space(tmp_path, rng):
    write(tmp_path / "plate ü.0001.exr", rng.random((6, 8, 3)).astype(np.float32), "half", PixelAspectRatio=2.0)
    shot = open_shot(tmp_path, colorspace="acescg")
    light = rng.random((6, 8, 3)).astype(np.float32)
    (tmp_path / "out").mkdir()
    shot.write(tmp_path / "out/a b.0001.exr", light, "linear")
    again = open_shot(tmp_path / "out", colorspace="acescg")
    np.testing.assert_allclose(again.linear(0), light, atol=2e-3)
    assert again.pixel_aspect == 2.0
    shot.write(tmp_path / "out/a b.0001.exr", shot.plate(0))
    np.testing.assert_array_equal(again.plate(0), shot.plate(0))


@pytest.mark.parametrize(
    ("name", "dtype", "channels"),
    [("a.exr", "f2", 3), ("a.exr", "f2", 1), ("a.png", "u1", 3), ("a.png", "u2", 4), ("a.tif", "f4", 3)],
)
def test_what_is_written_is_read_back_exactly(tmp_path, rng, name, dtype, channels):
    scale = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1
    picture = (rng.random((5, 6, channels)) * scale).astype(dtype)
    write_picture(tmp_path / name, picture)
    found = open_shot(tmp_path / name, colorspace="srgb").plate(0) * scale
    np.testing.assert_allclose(found, picture.astype(np.float32), rtol=1e-6)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_floats_are_clipped_into_png(tmp_path):
    picture = np.array([[[-1, 0.5, 2], [np.nan, np.inf, 1]]], np.float32)
    write_picture(tmp_path / "a.png", picture)
    expected = np.array([[[0, 0.5, 1], [0, 1, 1]]])
    np.testing.assert_allclose(open_shot(tmp_path / "a.png").plate(0), expected, atol=1e-4)


@pytest.mark.parametrize("name", ["no folder/a.exr", "a.xyz"])
def test_what_cannot_be_written_gives_one_sentence_and_leaves_nothing(tmp_path, name):
    with pytest.raises(UserError) as error:
        write_picture(tmp_path / name, grey(0.5))
    assert "\n" not in str(error.value) and not list(tmp_path.iterdir())
