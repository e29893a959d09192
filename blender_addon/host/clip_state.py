"""What FaceQuery keeps on a movie clip: the shot's settings, and for every face in it its region and its jobs."""

import json

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    FloatVectorProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from ..core.errors import AddonError
from .compat import BLEND_RELATIVE
from .registration import registration
from .state import redraw_all

# The backend's formats: name, title, what it is for.
EXPORTS = (
    ("nuke", "Nuke Tracker", "Tracker4 node of the tracks"),
    ("nuke-cornerpin", "Nuke Corner Pin", "CornerPin2D node of four selected tracks"),
    ("after-effects", "After Effects", "Keyframe text of the tracks, to be pasted"),
    ("3dequalizer", "3DEqualizer", "2D tracks"),
    ("syntheyes", "SynthEyes", "2D tracker paths"),
    ("pftrack", "PFTrack", "2D tracks"),
    ("mmsolver", "mmSolver", "UV tracks for Maya"),
    ("csv", "CSV", "Every point in every frame"),
    ("json", "JSON", "Every point in every frame"),
    ("usd", "USD", "Camera, face, skull and jaw"),
    ("alembic", "Alembic", "Camera, face as a vertex cache, skull and jaw"),
    ("fbx", "FBX", "Camera, face with ARKit shapes, skull and jaw"),
    ("pc2", "PC2", "Point cache of the face, with its mesh"),
    ("arkit-csv", "ARKit CSV", "The 52 curves, as Live Link Face writes them"),
    ("arkit-json", "ARKit JSON", "The 52 curves"),
)


BLENDS = (
    ("multiply", "Multiply", "Darkens the skin, as ink does"),
    ("luminance", "Luminance", "Takes over the light on the skin"),
    ("over", "Over", "Covers the skin"),
)
MATTES = tuple(
    (name, name.title(), f"Matte of the {name}", 1 << number)
    for number, name in enumerate(("skin", "nose", "brows", "eyes", "lips", "mouth", "ears", "neck"))
)


class FaceState(bpy.types.PropertyGroup):
    """One face of a clip: where it is, whose it is, and the job whose results are in the file."""

    name: StringProperty(name="Name", default="Face")
    number: IntProperty(description="Never used twice in a clip; names the folder of the face's jobs")
    which: IntProperty(name="Which Face", description="Which of several, counted from the largest", default=1, min=1)
    use_region: BoolProperty(
        name="Region", description="Say where the face is, instead of having it found", update=redraw_all
    )
    region: FloatVectorProperty(
        name="Region",
        description="Where the face is: x and y of the top left corner, width and height, in plate pixels",
        size=4,
        precision=1,
        update=redraw_all,
    )
    actor: StringProperty(
        name="Actor",
        description="File of a person whose head is known from another shot (actor.npz of its job); empty: learn it",
        subtype="FILE_PATH",
        options=BLEND_RELATIVE,
    )
    job: StringProperty(
        name="Job", description="Folder of the job that was imported", subtype="DIR_PATH", options=BLEND_RELATIVE
    )
    view: IntProperty(description="Which view of the job this clip is", default=1, min=1)
    pending: StringProperty(description="Folder of the job that was started and is not applied yet")
    corrections: StringProperty(description="JSON: pins and poses that were keyed by hand")
    digest: StringProperty(description="Hash of the tracks that were imported")
    tracking_object: StringProperty(description="Tracking object that holds the job's tracks")
    track_names: StringProperty(description="JSON: from the points' ids to the names of the tracks")
    head: PointerProperty(type=bpy.types.Object, description="The empty that carries the fitted head")
    camera: PointerProperty(type=bpy.types.Object, description="The camera that the fit was imported with")


class OtherView(bpy.types.PropertyGroup):
    """Another camera's clip of the same performance, frame by frame."""

    clip: PointerProperty(name="Clip", type=bpy.types.MovieClip)


def _is_camera(self: bpy.types.PropertyGroup, candidate: bpy.types.Object) -> bool:
    return candidate.type == "CAMERA"


