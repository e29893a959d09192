"""Meshes, cameras and curves, read back by USD itself, by Blender, and by strict parsers."""

import csv
import json
import struct
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from facequery.errors import UserError
from facequery.export import arkit
from facequery.export.formats import format_of
from facequery.export.source import Source
from facequery.export.timecode import timecodes
from facequery.fitting.results import FaceFit
from facequery.geometry.cameras import Camera
from facequery.pipeline.export import ExportRequest, export_job, job_source

sys.path.insert(0, str(Path(__file__).parents[1] / "blender"))
from synthetic_job import FIRST, FRAMES, PLATES, write_job


@pytest.fixture(scope="module", params=["anamorphic", "lens_and_moving_camera", "portrait_off_centre_zoom"])
def job(request, tmp_path_factory) -> Path:
    folder, _ = write_job(tmp_path_factory.mktemp("scene") / "shot", PLATES[request.param])
    return folder


@pytest.fixture(scope="module")
def plain_job(tmp_path_factory) -> Path:
    folder, _ = write_job(tmp_path_factory.mktemp("scene") / "shot", PLATES["anamorphic"])
    return folder


def given(job: Path) -> Source:
    return job_source(job, ExportRequest("usd"))


def ideal(camera: Camera, row: int, points: np.ndarray) -> np.ndarray:
    """Undistorted pixels of points in this camera's space of one frame."""
    here = camera.select([row]) if len(camera) > 1 else camera
    placed = points.astype(np.float64) @ here.matrix[0].T
    return placed[:, :2] / placed[:, 2:]


# ---- USD

needs_usd = pytest.mark.skipif(find_spec("pxr") is None, reason="usd-core is not installed")


def open_usd(path: Path):
    from pxr import Usd

    return Usd.Stage.Open(str(path))


def pixels(stage, frame: int, points: np.ndarray, width: int, height: int) -> np.ndarray:
    """Where USD's own camera shows points of the stage, in FaceQuery's pixels."""
    from pxr import UsdGeom

    frustum = UsdGeom.Camera.Get(stage, "/Shot/Camera").GetCamera(frame).frustum
    view = np.array(frustum.ComputeViewMatrix() * frustum.ComputeProjectionMatrix())
    clip = np.concatenate([points, np.ones((len(points), 1))], axis=1) @ view
    unit = clip[:, :2] / clip[:, 3:]
    return (unit * [0.5, -0.5] + 0.5) * [width, height]


@needs_usd
def test_usd_shows_every_part_where_the_fit_is(job, tmp_path):
    from pxr import UsdGeom

    export_job(job, ExportRequest("usd", tmp_path / "a.usdc"))
    stage = open_usd(tmp_path / "a.usdc")
    source = given(job)
    assert (stage.GetStartTimeCode(), stage.GetEndTimeCode()) == (FIRST, FIRST + FRAMES - 1)
    assert stage.GetTimeCodesPerSecond() == pytest.approx(24000 / 1001)
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1.0
    assert source.face and source.skull and source.jaw and source.camera
    for row, frame in enumerate(source.frames.tolist()):
        parts = {
            "FaceCache": source.face.vertices[row], "Skull": source.skull.placed(row), "Jaw": source.jaw.placed(row),
        }  # fmt: skip
        for name, truth in parts.items():
            prim = UsdGeom.Mesh.Get(stage, f"/Shot/{name}")
            points = np.array(prim.GetPointsAttr().Get(frame))
            matrix = np.array(UsdGeom.XformCache(frame).GetLocalToWorldTransform(prim.GetPrim()))
            world = np.concatenate([points, np.ones((len(points), 1))], axis=1) @ matrix
            seen = pixels(stage, frame, world[:, :3], source.width, source.height)
            np.testing.assert_allclose(seen, ideal(source.camera, row, np.asarray(truth)), atol=0.02)


