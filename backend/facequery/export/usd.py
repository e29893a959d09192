"""USD: camera, face (blend shapes with a small skeleton, and a point cache), skull and jaw in one stage.

    /Shot                 variant set "face": "cache" (shown by default) or "rig"
    /Shot/Camera          focal length, aperture and offsets a frame
    /Shot/FaceCache       mesh with the fit's own points at every frame
    /Shot/FaceRig         SkelRoot: mesh of the person without expression, 52 blend shapes with ARKit's names, joints
                          head, head/jaw, head/eye_left, head/eye_right; an animation drives them
    /Shot/Skull, /Shot/Jaw   rigid meshes, posed a frame

Metres; y up, or z up where the camera came with a pose (see `facequery.export.stage`). Time codes are the numbers in
the file names, timeCodesPerSecond the shot's rate. Everything stands in undistorted space: USD's camera has no lens, so
undistort the plate, or distort the render (`facequery stmap`, or the camera's own ST map). Squeezed pixels are in the
camera's apertures. The rig is what a linear rig can be: blend shapes are applied before the jaw turns, while FaceQuery
adds them after, so that rig and cache differ a little where the jaw is open (docs/export.md says how much). Texture
coordinates are the head's atlas, v up.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facequery.errors import UserError
from facequery.export.files import whole_file
from facequery.export.mesh import FaceMesh, face_mesh
from facequery.export.source import Source
from facequery.export.stage import Stage, stage_of
from facequery.fitting.results import FaceFit, RigidFit
from facequery.head.model import HeadModel

_APERTURE = 36.0  # millimetres; any will do, for focal lengths follow from it
_SMALL = 1e-6  # metres: smaller blend shape offsets are left out


def write(source: Source, path: Path) -> list[Path]:
    """Write the .usdc. Raises UserError when the job has no fitted face or camera, or usd-core is missing."""
    try:
        from pxr import Usd, UsdGeom
    except ImportError:
        raise UserError(
            "USD needs the library usd-core.", "Run in FaceQuery's folder: python install.py --extras usd", "FQ510"
        ) from None
    face, stage = source.need_face(), stage_of(source)
    with whole_file(path) as temporary:
        usd = Usd.Stage.CreateNew(str(temporary))
        UsdGeom.SetStageUpAxis(usd, UsdGeom.Tokens.z if stage.up == "Z" else UsdGeom.Tokens.y)
        UsdGeom.SetStageMetersPerUnit(usd, 1.0)
        usd.SetTimeCodesPerSecond(source.fps)
        usd.SetFramesPerSecond(source.fps)
        usd.SetStartTimeCode(float(source.frames[0]))
        usd.SetEndTimeCode(float(source.frames[-1]))
        root = UsdGeom.Xform.Define(usd, "/Shot")
        usd.SetDefaultPrim(root.GetPrim())
        _camera(usd, source, stage)
        mesh = face_mesh(face)
        _cache(usd, source, stage, face, mesh)
        _rig(usd, source, stage, face, mesh)
        for name, part in (("Skull", source.skull), ("Jaw", source.jaw)):
            if part is not None:
                _rigid(usd, name, part, source, stage)
        _variants(root.GetPrim())
        usd.GetRootLayer().Save()
        del usd
    return [path]


def _camera(usd: Any, source: Source, stage: Stage) -> None:
    from pxr import Gf, UsdGeom

    camera = source.need_camera()
    prim = UsdGeom.Camera.Define(usd, "/Shot/Camera")
    prim.CreateClippingRangeAttr(Gf.Vec2f(0.01, 1000.0))
    # Lengths of a USD camera are in tenths of the stage's unit: with metres, a millimetre is 0.01 of them.
    unit = 0.01
    focal, width, height = prim.CreateFocalLengthAttr(), *_apertures(prim)
    across, up = prim.CreateHorizontalApertureOffsetAttr(), prim.CreateVerticalApertureOffsetAttr()
    place = prim.AddTransformOp()
    for row, frame in enumerate(source.frames.tolist()):
        k = min(row, len(camera) - 1)
        length = _APERTURE * camera.fx[k] / camera.width
        high = length * camera.height / camera.fy[k]
        for attribute, value in (
            (focal, length),
            (width, _APERTURE),
            (height, high),
            (across, _APERTURE * (0.5 - camera.cx[k] / camera.width)),
            (up, high * (camera.cy[k] / camera.height - 0.5)),
        ):
            attribute.Set(float(value * unit), frame)
        place.Set(_matrix(stage.camera[row]), frame)


def _apertures(prim: Any) -> tuple[Any, Any]:
    return prim.CreateHorizontalApertureAttr(), prim.CreateVerticalApertureAttr()


def _cache(usd: Any, source: Source, stage: Stage, face: FaceFit, mesh: FaceMesh) -> None:
    prim = _polygons(usd, "/Shot/FaceCache", mesh.counts, mesh.faces, mesh.st)
    points, extent = prim.GetPointsAttr(), prim.CreateExtentAttr()
    for row, frame in enumerate(source.frames.tolist()):
        here = stage.points(row, face.vertices[row]).astype(np.float32)
        points.Set(_vectors(here), frame)
        extent.Set(_vectors(np.stack([here.min(0), here.max(0)])), frame)
        if source.report:
            source.report(row + 1, len(source.frames))


def _rig(usd: Any, source: Source, stage: Stage, face: FaceFit, mesh: FaceMesh) -> None:
    """A skeleton of four joints, a mesh bound to it, its blend shapes, and the animation of both."""
    from pxr import Gf, UsdSkel, Vt

    model = HeadModel.load()
    UsdSkel.Root.Define(usd, "/Shot/FaceRig")
    skeleton = UsdSkel.Skeleton.Define(usd, "/Shot/FaceRig/Skeleton")
    joints = ["head", "head/jaw", "head/eye_left", "head/eye_right"]
    pivots = np.zeros((4, 3))
    pivots[1] = model.jaw_pivot + face.identity @ model.jaw_pivot_basis
    pivots[2:] = model.eye_centres(face.identity)
    bind = [Gf.Matrix4d(1.0).SetTranslate(Gf.Vec3d(*p.tolist())) for p in pivots]
    skeleton.CreateJointsAttr(joints)
    skeleton.CreateBindTransformsAttr(bind)
    skeleton.CreateRestTransformsAttr(bind)  # the head's is the identity, so that local and bind are the same

    prim = _polygons(usd, "/Shot/FaceRig/Face", mesh.counts, mesh.faces, mesh.st)
    prim.GetPointsAttr().Set(_vectors(mesh.neutral))
    prim.CreateExtentAttr(_vectors(np.stack([mesh.neutral.min(0), mesh.neutral.max(0)])))
    binding = UsdSkel.BindingAPI.Apply(prim.GetPrim())
    binding.CreateSkeletonRel().SetTargets([skeleton.GetPath()])
    indices, weights = _skin(model, mesh)
    binding.CreateJointIndicesPrimvar(False, 2).Set(Vt.IntArray.FromNumpy(indices.ravel()))
    binding.CreateJointWeightsPrimvar(False, 2).Set(Vt.FloatArray.FromNumpy(weights.ravel()))
    binding.CreateGeomBindTransformAttr(Gf.Matrix4d(1.0))
    targets = []
    for name in face.expression_names:
        offsets = model.expression_basis[model.expression_names.index(name)][mesh.head_index]
        moved = np.flatnonzero(np.abs(offsets).max(axis=1) > _SMALL).astype(np.int32)
        shape = UsdSkel.BlendShape.Define(usd, prim.GetPath().AppendChild(name))
        shape.CreateOffsetsAttr(_vectors(offsets[moved]))
        shape.CreatePointIndicesAttr(Vt.IntArray.FromNumpy(moved))
        targets.append(shape.GetPath())
    binding.CreateBlendShapesAttr(list(face.expression_names))
    binding.CreateBlendShapeTargetsRel().SetTargets(targets)

    animation = UsdSkel.Animation.Define(usd, "/Shot/FaceRig/Animation")
    UsdSkel.BindingAPI.Apply(skeleton.GetPrim()).CreateAnimationSourceRel().SetTargets([animation.GetPath()])
    animation.CreateJointsAttr(joints)
    animation.CreateBlendShapesAttr(list(face.expression_names))
    animation.CreateScalesAttr(Vt.Vec3hArray(4, Gf.Vec3h(1, 1, 1)))
    turns, moves = animation.CreateRotationsAttr(), animation.CreateTranslationsAttr()
    curves = animation.CreateBlendShapeWeightsAttr()
    local = _joint_matrices(model, face, stage, pivots)
    for row, frame in enumerate(source.frames.tolist()):
        quaternions = [Gf.Quatf(_matrix(m).ExtractRotationQuat()) for m in local[row]]
        turns.Set(Vt.QuatfArray(quaternions), frame)
        moves.Set(_vectors(local[row, :, :3, 3]), frame)
        curves.Set(Vt.FloatArray.FromNumpy(np.ascontiguousarray(face.expression[row], np.float32)), frame)


def _skin(model: HeadModel, mesh: FaceMesh) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Two joints and their weights a vertex (V, 2): the head with the jaw or, for eyes, with that eye."""
    indices = np.zeros((len(mesh.head_index), 2), np.int32)
    weights = np.zeros((len(mesh.head_index), 2), np.float32)
    jaw = np.asarray(model.jaw_weight)[mesh.head_index]
    indices[:, 1], weights[:, 0], weights[:, 1] = 1, 1 - jaw, jaw
    for joint, name in ((2, "eye_left"), (3, "eye_right")):
        eye = model.parts[name].vertices
        part = (mesh.head_index >= eye.start) & (mesh.head_index < eye.stop)
        indices[part, 1], weights[part] = joint, (0.0, 1.0)
    return indices, weights