class ClipState(bpy.types.PropertyGroup):
    """FaceQuery's part of a movie clip."""

    faces: CollectionProperty(type=FaceState)
    active_face: IntProperty(
        name="Face", description="The face that is tracked, corrected and exported", update=redraw_all
    )
    views: CollectionProperty(type=OtherView)
    camera: PointerProperty(
        name="Camera",
        description="A matchmove camera of the scene, which is never changed; empty: the camera is solved",
        type=bpy.types.Object,
        poll=_is_camera,
    )
    exposure: FloatProperty(
        name="Exposure", description="Stops by which dark footage is lightened for tracking", soft_min=-5, soft_max=5
    )
    allow_gaps: BoolProperty(name="Allow Gaps", description="Track a sequence that lacks frames, without them")
    limit_frames: BoolProperty(name="Range", description="Track only some frames")
    first: IntProperty(name="First", description="First frame, as numbered in the file names; video counts from 1")
    last: IntProperty(name="Last", description="Last frame, as numbered in the file names; video counts from 1")
    face_layout: BoolProperty(name="68 Points", description="Track the 68 iBUG points beside the scene's points")
    fit_face: BoolProperty(name="Face", description="Fit the face", default=True)
    fit_skull: BoolProperty(name="Skull", description="Fit the skull", default=True)
    fit_jaw: BoolProperty(name="Jaw", description="Fit the jaw", default=True)
    show_points: BoolProperty(
        name="Show Points", description="Draw all points of the job over the plate", default=True, update=redraw_all
    )
    export_format: EnumProperty(name="Format", description="What to write", items=EXPORTS)
    export_selected: BoolProperty(name="Selected Tracks", description="Leave out the tracks that are not selected")
    export_undistorted: BoolProperty(
        name="Undistorted", description="Points as if the lens were ideal, for plates that were undistorted"
    )
    export_hidden: BoolProperty(name="Hidden Points", description="Write points also where they are hidden")
    picture: StringProperty(
        name="Picture",
        description="A picture with alpha: on the head's UV map, or a decal",
        subtype="FILE_PATH",
        options=BLEND_RELATIVE,
    )
    blend: EnumProperty(name="Blend", description="How the picture and the skin become one", items=BLENDS)
    as_decal: BoolProperty(
        name="Decal", description="Put the picture on the face at the selected track, not by the head's UV map"
    )
    decal_width: FloatProperty(name="Width", description="In plate pixels in this frame", default=100.0, min=1.0)
    decal_rotation: FloatProperty(name="Rotation", description="In degrees clockwise")
    refine_picture: BoolProperty(
        name="Refine", description="Align it to the plate at its full resolution, so that it sticks to the skin; slower"
    )
    matte_regions: EnumProperty(
        name="Regions", description="What to write a matte of", items=MATTES, options={"ENUM_FLAG"}, default={"skin"}
    )
    matte_suffix: EnumProperty(
        name="Files", items=((".exr", "EXR", "Half float"), (".png", "PNG", "8 bit")), description="Kind of files"
    )
    color_by: EnumProperty(
        name="Color",
        items=(("ERROR", "Error", "Green over yellow to red"), ("GROUP", "Group", "One color per group")),
        update=redraw_all,
    )
    point_size: FloatProperty(
        name="Size", description="Diameter of the points in pixels", default=6.0, min=2.0, max=40.0, update=redraw_all
    )


def clip_state(clip: bpy.types.MovieClip) -> ClipState:
    """FaceQuery's part of a movie clip."""
    return clip.facequery  # type: ignore[attr-defined]


def active_face(clip: bpy.types.MovieClip) -> FaceState | None:
    """The face of a clip that the panels speak of; None before there is any."""
    state = clip_state(clip)
    return state.faces[min(state.active_face, len(state.faces) - 1)] if len(state.faces) else None


def the_face(clip: bpy.types.MovieClip) -> FaceState:
    """The active face of a clip, which is made when there is none; never to be called while drawing."""
    return active_face(clip) or add_face(clip)


def add_face(clip: bpy.types.MovieClip) -> FaceState:
    """Add a face to a clip and make it the active one."""
    state = clip_state(clip)
    number = max((face.number for face in state.faces), default=0) + 1
    face = state.faces.add()
    face.number, face.name, face.which = number, f"Face {number}", len(state.faces)
    state.active_face = len(state.faces) - 1
    return face


def face_of_number(clip: bpy.types.MovieClip, number: int) -> FaceState | None:
    """The face with a number; None when it was removed."""
    return next((face for face in clip_state(clip).faces if face.number == number), None)


def imported_face(clip: bpy.types.MovieClip) -> FaceState:
    """The active face, whose results are in the file. Raises AddonError when there are none."""
    face = active_face(clip)
    if face is None or not face.job:
        raise AddonError("This face has no results in the file.", "Track it and press Ready: Apply.", "FQ775")
    return face


def track_names(face: FaceState) -> dict[str, str]:
    """From the ids of the points to the names of their tracks."""
    return json.loads(face.track_names) if face.track_names else {}


_register, _unregister = registration(FaceState, OtherView, ClipState)


def register() -> None:
    _register()
    bpy.types.MovieClip.facequery = PointerProperty(type=ClipState)  # type: ignore[attr-defined, func-returns-value]


def unregister() -> None:
    del bpy.types.MovieClip.facequery  # type: ignore[attr-defined]
    _unregister()
