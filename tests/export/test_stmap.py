"""ST maps: against the fit's own projection, against each other, and by carrying pictures through them."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from facequery.errors import UserError
from facequery.export.stmap import HeadMaps, HeadOnPlate, TextureMean, sampled
from facequery.geometry.cameras import Camera
from facequery.pipeline.export import ExportRequest, export_job, job_source
from facequery.pipeline.stmap import MapRequest, write_maps
from facequery.shots.images import read_picture

sys.path.insert(0, str(Path(__file__).parents[1] / "blender"))
from synthetic_job import FIRST, FRAMES, PLATES, write_job

SIZE = 512


@pytest.fixture(scope="module", params=["anamorphic", "lens_and_moving_camera"])
def job(request, tmp_path_factory) -> Path:
    folder, _ = write_job(tmp_path_factory.mktemp("maps") / "shot", PLATES[request.param])
    return folder


@pytest.fixture(scope="module")
def maps() -> HeadMaps:
    return HeadMaps(SIZE)


def heads(job: Path) -> list[HeadOnPlate]:
    source = job_source(job, ExportRequest("usd"))
    assert source.face and source.camera
    found = []
    for row, vertices in enumerate(source.face.vertices):
        camera: Camera = source.camera.select([row])
        points = vertices.astype(np.float64)[None]
        found.append(
            HeadOnPlate(camera.project(points)[0].astype(np.float32), vertices[:, 2], source.width, source.height)
        )
    return found


def texel(uv: np.ndarray) -> np.ndarray:
    """Index of atlas positions (..., 2), v up: row, column."""
    return np.stack([(1 - uv[..., 1]) * SIZE, uv[..., 0] * SIZE], axis=-1).astype(int)


def identity(width: int, height: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width] + 0.5
    return np.stack([x / width, 1 - y / height], axis=-1)


def test_the_reference_frame_is_the_identity(job, maps):
    head = heads(job)[1]
    found = maps.pixel_to_reference(head, head)
    mask = found[..., 3] > 0
    assert mask.mean() > 0.02
    gap = (found[..., :2] - identity(head.width, head.height)) * [head.width, head.height]
    assert np.abs(gap[mask]).max() < 0.01


def test_both_directions_undo_each_other(job, maps):
    for head in heads(job)[:2]:
        surface = maps.surface(head)
        to_uv, (to_pixel, _) = maps.pixel_to_uv(head, surface), maps.uv_to_pixel(head, surface)
        rows, columns = np.nonzero(to_uv[..., 3])
        at = texel(to_uv[rows, columns, :2])
        back = to_pixel[at[:, 0], at[:, 1]]
        good = back[:, 3] > 0
        assert good.mean() > 0.7
        back_px = (back[good, :2] * [1, -1] + [0, 1]) * [head.width, head.height]
        gap = np.linalg.norm(back_px - np.stack([columns, rows], 1)[good] - 0.5, axis=1)
        # They differ by half a texel, which is less than a pixel in front and several at the sides of the head.
        assert np.median(gap) < 0.6 and np.quantile(gap, 0.95) < 2.0


def test_texels_are_where_the_fit_puts_them(job, maps):
    """The corners of the atlas's triangles against the projected vertices."""
    head = heads(job)[0]
    to_pixel, _ = maps.uv_to_pixel(head)
    part = maps.model.parts["skin"].triangles
    checked = 0
    for triangle in range(part.start, part.stop, 37):
        uv = maps.corners[triangle].mean(0)
        row, column = texel(uv)
        if maps.texel_triangle[row, column] != triangle or not to_pixel[row, column, 3]:
            continue
        weights = maps.texel_bary[row, column] / head.depth[maps.triangles[triangle]]
        expected = (weights / weights.sum()) @ head.xy[maps.triangles[triangle]]
        found = (to_pixel[row, column, :2] * [1, -1] + [0, 1]) * [head.width, head.height]
        np.testing.assert_allclose(found, expected, atol=1e-2)
        checked += 1
    assert checked > 50