def _joint_matrices(model: HeadModel, face: FaceFit, stage: Stage, pivots: NDArray) -> NDArray[np.float64]:
    """(F, 4, 4, 4) of every joint against its parent, column vectors."""
    count = len(face.frames)
    local = np.tile(np.eye(4), (count, 4, 1, 1))
    local[:, 0] = stage.pose(face.rotation, face.translation)
    turn, move = model.jaw_transform(face.expression, face.identity)
    local[:, 1, :3, :3] = turn
    local[:, 1, :3, 3] = np.einsum("fij,j->fi", turn, pivots[1]) + move
    for eye in (0, 1):
        local[:, 2 + eye, :3, :3] = face.eye_rotation[:, eye]
        local[:, 2 + eye, :3, 3] = pivots[2 + eye]
    return local


def _rigid(usd: Any, name: str, part: RigidFit, source: Source, stage: Stage) -> None:
    triangles = np.asarray(part.triangles, np.int32)
    prim = _polygons(usd, f"/Shot/{name}", np.full(len(triangles), 3, np.int32), triangles.ravel(), None)
    prim.GetPointsAttr().Set(_vectors(part.vertices))
    prim.CreateExtentAttr(_vectors(np.stack([part.vertices.min(0), part.vertices.max(0)])))
    place = prim.AddTransformOp()
    for matrix, frame in zip(stage.pose(part.rotation, part.translation), source.frames.tolist(), strict=True):
        place.Set(_matrix(matrix), frame)


