"""The user's own skull, jaw and head take the place of ours."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from facequery.detection.tracks import Tracks
from facequery.errors import UserError
from facequery.fitting.output import JAW_PARTS, SKULL_PARTS, part_mesh
from facequery.fitting.results import RigidFit
from facequery.geometry.align import similarity_transform
from facequery.geometry.cameras import Camera
from facequery.geometry.closest import closest_point_on_mesh
from facequery.geometry.rotations import axis_angle_to_matrix, euler_to_matrix
from facequery.head.layouts import load_layout
from facequery.head.model import HeadModel
from facequery.pipeline.fit import fit_job
from facequery.pipeline.own_meshes import how_aligned, person_of, read_mesh_file, with_bones

TURN = axis_angle_to_matrix(np.array([0.4, -1.0, 0.3]))


@pytest.fixture(scope="module")
def model() -> HeadModel:
    return HeadModel.load()


def elsewhere(points: np.ndarray) -> np.ndarray:
    """In centimetres, in another pose."""
    return 100.0 * points @ TURN.T + [3.0, -50.0, 7.0]


def write(
    folder: Path, part: str, vertices: np.ndarray, triangles: np.ndarray, points: np.ndarray, layout: str
) -> Path:
    """A mesh and its document; `points` of the layout on the mesh, a dozen of which are its landmarks."""
    lines = [f"v {x:.7f} {y:.7f} {z:.7f}" for x, y, z in elsewhere(vertices)]
    lines += [f"f {a + 1}//1 {b + 1}//1 {c + 1}//1" for a, b, c in triangles]
    (folder / f"{part}.obj").write_text("\n".join(lines))
    names = load_layout(layout).names
    some = np.linspace(0, len(names) - 1, 12).astype(int)
    landmarks = {names[k]: elsewhere(points[k]).tolist() for k in some}
    document = {"schema": "facequery.mesh", "version": 1, "part": part, "file": f"{part}.obj", "layout": layout,
                "landmarks": landmarks, "unit": 0.01}  # fmt: skip
    (folder / f"{part}.json").write_text(json.dumps(document))
    return folder / f"{part}.json"


@pytest.mark.parametrize(("part", "names"), [("skull", SKULL_PARTS), ("jaw", JAW_PARTS)])
def test_bones_are_brought_to_the_person_and_used(model, tmp_path, part, names):
    """Bones that are bent, up to half a centimetre: the bones on which a fit's points lie are drawn to them."""
    vertices, triangles = part_mesh(model, names)
    layout = load_layout(part)
    bent = model.rest.astype(np.float64)
    bent[vertices, 2] += 0.006 * (bent[vertices, 0] / 0.05) ** 2
    points = model.bind(layout.positions).moved(bent, model.rest)
    mesh = read_mesh_file(write(tmp_path, part, bent[vertices], triangles, points, part))
    person = with_bones(model, person_with(model), [mesh])
    assert person.locked and person.offsets is not None
    own = mesh.aligned(model, person_with(model))
    after, before = (
        closest_point_on_mesh(points, own.vertices, own.triangles)[2].mean()
        for points in ((model.rest + person.offsets)[vertices], model.rest[vertices])
    )
    assert after < 0.4 * before and before > 0.0004


def person_with(model):
    from facequery.head.actor import Actor

    return Actor("mean", np.zeros(len(model.identity_basis), np.float32))


@pytest.fixture(scope="module")
def head(model, tmp_path_factory):
    """Somebody's neutral head as a scan of the front of the skin alone, and their vertices."""
    identity = 0.8 * np.random.default_rng(2).standard_normal(len(model.identity_basis)).astype(np.float32)
    vertices = model.vertices(identity)
    part = model.parts["skin"]
    front = np.flatnonzero(model.rest[part.vertices, 2] > -0.06)
    place = np.full(len(model.rest), -1)
    place[front] = np.arange(len(front))
    triangles = place[model.triangles[part.triangles]]
    triangles = triangles[(triangles >= 0).all(1)]
    points = model.bind(load_layout("ibug68").positions).moved(vertices, model.rest)
    path = write(tmp_path_factory.mktemp("head"), "head", vertices[front], triangles, points, "ibug68")
    return path, identity, vertices, front


def test_a_scan_becomes_the_person(model, head):
    path, _, vertices, _ = head
    person = person_of(model, "somebody", read_mesh_file(path))
    use = np.flatnonzero(model.region_mask("face"))
    # To their surface, not to their vertices: a scan does not say which point of it is which.
    own, truth = person.vertices(model)[use].astype(float), vertices[use].astype(float)
    _, turn, move = similarity_transform(own, truth, with_scale=False)
    mean = np.linalg.norm(model.rest[use] - truth, axis=1)
    assert np.median(np.linalg.norm(own @ turn.T + move - truth, axis=1)) < 0.001 < 0.5 * np.median(mean)


