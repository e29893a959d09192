"""Takes, strands, people and truth: everything of renderer B that needs no Blender."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from facequery.errors import UserError
from facequery.geometry.rotations import axis_angle_to_matrix, euler_to_matrix
from facequery.head.model import HeadModel
from facequery.synthesis.cycles import eyes, hairdos
from facequery.synthesis.cycles.dress import read_obj, shirt
from facequery.synthesis.cycles.grow import Strands, grow, triangle_frames
from facequery.synthesis.cycles.performance import FACING, NECK, Keys, curve, perform
from facequery.synthesis.cycles.person import off_basis, stranger
from facequery.synthesis.cycles.take import Take, TakeCamera, TakeMesh, TakeStrands
from facequery.synthesis.cycles.truth import SampleTruth
from facequery.synthesis.cycles.veil import hair_depth, veiled


@pytest.fixture(scope="module")
def model() -> HeadModel:
    return HeadModel.load()


@pytest.fixture(scope="module")
def truth(model: HeadModel) -> tuple[SampleTruth, np.ndarray]:
    person = stranger(3, model)
    keys: dict[str, Keys] = {
        "jawOpen": [(0, 0.0), (5, 0.9)],
        "mouthSmile": [(0, 0.0), (3, 0.8)],
        "eyeBlink": [(0, 0), (2, 1), (4, 0)],
    }
    play = perform(model.expression_names, 6, keys, {"yaw": [(0, -40), (5, 40)]}, {}, np.array([0.01, 0.02, 0.8]))
    turned = np.asarray(model.gaze(play.expression), float)
    canonical = person.vertices(model, play.expression, turned)
    rotation, translation = person.jaw_transform(model, play.expression)
    made = SampleTruth.of(
        model,
        person.neutral(model),
        canonical,
        frames=np.arange(1001, 1007),
        width=640,
        height=480,
        fps=24.0,
        fx=np.full(6, 900.0),
        fy=np.full(6, 900.0),
        cx=np.full(6, 322.0),
        cy=np.full(6, 238.0),
        rotation=play.rotation,
        translation=play.translation,
        identity=person.identity,
        tissue=person.tissue,
        expression=play.expression,
        eye_rotation=turned,
        eye_centres=person.eye_centres(model),
        jaw_rotation=rotation,
        jaw_translation=translation,
        extra_vertices=np.zeros((6, 0, 3), np.float32),
        extra_triangles=np.zeros((0, 3), np.int32),
    )
    posed = np.einsum("fij,fvj->fvi", play.rotation, canonical) + play.translation[:, None]
    return made, posed


def test_take_survives_the_disk(tmp_path: Path) -> None:
    mesh = TakeMesh(
        "m", np.random.default_rng(0).random((2, 3, 3)), np.array([[0, 1, 2, -1]]), "a", tint=np.ones((3, 3))
    )
    hair = TakeStrands("h", np.random.default_rng(1).random((2, 4, 5, 3)), np.ones((4, 5)), "a")
    camera = TakeCamera.fixed(8, 6, 10.0, 11.0, 4.5, 2.5, frames=2)
    take = Take(np.array([7, 8]), camera, [mesh], [hair], {"a": {"kind": "plain"}}, output={"samples": 3})
    take.save(tmp_path)
    again = Take.load(tmp_path)
    assert np.array_equal(again.meshes[0].vertices, mesh.vertices)
    assert again.meshes[0].uv is None and again.meshes[0].name == "m"
    assert np.array_equal(again.strands[0].points, hair.points)
    assert np.array_equal(again.camera.fy, camera.fy) and again.camera.width == 8
    assert again.output == {"samples": 3} and again.materials == take.materials


def test_hair_follows_a_rigid_motion(model: HeadModel) -> None:
    part = model.parts["skin"]
    head, triangles = np.asarray(model.rest[part.vertices], float), np.asarray(model.part_triangles("skin"))
    rng = np.random.default_rng(0)
    strands = grow(rng, head, triangles, hairdos.scalp(head), 400, hairdos.short_cut())
    turn, move = euler_to_matrix(0.5, -0.2, 0.1), np.array([0.1, 0.2, 0.9])
    still, moved = strands.follow(np.stack([head, head @ turn.T + move]), triangles)
    assert np.abs(moved - (still @ turn.T + move)).max() < 1e-5
    # Strands begin on the scalp and do not run through the head.
    assert (hairdos.scalp(still[:, 0].astype(float)) > 0).mean() > 0.9
    length = np.linalg.norm(np.diff(still, axis=1), axis=2).sum(1)
    assert 0.004 < np.median(length) < 0.08


def test_bound_strands_stay_where_they_are(model: HeadModel) -> None:
    part = model.parts["skin"]
    head, triangles = np.asarray(model.rest[part.vertices], float), np.asarray(model.part_triangles("skin"))
    points = head[::500, None] + np.linspace(0, 0.01, 4)[None, :, None] * [0, 0, 1.0]
    strands = Strands.bind(points, np.ones(points.shape[:2]), head, triangles, np.arange(len(triangles)))
    again = strands.follow(head[None], triangles)[0]
    # The root is dropped on the plane of its triangle; the strand keeps its shape.
    assert np.abs((again - again[:, :1]) - (points - points[:, :1])).max() < 2e-4
    frames = triangle_frames(head, triangles)
    assert np.allclose(frames @ frames.transpose(0, 2, 1), np.eye(3), atol=1e-9)


def test_shape_beside_the_basis(model: HeadModel) -> None:
    rms = 0.0015
    offsets = off_basis(np.random.default_rng(1), model, rms)
    skin, face = model.parts["skin"].vertices, np.flatnonzero(model.region_mask("face"))
    assert np.sqrt((offsets[skin][face] ** 2).sum(1).mean()) == pytest.approx(rms, rel=1e-6)
    # A least-squares fit of the basis takes nearly none of it away, although eyes and lids move together.
    basis = np.asarray(model.identity_basis, float)[:, skin][:, face].reshape(model.identity_size, -1)
    left = offsets[skin][face].ravel()
    left = left - basis.T @ np.linalg.lstsq(basis.T, left, rcond=None)[0]
    assert np.sqrt((left**2).sum() / len(face)) > 0.8 * rms
    eye = offsets[model.parts["eye_left"].vertices]
    assert np.ptp(eye, axis=0).max() < 1e-12


def test_curves_do_not_overshoot() -> None:
    values = curve([(0, 0.0), (4, 1.0), (6, 1.0), (12, 0.2)], 16)
    assert len(values) == 16 and values.min() >= 0 and values.max() <= 1
    assert values[5] > 0.9 and values[15] == pytest.approx(0.2, abs=0.02)


def test_head_turns_about_the_neck(model: HeadModel) -> None:
    seat = np.array([0.0, 0.0, 0.9])
    play = perform(model.expression_names, 5, {}, {"yaw": [(0, -30), (4, 30)], "pitch": [(0, 10)]}, {}, seat)
    neck = play.rotation @ NECK + play.translation
    assert np.abs(neck - (seat + FACING @ NECK)).max() < 1e-12
    # Yaw to the subject's left brings the nose to the picture's right, pitch up brings it up.
    nose = play.rotation @ np.array([0, 0, 1.0])
    assert nose[0, 0] < 0 < nose[-1, 0]
    assert (nose[:, 1] < 0).all()


def test_truth_gives_back_every_vertex(truth: tuple[SampleTruth, np.ndarray], model: HeadModel, tmp_path: Path) -> None:
    made, posed = truth
    made.save(tmp_path / "truth.npz")
    again = SampleTruth.load(tmp_path / "truth.npz")
    for index in range(len(again)):
        assert np.abs(again.vertices(index, model) - posed[index]).max() < 3e-5
    jaw = model.parts["mandible"].vertices
    rotation, translation = again.jaw()
    moved = np.einsum("fij,vj->fvi", rotation, again.neutral[jaw]) + translation[:, None]
    assert np.abs(moved - posed[:, jaw]).max() < 3e-5


def test_truth_sees_the_near_side_only(truth: tuple[SampleTruth, np.ndarray], model: HeadModel) -> None:
    made, posed = truth
    skin = np.asarray(model.rest[model.parts["skin"].vertices], float)
    right, left = (np.argmin(np.linalg.norm(skin - [x, -0.01, -0.035], axis=1)) for x in (-0.072, 0.072))
    chosen = np.array([right, left, model.parts["cranium"].vertices.start])
    binding = model.bind(model.rest[chosen])
    visible = made.visible(model, binding)
    # Yaw -40 shows the left side of the face, +40 the right one; bone is never seen.
    assert visible[0].tolist() == [False, True, False]
    assert visible[-1].tolist() == [True, False, False]
    expected = posed[2, chosen]
    pixels = made.pixels(model, binding)[2]
    assert np.abs(pixels - (900 * expected[:, :2] / expected[:, 2:] + [322, 238])).max() < 0.1


def test_hair_hides_what_is_behind_it() -> None:
    points = np.zeros((1, 400, 5, 3))
    rng = np.random.default_rng(0)
    # A curtain of strands 0.5 m away over the left half of the picture.
    points[0, ..., 0] = rng.uniform(-0.1, 0.0, 400)[:, None]
    points[0, ..., 1] = np.linspace(-0.1, 0.1, 5)
    points[0, ..., 2] = 0.5
    hair = TakeStrands("hair", points, np.full((400, 5), 0.0004), "hair")
    take = Take(np.array([0]), TakeCamera.fixed(90, 90, 225.0, 225.0, 45.0, 45.0), [], [hair])
    depth = hair_depth(take, 0, {}, rng)
    pixels = np.array([[20, 45], [20, 45], [70, 45], [200, 45.0]])
    assert veiled(depth, pixels, np.array([0.6, 0.49, 0.6, 0.6])).tolist() == [True, False, False, False]
    brows = replace(hair, name="brows")
    assert np.isinf(hair_depth(replace(take, strands=[brows]), 0, {}, rng)).all()


def test_truth_refuses_other_files(tmp_path: Path) -> None:
    (tmp_path / "truth.npz").write_bytes(b"nothing")
    with pytest.raises(UserError):
        SampleTruth.load(tmp_path / "truth.npz")


def test_shirt_stays_outside_the_neck(model: HeadModel) -> None:
    head = np.asarray(model.rest[model.parts["skin"].vertices], float)
    vertices, faces = shirt(head)
    assert faces.max() < len(vertices)
    collar = vertices[72 : 2 * 72]
    neck = head[np.abs(head[:, 1] - collar[:, 1].mean()) < 0.01]
    assert np.abs(collar[:, 0]).max() > np.abs(neck[:, 0]).max()
    # Faces look outwards, away from the vertical axis.
    a, b, c = (vertices[faces[-30:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    assert ((normal * (a - [0, 0, -0.088])[:, [0, 1, 2]] * [1, 0, 1]).sum(1) > 0).all()


def test_iris_is_in_front() -> None:
    direction = np.array([[0, 0, 1.0], [0.2, 0, 1], [0, 1, 0], [0, 0, -1]])
    uv, tint = eyes.picture_uv(0.013 * direction, 0.47)
    assert np.allclose(uv[0], eyes.PICTURE_CENTRE)
    assert tint[:, 0].tolist() == [1, 1, 0, 0]
    assert np.abs(uv - eyes.PICTURE_CENTRE).max() <= eyes.PICTURE_BALL + 1e-9


def test_obj_polygons_are_fanned(tmp_path: Path) -> None:
    path = tmp_path / "quad.obj"
    path.write_text("v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nf 1/1 2/2 3/3 4/4\n")
    points, uv, triangles, triangles_uv = read_obj(path)
    assert len(points) == 4 and len(uv) == 4
    assert triangles.tolist() == [[0, 1, 2], [0, 2, 3]] and np.array_equal(triangles, triangles_uv)


def test_rotations_of_strand_frames_are_proper() -> None:
    turn = axis_angle_to_matrix([0.3, -0.2, 0.5])
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0.0]])
    frame = triangle_frames(points @ turn.T, np.array([[0, 1, 2]]))[0]
    assert np.allclose(frame, turn @ triangle_frames(points, np.array([[0, 1, 2]]))[0])
    assert np.linalg.det(frame) == pytest.approx(1)
