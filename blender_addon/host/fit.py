"""A job's fits in the scene: camera with the plate behind it, face, skull and jaw, all animated."""

from dataclasses import dataclass, field, replace
from typing import Final

import bpy
import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

from .._vendor.facequery_protocol.frames import FrameMap
from ..core.errors import AddonError
from ..core.head_asset import HeadAsset, Part, load_head, rotation_matrix
from ..core.job_results import JobFace, JobFolder, JobRigid
from ..core.plate_camera import SENSOR_WIDTH, PlateCamera
from ..core.point_cache import write_pc2
from ..core.space import camera_matrices, canonical_matrix, canonical_to_blender, object_matrices, pose_matrices
from .animation import evaluated_matrices, set_curve, set_motion
from .head import LABELS, add_shape_keys, key_blocks, material, mesh_of, part_mesh
from .state import object_state

_FACE_PARTS: Final = ("skin", "eye_left", "eye_right", "teeth_upper", "teeth_lower", "gums_tongue")


@dataclass
class FitOptions:
    """What to import: face as "KEYS", "CACHE" or "NONE"; skull; jaw; camera: None makes one, else that is used."""

    face: str = "KEYS"
    skull: bool = True
    jaw: bool = True
    camera: bpy.types.Object | None = None
    up: str = "Z"


@dataclass
class FitObjects:
    """What was made: the empty that carries the head's motion, the camera, and the parts by name."""

    collection: bpy.types.Collection
    camera: bpy.types.Object
    head: bpy.types.Object | None = None
    parts: dict[str, bpy.types.Object] = field(default_factory=dict)


def import_fit(
    scene: bpy.types.Scene, job: JobFolder, clip: bpy.types.MovieClip | None, frames: FrameMap, options: FitOptions
) -> FitObjects:
    """Make the camera and the fitted parts of a job in a collection of their own. Raises AddonError.

    Nothing that is in the scene is changed: every import makes new objects and new actions.
    """
    files = frames.files
    scene_frames = frames.convert(files, "file", "scene").astype(np.float64)
    plate = job.camera().at(files)
    collection = bpy.data.collections.new(f"FaceQuery {job.name}")
    scene.collection.children.link(collection)
    # Of a solved shot with several views the others stand relative to the first, which is the world.
    known = bool(job.request.get("cameras"))
    solved = camera_matrices(plate.poses(len(files)), known, options.up)
    if options.camera is None:
        poses = solved
        camera = _make_camera(job.name, plate, poses, scene_frames)
        collection.objects.link(camera)
    else:
        camera = options.camera
        poses = evaluated_matrices(camera, scene, [int(f) for f in scene_frames])
    # Fits stand before the camera of the first view, whichever view is imported.
    first = replace(job, view=1).camera().at(files)
    first_camera = poses @ np.linalg.inv(solved) @ camera_matrices(first.poses(len(files)), known, options.up)
    made = FitObjects(collection, camera)
    if clip is not None and options.camera is None:
        _show_plate(camera, clip, plate)

    face = job.face() if options.face != "NONE" and job.has("face") else None
    skull = job.rigid("skull") if options.skull and job.has("skull") else None
    jaw = job.rigid("jaw") if options.jaw and job.has("jaw") else None
    carrier = face or skull or jaw
    if carrier is None:
        return made
    for name, result in (("face", face), ("skull", skull), ("jaw", jaw)):
        if result is not None and len(result.rotation) != len(files):
            raise AddonError(f"The {name} has {len(result.rotation)} frames, the tracks {len(files)}.", code="FQ759")
    head_to_camera = pose_matrices(carrier.rotation, carrier.translation)
    made.head = _empty(f"{job.name} Head", "motion", collection)
    set_motion(made.head, scene_frames, object_matrices(first_camera, head_to_camera))

    jaw_motion = None
    if jaw is not None:
        jaw_motion = np.linalg.inv(head_to_camera) @ pose_matrices(jaw.rotation, jaw.translation)
    elif face is not None:
        jaw_motion = _jaw_motion(load_head(), face)
    jaw_empty = None
    if jaw_motion is not None:
        jaw_empty = _empty(f"{job.name} Jaw", "jaw_motion", collection, made.head)
        turn = canonical_matrix()
        set_motion(jaw_empty, scene_frames, turn @ jaw_motion @ np.linalg.inv(turn))

    if face is not None:
        _import_face(
            job, face, scene_frames, made, jaw_empty, options.face == "CACHE", skull is not None, jaw is not None
        )
    if skull is not None:
        motion = np.linalg.inv(head_to_camera) @ pose_matrices(skull.rotation, skull.translation)
        made.parts["skull"] = _rigid(job.name, "skull", skull, made.head, collection)
        turn = canonical_matrix()
        set_motion(made.parts["skull"], scene_frames, turn @ motion @ np.linalg.inv(turn))
    if jaw is not None:
        made.parts["jaw"] = _rigid(job.name, "jaw", jaw, jaw_empty, collection)
    return made


