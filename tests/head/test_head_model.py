"""The head model: symmetry, rigid parts, eyes, jaw, tissue depths."""

import numpy as np
import pytest
from facequery.assets import asset
from facequery.errors import UserError
from facequery.head import HeadModel
from facequery.head.surface import Surface

MIRROR = np.array([-1, 1, 1], np.float32)
RIGID = ("teeth_upper", "teeth_lower", "cranium", "mandible")


def mirrored_name(name):
    for a, b in (("Left", "Right"), ("Right", "Left")):
        if name.endswith(a):
            return name[: -len(a)] + b
    return name


def rigid_residual(before, after):
    a, b = before - before.mean(0), after - after.mean(0)
    u, _, vt = np.linalg.svd(a.T @ b)
    turn = (u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt).T
    return np.abs(a @ turn.T - b).max()


def test_a_mirrored_expression_gives_the_mirrored_head(model, rng):
    identity = rng.normal(size=model.identity_size)
    expression = rng.random(52)
    names = list(model.expression_names)
    swapped = expression[[names.index(mirrored_name(n)) for n in names]]
    a, b = model.vertices(identity, expression), model.vertices(identity, swapped)
    paired = model.symmetry >= 0
    np.testing.assert_allclose(a[model.symmetry[paired]] * MIRROR, b[paired], atol=2e-5)
    assert paired[model.parts["skin"].vertices].all()


def test_expression_names_are_arkits(model):
    assert len(set(model.expression_names)) == 52
    assert {"jawOpen", "eyeBlinkLeft", "browInnerUp", "cheekPuff", "tongueOut"} <= set(model.expression_names)
    assert not any(model.expression_basis[:, model.parts[p].vertices].any() for p in RIGID)


@pytest.mark.parametrize("part", RIGID)
def test_rigid_parts_stay_rigid_under_expression(model, rng, part):
    identity = rng.normal(size=model.identity_size)
    span = model.parts[part].vertices
    neutral = model.vertices(identity)[span].astype(np.float64)
    moved = model.vertices(identity, rng.random(52))[span]
    assert rigid_residual(neutral, moved) < 2e-6
    if part in ("cranium", "teeth_upper"):
        np.testing.assert_array_equal(moved, neutral.astype(np.float32))


def test_the_jaw_turns_and_glides(model, weights):
    turn, move = model.jaw_transform(weights(jawOpen=1))
    angle = np.degrees(np.arccos((np.trace(turn) - 1) / 2))
    assert angle == pytest.approx(25.3, abs=0.2)
    mandible = model.rest[model.parts["mandible"].vertices]
    condyle = mandible[mandible[:, 1].argmax()]
    glide = turn @ condyle + move - condyle
    assert glide[1] < -0.002 and glide[2] > 0.002  # down and forward
    assert np.linalg.norm(glide) < 0.015
    for half in np.linspace(0.1, 1, 10):  # never backwards on the way
        turn, move = model.jaw_transform(weights(jawOpen=half))
        assert (turn @ condyle + move - condyle)[2] > -1e-4
    turn, move = model.jaw_transform(weights(jawLeft=1))
    assert (turn @ model.jaw_pivot + move - model.jaw_pivot)[0] > 0.003  # the subject's left is +x


def test_eyes_turn_about_their_centres(model, weights, rng):
    identity = rng.normal(size=model.identity_size)
    gaze = model.gaze(weights(eyeLookOutLeft=1, eyeLookInRight=1))
    assert gaze[0, 0, 2] > 0.4 and gaze[1, 0, 2] > 0.4  # both look to the subject's left
    assert model.gaze(weights(eyeLookUpLeft=1))[0, 1, 2] > 0.3
    still, moved = model.vertices(identity), model.vertices(identity, weights(eyeLookOutLeft=1))
    centre = model.eye_centres(identity)[0]
    eye = model.parts["eye_left"].vertices
    np.testing.assert_allclose(
        np.linalg.norm(still[eye] - centre, axis=1), np.linalg.norm(moved[eye] - centre, axis=1), atol=2e-6
    )
    right = model.parts["eye_right"].vertices
    np.testing.assert_allclose(still[right], moved[right], atol=1e-8)


def test_every_head_has_its_origin_between_its_eyes(model, rng):
    centres = model.eye_centres(rng.normal(size=(20, model.identity_size)))
    assert np.abs(centres.mean(1)).max() < 1e-3
    assert (centres[:, 0, 0] > 0.025).all() and (centres[:, 1, 0] < -0.025).all()


def test_batches_equal_single_heads(model, rng):
    identity, expression = rng.normal(size=(3, model.identity_size)), rng.random((3, 52))
    batch = model.vertices(identity, expression)
    assert batch.shape == (3, len(model.rest), 3)
    np.testing.assert_allclose(batch[1], model.vertices(identity[1], expression[1]), atol=1e-6)
    broadcast = model.vertices(identity[0], expression)
    np.testing.assert_allclose(broadcast[2], model.vertices(identity[0], expression[2]), atol=1e-6)
    np.testing.assert_array_equal(model.vertices(), model.rest)


def test_wrong_sizes_are_refused(model):
    with pytest.raises(ValueError, match=r"identity must be"):
        model.vertices(np.zeros(3))
    with pytest.raises(UserError, match="no region"):
        model.region_mask("elbow")


