import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from facequery.apps import surface_pass
from facequery.apps.mattes import face_mattes, id_picture
from facequery.apps.prints import Print, decal_print, texture_print
from facequery.apps.project import Shutter, composite, project_print, skin_level
from facequery.apps.regions import STANDARD, Region, load_regions, standard_regions
from facequery.apps.visibility import self_visibility
from facequery.detection.visibility import visible_from_sigma
from facequery.errors import UserError
from facequery.head.binding import Binding
from flat_head import SIZE, true_face


@pytest.fixture(scope="module")
def front(head):
    return true_face(head, 0)


def mattes_of(head, face, regions, **kwargs):
    return face_mattes(face, head.model, regions, SIZE, SIZE, **kwargs)


def test_the_standard_regions_lie_where_they_should(head, front):
    regions = standard_regions(head.model, head.count)
    assert tuple(r.name for r in regions) == STANDARD
    mattes = dict(zip(STANDARD, mattes_of(head, front, regions), strict=True))
    rows = {name: np.average(np.arange(SIZE), weights=m.sum(1)) for name, m in mattes.items() if m.sum() > 5}
    assert rows["brows"] < rows["eyes"] < rows["nose"] < rows["lips"] < rows["neck"]
    for name in ("skin", "nose", "brows", "lips", "ears", "neck"):
        mirrored = mattes[name][:, ::-1]
        assert np.minimum(mattes[name], mirrored).sum() > 0.97 * mattes[name].sum(), name
    edge = (mattes["nose"] > 0.01) & (mattes["nose"] < 0.99)
    assert 20 < edge.sum() < 0.25 * (mattes["nose"] > 0.5).sum()  # a line of partly covered pixels round it
    # a pixel is one or the other
    overlap = np.minimum(mattes["skin"], mattes["eyes"])
    assert overlap.max() <= 0.5 + 1e-6  # a pixel is one or the other


def test_a_matte_does_not_depend_on_strips(head, front, monkeypatch):
    regions = [Region("all", np.ones(head.count, np.float32))]
    whole = mattes_of(head, front, regions)
    monkeypatch.setattr(surface_pass, "_STRIP", 3 * 3 * 400 * 7)
    np.testing.assert_allclose(mattes_of(head, front, regions), whole, atol=1e-5)


def test_what_is_hidden_is_cut(head, front):
    regions = [Region("all", np.ones(head.count, np.float32))]
    seen = (head.positions[:, 0] > 0).astype(np.float32)
    cut = mattes_of(head, front, regions, seen=seen)[0]
    assert cut[:, :190].sum() < 0.01 * cut.sum()


def test_own_regions_by_vertices_and_by_picture(head, front, tmp_path):
    nose = np.flatnonzero(head.model.region_mask("nose"))
    white = np.full((64, 64), 255, np.uint8)
    cv2.imwrite(str(tmp_path / "white.png"), white)
    document = {
        "schema": "facequery.regions",
        "version": 1,
        "regions": [{"name": "mine", "vertices": nose.tolist()}, {"name": "everywhere", "uv": "white.png"}],
    }
    file = tmp_path / "own.json"
    file.write_text(json.dumps(document))
    mine, everywhere = load_regions(file, head.count)
    mattes = mattes_of(head, front, [mine, everywhere, *standard_regions(head.model, head.count)[:2]])
    assert np.minimum(mattes[0], mattes[3]).sum() > 0.9 * np.maximum(mattes[0], mattes[3]).sum()
    assert (mattes[1] >= mattes[2] - 0.02).all()  # all skin is on the UVs
    ids = id_picture(mattes[:2])
    assert set(np.unique(ids)) == {0, 2}


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "other"},
        {"version": 9},
        {"regions": [{"name": "a/b", "vertices": []}]},
        {"regions": [{"name": "a", "vertices": [10**7]}]},
        {"regions": [{"name": "a", "vertices": [1, 2], "weights": [1.0]}]},
        {"regions": [{"name": "a"}]},
        {"regions": [{"name": "a", "vertices": [1]}, {"name": "a", "vertices": [2]}]},
    ],
)
def test_bad_regions_are_told(head, tmp_path, change):
    document = {"schema": "facequery.regions", "version": 1, "regions": [{"name": "a", "vertices": [1]}]} | change
    file = tmp_path / "own.json"
    file.write_text(json.dumps(document))
    with pytest.raises(UserError):
        load_regions(file, head.count)


def stamp():
    picture = np.zeros((60, 60, 4), np.float32)
    picture[5:55, 5:55] = [0.2, 0.4, 0.6, 1]
    picture[25:35, 10:50, :3] = 0.9
    return picture


def test_a_decal_lies_flat_in_its_own_frame_and_travels_with_the_skin(head, front):
    printed = decal_print(front, head.model, head.triangles, stamp(), (200.0, 130.0), 40.0)
    layer = project_print(front, printed, head.triangles, SIZE, SIZE)
    flat = cv2.resize(stamp(), (40, 40), interpolation=cv2.INTER_AREA)
    assert np.abs(layer[110:150, 180:220] - flat).mean() < 0.03
    assert layer[..., 3].sum() == pytest.approx(flat[..., 3].sum(), rel=0.03)
    moved = true_face(head, 0, shift=(0.1, -0.05))
    there = project_print(moved, printed, head.triangles, SIZE, SIZE)
    rows, columns = (np.average(np.arange(SIZE), weights=there[..., 3].sum(axis)) for axis in (1, 0))
    assert (columns, rows) == (pytest.approx(199.5 + 15, abs=0.3), pytest.approx(129.5 - 7.5, abs=0.3))