def _empty(
    name: str, part: str, collection: bpy.types.Collection, parent: bpy.types.Object | None = None
) -> bpy.types.Object:
    empty = bpy.data.objects.new(name, None)
    empty.empty_display_size = 0.05
    empty.parent = parent
    state = object_state(empty)
    state.role, state.part = "RESULT", part
    collection.objects.link(empty)
    return empty


def _make_camera(name: str, plate: PlateCamera, poses: NDArray, frames: NDArray) -> bpy.types.Object:
    data = bpy.data.cameras.new(f"{name} Camera")
    numbers = plate.blender()
    data.sensor_fit, data.sensor_width = "HORIZONTAL", SENSOR_WIDTH
    data.clip_start, data.clip_end = 0.01, 1000.0
    data.display_size = 0.1
    for path, values in (("lens", numbers.lens), ("shift_x", numbers.shift_x), ("shift_y", numbers.shift_y)):
        if len(values) > 1 and np.ptp(values) > 0:
            set_curve(data, path, 0, frames, values)
        else:
            setattr(data, path, float(values[0]))
    camera = bpy.data.objects.new(f"{name} Camera", data)
    state = object_state(camera)
    state.role, state.part = "RESULT", "camera"
    set_motion(camera, frames, poses)
    return camera


def _show_plate(camera: bpy.types.Object, clip: bpy.types.MovieClip, plate: PlateCamera) -> None:
    """Put the clip behind the camera, undistorted when the clip knows its lens. New background images start hidden."""
    from .clip import set_lens

    data = camera.data
    assert isinstance(data, bpy.types.Camera)
    data.show_background_images = True
    image = data.background_images.new()
    image.source, image.clip = "MOVIE_CLIP", clip
    image.display_depth, image.frame_method, image.alpha = "BACK", "STRETCH", 1.0
    image.show_background_image = True
    image.clip_user.use_render_undistorted = set_lens(clip, plate)


def _jaw_motion(asset: HeadAsset, face: JobFace) -> NDArray[np.float64]:
    """The rigid motion (F, 4, 4) of the jaw in canonical space that the expression means, as in the backend's head."""
    names = list(asset.expressions)
    order = [names.index(name) for name in face.expression_names if name in asset.expressions]
    weights = np.zeros((len(face.expression), len(names)))
    weights[:, order] = face.expression[:, [n in asset.expressions for n in face.expression_names]]
    lower = asset.parts["teeth_lower"].vertices
    pivot = asset.jaw_pivot + asset.identity_offsets(face.identity)[lower].mean(axis=0)
    turns = np.stack([rotation_matrix(v) for v in weights @ asset.jaw_turn])
    return pose_matrices(turns, pivot + weights @ asset.jaw_move - turns @ pivot)


def _import_face(
    job: JobFolder,
    face: JobFace,
    frames: NDArray,
    made: FitObjects,
    jaw: bpy.types.Object | None,
    cache: bool,
    skull_has_teeth: bool,
    jaw_has_teeth: bool,
) -> None:
    """Skin, eyes, mouth, and the teeth that do not come with skull and jaw. Eyes turn, lower teeth go with the jaw."""
    asset = load_head()
    sizes = [asset.parts[name].vertices.stop - asset.parts[name].vertices.start for name in _FACE_PARTS]
    if sum(sizes) != face.vertices.shape[1]:
        raise AddonError(
            f"The face has {face.vertices.shape[1]} vertices, this extension's head {sum(sizes)}.",
            "Use results and extension of the same release.",
            "FQ721",
        )
    shape = asset.rest + asset.identity_offsets(face.identity)
    centres = [
        asset.eye_centres[i] + (shape - asset.rest)[asset.parts[name].vertices].mean(axis=0)
        for i, name in enumerate(("eye_left", "eye_right"))
    ]
    if face.offsets is not None and len(face.offsets) == len(shape):
        shape = shape + face.offsets
    skin = None
    starts = np.cumsum([0, *sizes])
    for i, name in enumerate(_FACE_PARTS):
        if (name == "teeth_upper" and skull_has_teeth) or (name == "teeth_lower" and jaw_has_teeth):
            continue
        part = asset.parts[name]
        obj = bpy.data.objects.new(f"{job.name} {LABELS[name]}", part_mesh(asset, part, shape))
        state = object_state(obj)
        state.role, state.part = "RESULT", name
        made.collection.objects.link(obj)
        made.parts[name] = obj
        obj.parent = jaw if name == "teeth_lower" and not cache and jaw is not None else made.head
        if cache:
            in_camera = face.vertices[:, starts[i] : starts[i + 1]].astype(np.float64)
            at_rest = np.einsum("fvj,fjk->fvk", in_camera - face.translation[:, None], face.rotation)
            _cache(job, obj, name, frames, canonical_to_blender(at_rest))
        elif part.kind == "eye":
            eye = ("eye_left", "eye_right").index(name)
            _turning_eye(obj, centres[eye], face.eye_rotation[:, eye], frames)
        elif name in ("skin", "gums_tongue"):
            add_shape_keys(obj, asset.shape_keys(part), skin)
            skin = skin or obj
    if skin is not None:
        _animate_keys(skin, face, frames)