def test_skin_is_closed_but_for_its_loops_and_wound_outwards(model):
    triangles = model.part_triangles("skin")
    edges = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), 1)
    _, count = np.unique(edges, axis=0, return_counts=True)
    assert count.max() == 2
    # The strips inside the lids end in loops of their own, as long as the lids'.
    open_edges = sum(len(model.loops[n]) for n in ("mouth", "neck", "eye_left", "eye_right"))
    assert (count == 1).sum() == open_edges
    corner = model.rest[triangles].astype(np.float64)
    assert np.einsum("tc,tc->t", corner[:, 0], np.cross(corner[:, 1], corner[:, 2])).sum() > 0
    assert 10_000 < len(model.rest[model.parts["skin"].vertices]) < 11_500


def test_the_atlas_has_no_overlaps(model):
    span = model.parts["skin"].triangles
    uv = model.uv[model.triangles_uv[span]].astype(np.float64)
    assert uv.min() >= 0 and uv.max() <= 1
    a, b = uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
    area = 0.5 * (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
    assert (area > -1e-7).mean() > 0.995  # one winding: nothing folds over
    size = 1024
    from facequery.geometry.rasterize import rasterize

    flat = model.uv * size
    index, _, _ = rasterize(flat, np.ones(len(flat)), model.triangles_uv[span], size, size)
    assert (index >= 0).sum() / size**2 == pytest.approx(np.abs(area).sum(), rel=0.02)


def test_regions_do_not_cross_the_face(model):
    skin = model.rest[model.parts["skin"].vertices]
    for name in ("brow_left", "eye_left", "ear_left", "cheek_left"):
        left, right = model.region_mask(name), model.region_mask(name.replace("left", "right"))
        assert left.sum() > 30 and left.sum() == right.sum()
        assert (skin[left][:, 0] > 0).all()
    assert not (model.region_mask("brow_left") & model.region_mask("eye_left")).any()
    assert (model.region_mask("lips") & model.region_mask("face")).sum() > 200
    assert np.abs(model.expression_basis[:, : len(skin)][:, model.rigid_mask]).max() < 0.012


DEPTHS = {  # metres; DESIGN: facial tissue depths
    "glabella": ((0, 0.0225, 0.028), 0.0055), "nasion": ((0, 0.0118, 0.0275), 0.0065),
    "pogonion": ((0, -0.0990, 0.0320), 0.011), "menton": ((0, -0.1130, 0.0180), 0.007),
    "zygion": ((0.0700, -0.0145, -0.0310), 0.009),
}  # fmt: skip


@pytest.mark.parametrize("site", DEPTHS)
def test_bones_lie_under_the_skin_at_published_tissue_depths(model, rng, site):
    near, depth = DEPTHS[site]
    bones = ("mandible",) if site in ("pogonion", "menton") else ("cranium",)
    skin_triangles = model.part_triangles("skin")
    people = np.concatenate([np.zeros((1, model.identity_size)), rng.normal(size=(4, model.identity_size))])
    start = Surface(model.rest[model.parts["skin"].vertices], skin_triangles).nearest(np.array([near]))
    measured = []
    for head in model.vertices(people):
        skin = head[model.parts["skin"].vertices]
        point = (start.bary[0][:, None] * skin[skin_triangles[start.triangle[0]]]).sum(0)
        surfaces = [Surface(head[model.parts[b].vertices], model.part_triangles(b)) for b in bones]
        measured.append(min(s.nearest(point[None]).distance[0] for s in surfaces))
    assert measured[0] == pytest.approx(depth, abs=0.0025)
    assert np.abs(np.array(measured) - depth).max() < 0.006


def test_tissue_moves_bones_only(model):
    tissue = np.zeros(len(model.tissue_names))
    tissue[model.tissue_names.index("chin")] = 1.0
    moved = model.vertices(tissue=tissue) - model.rest
    length = np.linalg.norm(moved, axis=1)
    bones = np.zeros(len(length), bool)
    for name in ("cranium", "mandible"):
        bones[model.parts[name].vertices] = True
    assert not length[~bones].any()
    assert 0.001 < length[model.parts["mandible"].vertices].max() < 0.003


def test_loads_without_bones():
    bare = HeadModel.load(asset("head/head.npz"), bones=False)
    assert "cranium" not in bare.parts and "skin" in bare.parts
    assert len(bare.vertices(np.zeros(bare.identity_size), np.zeros(52))) == len(bare.rest)
    assert np.isfinite(bare.bind(bare.rest[:50] * 0.9).weights).all()


def test_an_unreadable_head_is_told_in_a_sentence(tmp_path):
    (tmp_path / "head.npz").write_bytes(b"nothing")
    with pytest.raises(UserError, match="cannot be read"):
        HeadModel.load(tmp_path / "head.npz")


def test_normalisation_points_are_right_eye_left_eye_right_and_left_mouth_corner(model, rng):
    points = model.normalisation_points(rng.normal(size=(2, model.identity_size)), rng.random((2, 52)))
    assert points.shape == (2, 4, 3)
    assert (points[:, [0, 2], 0] < 0).all() and (points[:, [1, 3], 0] > 0).all()
    assert (points[:, :2, 1] > points[:, 2:, 1]).all()