def test_a_picture_is_unwrapped_averaged_and_put_back(job, tmp_path):
    """The plate becomes a painting that sticks to the face: unwrapping finds it again, and putting it back makes the
    plate."""
    maps = HeadMaps(SIZE)
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    painting = np.stack([0.5 + 0.4 * np.sin(25 * x), 0.5 + 0.4 * np.cos(21 * y), 0.5 + 0.3 * x * y], -1)
    painting = painting.astype(np.float32)
    plates = job.parents[1]
    for row, head in enumerate(heads(job)):
        laid = sampled(painting, maps.pixel_to_uv(head))
        laid = np.concatenate([laid[..., ::-1], np.full_like(laid[..., :1], 0.7)], -1)  # a plate with an alpha
        cv2.imwrite(str(plates / f"shot.{FIRST + row}.png"), (laid * 65535).round().astype(np.uint16))
    out = tmp_path / "maps"
    said: list[str] = []
    request = MapRequest(size=SIZE, unwrap=True, mean=True, out=out)
    files = write_maps(job, request, say=said.append)
    assert all(file.is_file() for file in files) and any("unwrapped" in line for line in said)
    # The synthetic job has no face in one frame.
    assert len([f for f in files if f.name.startswith("unwrapped")]) == FRAMES - 1
    mean = read_picture(out / "mean.exr", "mean")
    assert mean.shape == (SIZE, SIZE, 4)
    seen = cv2.erode(mean[..., 3], np.ones((7, 7))) > 0.5
    # What is opaque was seen: of a painting that is smooth the mean is the painting.
    error = np.abs(mean[..., :3] - painting)[seen]
    assert seen.mean() > 0.1 and np.median(error) < 0.02
    with pytest.raises(UserError, match="overwritten"):
        write_maps(job, request)
    back = write_maps(job, MapRequest(directions=(), size=SIZE, put_back=out / "mean.exr", out=out))
    layer = read_picture(back[0], "layer").astype(np.float32)
    plate = cv2.imread(str(plates / f"shot.{FIRST}.png"), cv2.IMREAD_UNCHANGED)[..., 2::-1] / 65535
    inside = cv2.erode((layer[..., 3] > 0.99).astype(np.uint8), np.ones((5, 5))) > 0
    assert inside.sum() > 500
    assert np.median(np.abs(layer[..., :3] - plate)[inside]) < 0.03


def test_maps_are_32_bit_with_the_plates_numbers(job, tmp_path):
    import OpenImageIO as oiio

    files = write_maps(job, MapRequest(size=64, out=tmp_path / "a b ü"))
    assert files[0].name == f"uv-to-pixel.{FIRST}.exr"
    spec = oiio.ImageInput.open(str(files[0])).spec()
    assert str(spec.format) == "float" and (spec.width, spec.height, spec.nchannels) == (64, 64, 4)


def test_nukes_set_up_reads_the_maps_that_are_there(job, tmp_path):
    request = ExportRequest("nuke-stmap", tmp_path / "a.nk")
    if not (job / "stmap").exists():
        with pytest.raises(UserError, match="Write them first"):
            export_job(job, request)
    write_maps(job, MapRequest(size=64, overwrite=True))
    export_job(job, request)
    text = (tmp_path / "a.nk").read_text()
    assert text.count("STMap {") == 2 and text.count("{") == text.count("}")
    for kind in ("uv-to-pixel", "pixel-to-uv"):
        assert f"{(job / 'stmap').resolve().as_posix()}/{kind}.####.exr" in text
    assert f"first {FIRST}" in text and "shot.####.png" in text


def test_the_mean_keeps_what_was_seen_best():
    mean = TextureMean(16, 1)
    slope = np.zeros((16, 16))
    slope[4:8, 4:8] = 1.0
    mean.add(np.full((16, 16, 1), 3.0), slope)
    mean.add(np.full((16, 16, 1), 5.0), slope * 0.1)
    texture = mean.texture(margin=2)
    assert texture[5, 5, 0] == pytest.approx(3.02, abs=0.01) and texture[5, 5, 1] == 1
    assert texture[5, 9, 0] == pytest.approx(3.02, abs=0.01) and texture[5, 9, 1] == 0  # repeated beside the seam
    assert texture[12, 12, 0] == 0


def test_pictures_with_values_that_are_none():
    picture = np.full((8, 8, 3), np.inf, np.float32)
    st_map = np.ones((4, 4, 4), np.float32) * 0.5
    assert np.isfinite(sampled(picture, st_map)).all()


def test_wrong_requests(job):
    for request, words in (
        (MapRequest(directions=("up",)), "no map"),
        (MapRequest(size=4), "texels"),
        (MapRequest(source="air"), "cannot come from"),
        (MapRequest(directions=()), "Nothing was asked"),
        (MapRequest(view=3), "no view 3"),
        (MapRequest(directions=("pixel-to-reference",), reference=7), "no frame 7"),
        (MapRequest(directions=("pixel-to-reference",), reference=FIRST + 2), "not there"),
    ):
        with pytest.raises(UserError, match=words):
            write_maps(job, request)