def _turning_eye(obj: bpy.types.Object, centre: NDArray, rotation: NDArray, frames: NDArray) -> None:
    place = canonical_to_blender(centre)
    mesh_of(obj).transform(Matrix.Translation((-place).tolist()))
    turn = canonical_matrix()
    motion = turn @ pose_matrices(rotation, np.zeros((len(rotation), 3))) @ np.linalg.inv(turn)
    motion[:, :3, 3] = place
    set_motion(obj, frames, motion)


def _animate_keys(skin: bpy.types.Object, face: JobFace, frames: NDArray) -> None:
    blocks = key_blocks(skin)
    keys = mesh_of(skin).shape_keys
    for column, name in enumerate(face.expression_names):
        if name in blocks:
            path = f'key_blocks["{name}"].value'
            set_curve(keys, path, 0, frames, face.expression[:, column])


def _cache(job: JobFolder, obj: bpy.types.Object, name: str, frames: NDArray, vertices: NDArray) -> None:
    """Play vertices (F, V, 3) in the object's space from a PC2 file in the job's folder; gaps hold the last frame."""
    first, last = int(frames[0]), int(frames[-1])
    rows = np.searchsorted(frames, np.arange(first, last + 1), side="right") - 1
    path = job.folder / f"face_{name}.pc2"
    try:
        write_pc2(path, vertices[rows], first)
    except OSError as error:
        raise AddonError(f'"{path}" cannot be written ({error.strerror}).', "Free some space.", "FQ760") from None
    modifier = obj.modifiers.new("FaceQuery", "MESH_CACHE")
    assert isinstance(modifier, bpy.types.MeshCacheModifier)
    modifier.cache_format = "PC2"
    modifier.filepath = bpy.path.relpath(str(path)) if bpy.data.filepath else str(path)
    modifier.frame_start = first
    modifier.interpolation = "LINEAR"


def _rigid(
    name: str, which: str, fit: JobRigid, parent: bpy.types.Object, collection: bpy.types.Collection
) -> bpy.types.Object:
    """Skull or jaw: the bone and the teeth on it, as one object."""
    mesh = bpy.data.meshes.new(f"{name} {which.title()}")
    mesh.from_pydata(canonical_to_blender(fit.vertices).tolist(), [], fit.triangles.tolist())
    bone: Part | None = load_head().parts.get("cranium" if which == "skull" else "mandible")
    mesh.materials.append(material("Bone"))
    mesh.materials.append(material("Teeth"))
    if bone is not None:
        first_tooth = bone.triangles.stop - bone.triangles.start
        mesh.polygons.foreach_set("material_index", (np.arange(len(fit.triangles)) >= first_tooth).astype(np.int32))
    mesh.update()
    mesh.shade_smooth()
    obj = bpy.data.objects.new(f"{name} {which.title()}", mesh)
    obj.parent = parent
    state = object_state(obj)
    state.role, state.part = "RESULT", which
    collection.objects.link(obj)
    return obj


def fits_of(scene: bpy.types.Scene) -> list[bpy.types.Object]:
    """The empties that carry the imported fits of a scene."""
    return [
        obj
        for obj in scene.objects
        if obj.type == "EMPTY" and obj.parent is None and object_state(obj).role == "RESULT"
    ]


def fitted_parts(head: bpy.types.Object) -> list[bpy.types.Object]:
    """The mesh objects of a fit, in the order they were made."""
    return [obj for obj in head.children_recursive if obj.type == "MESH" and object_state(obj).part]


def match_scene(
    scene: bpy.types.Scene, clip: bpy.types.MovieClip | None, camera: PlateCamera | None, frames: FrameMap
) -> None:
    """Give the scene the plate's resolution, pixel aspect, frame rate and the range of the job's frames."""
    render = scene.render
    width, height = (camera.width, camera.height) if camera else tuple(clip.size) if clip else (0, 0)
    if width and height:
        render.resolution_x, render.resolution_y, render.resolution_percentage = width, height, 100
    if camera is not None:
        numbers = camera.blender()
        render.pixel_aspect_x, render.pixel_aspect_y = numbers.pixel_aspect_x, numbers.pixel_aspect_y
    fps = frames.fps
    render.fps = max(1, round(fps))
    render.fps_base = render.fps / fps
    scene_frames = frames.convert(frames.files, "file", "scene")
    # The end may not lie before the start, not even between the two assignments.
    scene.frame_end = max(scene.frame_end, int(scene_frames[-1]))
    scene.frame_start, scene.frame_end = int(scene_frames[0]), int(scene_frames[-1])
    scene.frame_current = int(np.clip(scene.frame_current, scene.frame_start, scene.frame_end))