@pytest.mark.parametrize("turn", [0.0, np.pi / 2])
def test_a_decal_is_squeezed_with_its_plate(head, front, turn):
    squeezed = replace(front, xy=front.xy * np.array([0.5, 1], np.float32))
    printed = decal_print(squeezed, head.model, head.triangles, stamp(), (100.0, 130.0), 20.0, turn, 2.0)
    layer = project_print(squeezed, printed, head.triangles, SIZE // 2, SIZE)
    rows, columns = np.nonzero(layer[..., 3] > 0.5)
    unsqueezed = decal_print(front, head.model, head.triangles, stamp(), (200.0, 130.0), 40.0, turn)
    tall, wide = np.nonzero(project_print(front, unsqueezed, head.triangles, SIZE, SIZE)[..., 3] > 0.5)
    assert np.ptp(rows) == pytest.approx(np.ptp(tall), abs=2)
    assert 2 * np.ptp(columns) == pytest.approx(np.ptp(wide), abs=3)


def test_a_print_turns_away_with_the_head(head, front):
    cheek = front.xy[int(np.argmin(np.linalg.norm(head.positions - [0.055, -0.03, 0.0], axis=1)))]
    printed = decal_print(front, head.model, head.triangles, stamp(), (float(cheek[0]), float(cheek[1])), 20.0)
    assert printed.used.any()
    hidden = project_print(true_face(head, -80), printed, head.triangles, SIZE, SIZE)
    shown = project_print(true_face(head, 50), printed, head.triangles, SIZE, SIZE)
    assert min(hidden[..., 3].sum(), shown[..., 3].sum()) < 1 < max(hidden[..., 3].sum(), shown[..., 3].sum())


def test_motion_blur_spreads_and_keeps_the_amount(head, front):
    printed = decal_print(front, head.model, head.triangles, stamp(), (200.0, 130.0), 40.0)
    sharp = project_print(front, printed, head.triangles, SIZE, SIZE)
    velocity = np.tile(np.array([24, 0], np.float32), (head.count, 1))
    soft = project_print(front, printed, head.triangles, SIZE, SIZE, shutter=Shutter(velocity, 0.5))
    assert soft[..., 3].sum() == pytest.approx(sharp[..., 3].sum(), rel=0.02)
    wide = [np.ptp(np.flatnonzero(layer[..., 3].max(0) > 0.02)) for layer in (sharp, soft)]
    assert wide[1] - wide[0] == pytest.approx(12, abs=3)


def test_a_texture_on_the_uvs_covers_the_skin_once(head, front):
    white = np.ones((256, 256, 4), np.float32)
    layer = project_print(front, texture_print(head.model, white, len(head.triangles)), head.triangles, SIZE, SIZE)
    skin = np.zeros(head.count, np.float32)
    skin[head.model.parts["skin"].vertices] = 1
    matte = mattes_of(head, front, [Region("skin", skin)])[0]
    inner = cv2.erode(matte, np.ones((5, 5)))
    assert np.abs(layer[..., 3] - matte)[inner > 0.99].mean() < 0.01
    np.testing.assert_allclose(layer[..., 0], layer[..., 3], atol=1e-4)  # premultiplied


def test_composites(head):
    plate = np.random.default_rng(0).uniform(0.05, 2.0, (8, 8, 3)).astype(np.float32)
    empty = np.zeros((8, 8, 4), np.float32)
    for blend in ("multiply", "luminance", "over"):
        np.testing.assert_allclose(composite(plate, empty, blend), plate, rtol=1e-6)
    ink = np.dstack([np.full((8, 8, 3), 0.3), np.ones((8, 8))]).astype(np.float32)
    np.testing.assert_allclose(composite(plate, ink, "multiply"), 0.3 * plate, rtol=1e-5)
    np.testing.assert_allclose(composite(plate, ink, "over"), 0.3, rtol=1e-5)
    level = skin_level(plate, ink)
    once = composite(plate, ink, "luminance", level)
    np.testing.assert_allclose(composite(2 * plate, ink, "luminance", level), 2 * once, rtol=1e-5)
    assert once.mean() == pytest.approx(0.3, rel=0.01)


def test_the_far_side_of_a_turned_head_is_hidden(head):
    places = np.array([[0.07, -0.01, -0.01], [-0.07, -0.01, -0.01], [0, -0.02, 0.065]])
    vertices = np.array([int(np.argmin(np.linalg.norm(head.positions[:10721] - p, axis=1))) for p in places])
    binding = Binding(head.positions[vertices], vertices[:, None].astype(np.int32), np.ones((3, 1), np.float32))
    left = self_visibility(true_face(head, 60), head.triangles, binding)
    right = self_visibility(true_face(head, -60), head.triangles, binding)
    assert abs(left[0] - left[1]) > 0.6
    np.testing.assert_allclose(left[[0, 1]], right[[1, 0]], atol=0.15)


def test_what_the_network_cannot_see_is_not_seen(head):
    assert visible_from_sigma(60.0 / true_face(head, 0).scale) < 0.1


def test_a_print_is_kept_and_one_of_a_newer_release_refused(head, front, tmp_path):
    printed = decal_print(front, head.model, head.triangles, stamp(), (200.0, 130.0), 40.0)
    file = tmp_path / "print.npz"
    printed.save(file)
    again = Print.load(file, len(head.triangles))
    assert np.array_equal(again.used, printed.used) and np.array_equal(again.picture, printed.picture)
    assert np.array_equal(again.corners[again.used], printed.corners[printed.used])
    arrays = dict(np.load(file))
    np.savez(file, **{**arrays, "version": np.int32(arrays["version"] + 1)})
    with pytest.raises(UserError, match="newer"):
        Print.load(file, len(head.triangles))