def skinned(stage, frame: int) -> np.ndarray:
    """The rig's points as USD's own skinning makes them."""
    from pxr import Usd, UsdGeom, UsdSkel, Vt

    cache = UsdSkel.Cache()
    root = UsdSkel.Root.Get(stage, "/Shot/FaceRig")
    cache.Populate(root, Usd.TraverseInstanceProxies())
    prim = stage.GetPrimAtPath("/Shot/FaceRig/Face")
    query = cache.GetSkinningQuery(prim)
    skeleton = cache.GetSkelQuery(UsdSkel.Skeleton.Get(stage, "/Shot/FaceRig/Skeleton"))
    assert query and skeleton and query.HasBlendShapes()
    points = Vt.Vec3fArray(UsdGeom.Mesh(prim).GetPointsAttr().Get())
    blend = UsdSkel.BlendShapeQuery(UsdSkel.BindingAPI(prim))
    weights = skeleton.GetAnimQuery().ComputeBlendShapeWeights(frame)
    weights = query.GetBlendShapeMapper().Remap(weights)
    sub, indices, shapes = blend.ComputeSubShapeWeights(weights)
    assert blend.ComputeDeformedPoints(
        sub, indices, shapes, blend.ComputeBlendShapePointIndices(), blend.ComputeSubShapePointOffsets(), points
    )
    transforms = skeleton.ComputeSkinningTransforms(frame)
    mapped = query.GetJointMapper().RemapTransforms(transforms) if query.GetJointMapper() else transforms
    assert query.ComputeSkinnedPoints(mapped, points, frame)
    return np.array(points)


@needs_usd
def test_usd_rig_moves_as_the_face_does(plain_job, tmp_path):
    export_job(plain_job, ExportRequest("usd", tmp_path / "a.usdc"))
    stage = open_usd(tmp_path / "a.usdc")
    source = given(plain_job)
    assert source.face
    names = stage.GetPrimAtPath("/Shot/FaceRig/Face").GetAttribute("skel:blendShapes").Get()
    assert set(names) == set(arkit.SHAPES)
    flip = np.array([1.0, -1.0, -1.0])
    errors = []
    for row, frame in enumerate(source.frames.tolist()):
        truth = source.face.vertices[row] * flip
        errors.append(np.linalg.norm(skinned(stage, frame) - truth, axis=1))
    # All 52 weights are random up to a half and the jaw opens to 0.9, far more than a face does. Blend shapes are
    # turned with the jaw: that is the whole difference, and there is none where the jaw is shut.
    assert np.max(errors[0]) < 1e-5
    assert max(error.mean() for error in errors) < 1e-4 and max(error.max() for error in errors) < 6e-3


@needs_usd
def test_usd_variants_show_cache_or_rig(plain_job, tmp_path):
    from pxr import UsdGeom

    export_job(plain_job, ExportRequest("usd", tmp_path / "a.usdc"))
    stage = open_usd(tmp_path / "a.usdc")
    variants = stage.GetDefaultPrim().GetVariantSets().GetVariantSet("face")
    for choice, shown in (("rig", "FaceRig"), ("cache", "FaceCache")):
        variants.SetVariantSelection(choice)
        for name in ("FaceRig", "FaceCache"):
            visible = UsdGeom.Imageable(stage.GetPrimAtPath(f"/Shot/{name}")).ComputeVisibility()
            assert (visible == UsdGeom.Tokens.inherited) == (name == shown)


# ---- PC2


def test_pc2_and_its_mesh(plain_job, tmp_path):
    files = export_job(plain_job, ExportRequest("pc2", tmp_path / "a.pc2", start=101)).files
    data = files[0].read_bytes()
    assert data[:12] == b"POINTCACHE2\0"
    version, count, first, step, samples = struct.unpack("<iiffi", data[12:32])
    source = given(plain_job)
    assert source.face
    assert (version, count, first, step, samples) == (1, source.face.vertices.shape[1], 101.0, 1.0, FRAMES)
    points = np.frombuffer(data[32:], "<f4").reshape(samples, count, 3)
    np.testing.assert_allclose(points, source.face.vertices * np.array([1, -1, -1]), atol=1e-6)
    lines = [line.split() for line in files[1].read_text().splitlines()]
    assert sum(line[0] == "v" for line in lines) == count
    corners = [corner.split("/") for line in lines if line[0] == "f" for corner in line[1:]]
    texture = sum(line[0] == "vt" for line in lines)
    assert all(1 <= int(v) <= count and 1 <= int(t) <= texture for v, t in corners)