def _variants(root: Any) -> None:
    """Show the cache or the rig."""
    from pxr import UsdGeom

    variants = root.GetVariantSets().AddVariantSet("face")
    for name, hidden in (("cache", "FaceRig"), ("rig", "FaceCache")):
        variants.AddVariant(name)
        variants.SetVariantSelection(name)
        with variants.GetVariantEditContext():
            UsdGeom.Imageable(root.GetChild(hidden)).CreateVisibilityAttr(UsdGeom.Tokens.invisible)
    variants.SetVariantSelection("cache")


def _polygons(usd: Any, path: str, counts: NDArray, faces: NDArray, st: NDArray | None) -> Any:
    from pxr import Sdf, UsdGeom, Vt

    prim = UsdGeom.Mesh.Define(usd, path)
    prim.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    prim.CreateFaceVertexCountsAttr(Vt.IntArray.FromNumpy(np.ascontiguousarray(counts, np.int32)))
    prim.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(np.ascontiguousarray(faces, np.int32)))
    if st is not None:
        values = Vt.Vec2fArray.FromNumpy(np.ascontiguousarray(st, np.float32))
        primvars = UsdGeom.PrimvarsAPI(prim.GetPrim())
        primvars.CreatePrimvar("st", Sdf.ValueTypeNames.TexCoord2fArray, UsdGeom.Tokens.faceVarying).Set(values)
    return prim


def _vectors(values: NDArray) -> Any:
    from pxr import Vt

    return Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(values, np.float32))


def _matrix(values: NDArray) -> Any:
    """USD's matrices take row vectors."""
    from pxr import Gf

    return Gf.Matrix4d(*np.asarray(values, np.float64).T.ravel().tolist())