def test_a_scan_of_unknown_size_is_the_same_shape(model, head):
    mesh = read_mesh_file(head[0])
    small = {name: 0.5 * place for name, place in mesh.landmarks.items()}
    person = person_of(model, "x", replace(mesh, vertices=0.5 * mesh.vertices, landmarks=small, sized=False))
    use = np.flatnonzero(model.region_mask("face"))
    own, truth = person.vertices(model)[use].astype(float), head[2][use].astype(float)
    scale, turn, move = similarity_transform(own, truth)
    assert np.median(np.linalg.norm(scale * own @ turn.T + move - truth, axis=1)) < 0.0012


def test_a_job_is_fitted_with_the_users_head_and_skull(model, head, tmp_path):
    path, identity, vertices, front = head
    queries = load_layout("ibug68")
    to_camera = np.diag([1.0, -1.0, -1.0]) @ euler_to_matrix(np.array([-0.3, 0.0, 0.3]), 0.0, 0.0)
    camera = Camera.pinhole(1280, 720, 1500.0)
    points = model.points(queries, identity, None) @ np.swapaxes(to_camera, 1, 2) + [0.0, 0.0, 0.6]
    tracks = Tracks(
        camera.project(points).astype(np.float32), np.full((3, 68), 0.3, np.float32), np.ones((3, 68), np.float32),
        np.arange(1, 4), queries, {"ibug68": (0, 68)}, 1280, 720, 24.0,
    )  # fmt: skip
    skull, triangles = part_mesh(model, SKULL_PARTS)
    layout = load_layout("skull")
    on_bone = model.bind(layout.positions).moved(vertices, model.rest)
    bones = write(tmp_path, "skull", vertices[skull][::-1], len(skull) - 1 - triangles[:, ::-1], on_bone, "skull")
    meshes = [read_mesh_file(path), read_mesh_file(bones)]
    fit = fit_job(tmp_path, [tracks], [camera], ("face", "skull"), meshes=meshes)
    with np.load(tmp_path / "head.npz") as data:
        truth = vertices[front] @ np.swapaxes(to_camera, 1, 2) + [0.0, 0.0, 0.6]
        error = np.linalg.norm(data["vertices"] - truth, axis=-1)[:, model.region_mask("face")[front]]
        assert data["vertices"].shape == truth.shape and np.median(error) < 0.003
    saved = RigidFit.load(tmp_path / "skull.npz")
    np.testing.assert_array_equal(saved.triangles, len(skull) - 1 - triangles[:, ::-1])
    placed = vertices[skull][::-1] @ to_camera[1].T + [0.0, 0.0, 0.6]
    assert np.median(np.linalg.norm(saved.placed(1) - placed, axis=1)) < 0.004
    assert fit.quality.mean_reprojection < 3.0
    said = [note for note in fit.quality.notes if "is aligned by" in note]
    assert [note.split()[1] for note in said] == ["head", "skull"] and not any("farther apart" in note for note in said)
    with pytest.raises(UserError, match="who is it"):
        fit_job(tmp_path, [tracks], [camera], ("face",), tmp_path / "actor.npz", meshes=meshes)


@pytest.mark.parametrize("sized", [True, False])
def test_landmarks_that_do_not_tell_how_a_mesh_is_turned_are_told(model, tmp_path, sized):
    """All on the chin, a millimetre off: the jaw could be turned by many degrees."""
    vertices, triangles = part_mesh(model, JAW_PARTS)
    off = np.random.default_rng(0).normal(scale=0.001, size=(80, 3))
    layout = load_layout("jaw")
    path = write(tmp_path, "jaw", model.rest[vertices], triangles, layout.positions + off, "jaw")
    mesh = replace(read_mesh_file(path), sized=sized)
    assert "farther apart" not in how_aligned(mesh, mesh.aligned(model, person_with(model)))
    chin = ["pogonion", "menton", "supramentale", "infradentale", "gnathion"]
    places = elsewhere(layout.positions + off)[layout.index(chin)] * 0.01
    mesh = replace(mesh, landmarks=dict(zip(chin, places, strict=True)))
    assert "farther apart" in how_aligned(mesh, mesh.aligned(model, person_with(model)))


@pytest.mark.parametrize(
    "change",
    [{"part": "nose"}, {"version": 3}, {"file": "none.obj"}, {"landmarks": {"a": [1, 2]}}, {"landmarks": [1]}],
)
def test_a_wrong_document_is_refused(head, tmp_path, change):
    document = json.loads(head[0].read_text())
    (tmp_path / "m.json").write_text(json.dumps(document | change))
    with pytest.raises(UserError):
        read_mesh_file(tmp_path / "m.json")


def test_landmarks_must_fix_the_mesh(model, head):
    mesh = read_mesh_file(head[0])
    few = dict(list(mesh.landmarks.items())[:2])
    with pytest.raises(UserError, match="three"):
        replace(mesh, landmarks=few).aligned(model, person_with(model))
    with pytest.raises(UserError, match="no point named"):
        replace(mesh, landmarks={"antler": np.zeros(3)}).aligned(model, person_with(model))