def test_pc2_repeats_the_frame_before_a_gap():
    from facequery.export.pc2 import sample_rows

    assert sample_rows(np.array([1001, 1002, 1005])) == [0, 1, 1, 1, 2]


# ---- ARKit


def test_live_link_csv(plain_job, tmp_path):
    request = ExportRequest("arkit-csv", tmp_path / "a.csv", timecode="10:59:59:22")
    export_job(plain_job, request)
    rows = list(csv.reader((tmp_path / "a.csv").read_text().splitlines()))
    header = rows[0]
    assert header[:3] == ["Timecode", "BlendShapeCount", "EyeBlinkLeft"] and len(header) == 63
    assert header[-10:] == [
        "TongueOut", "HeadYaw", "HeadPitch", "HeadRoll", "LeftEyeYaw", "LeftEyePitch", "LeftEyeRoll",
        "RightEyeYaw", "RightEyePitch", "RightEyeRoll",
    ]  # fmt: skip
    assert [row[0] for row in rows[1:]] == [
        "10:59:59:22.000", "10:59:59:23.000", "11:00:00:00.000", "11:00:00:01.000", "11:00:00:02.000",
    ]  # fmt: skip
    face = given(plain_job).face
    assert face
    for row, weights in zip(rows[1:], face.expression, strict=True):
        assert row[1] == "61"
        values = dict(zip(header[2:], map(float, row[2:]), strict=True))
        for name, weight in zip(face.expression_names, weights, strict=True):
            assert values[name[0].upper() + name[1:]] == pytest.approx(float(weight), abs=1e-6)
    # The synthetic head yaws from -0.5 to 0.5 against a camera that it looks at.
    assert float(rows[1][header.index("HeadYaw")]) == pytest.approx(-0.5, abs=1e-6)
    assert float(rows[-1][header.index("HeadPitch")]) == pytest.approx(0.1, abs=1e-6)


def test_arkit_json(plain_job, tmp_path):
    export_job(plain_job, ExportRequest("arkit-json", tmp_path / "a.json"))
    document = json.loads((tmp_path / "a.json").read_text())
    assert document["names"][17] == "jawOpen" and len(document["names"]) == len(set(document["names"])) == 52
    weights = np.array(document["weights"])
    np.testing.assert_allclose(weights[:, 17], np.linspace(0, 0.9, FRAMES), atol=1e-5)
    assert document["timecodes"][0] == "00:00:41:17" and document["frames"][0] == FIRST


def test_timecodes():
    frames = np.array([0, 23, 24, 86399])
    assert timecodes(frames, 24000 / 1001) == ["00:00:00:00", "00:00:00:23", "00:00:01:00", "00:59:59:23"]
    assert timecodes(np.array([1001, 1002]), 25.0, "23:59:59:24") == ["23:59:59:24", "00:00:00:00"]
    for wrong in ("1:2:3", "24:00:00:00", "10:00:00:25", "ten"):
        with pytest.raises(UserError, match="timecode"):
            timecodes(frames, 25.0, wrong)


# ---- refusals


def test_what_a_job_lacks(plain_job, tmp_path):
    source = given(plain_job)
    object.__setattr__(source, "face", None)
    for name in ("usd", "pc2", "arkit-csv"):
        with pytest.raises(UserError, match="no fitted face"):
            format_of(name).write(source, tmp_path / "a")
    object.__setattr__(source, "camera", None)
    assert not list(tmp_path.iterdir())


def test_a_fit_of_another_head(plain_job, tmp_path):
    source = given(plain_job)
    face = source.face
    assert isinstance(face, FaceFit)
    object.__setattr__(face, "vertices", face.vertices[:, :100])
    with pytest.raises(UserError, match="another head"):
        format_of("usd").write(source, tmp_path / "a.usdc")
    assert not list(tmp_path.iterdir())
