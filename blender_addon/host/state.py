"""What FaceQuery keeps in the .blend: plain property groups on the scene and on objects."""

from collections.abc import Callable

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

from .compat import BLEND_RELATIVE
from .registration import registration
from .xray import set_xray

DEPTHS = (
    ("SURFACE", "Surface", "On the surface that was clicked"),
    ("BONE", "Bone", "Inwards to skull or jaw"),
    ("TEETH", "Teeth", "Inwards to the teeth"),
    ("DEPTH", "Depth", "Inwards by a distance"),
)
ROLES = (
    ("NONE", "None", "Not an object of FaceQuery"),
    ("HEAD", "Head", "The empty that holds a head"),
    ("PART", "Part", "A part of a head"),
    ("POINTS", "Points", "The points of a head"),
    ("RESULT", "Result", "Imported from a job folder"),
)


def redraw() -> None:
    """Have Blender draw all editors again that show points, or how far the backend is."""
    manager = bpy.context.window_manager
    for window in manager.windows if manager else ():
        for area in window.screen.areas:
            if area.type in ("VIEW_3D", "CLIP_EDITOR", "PREFERENCES"):
                area.tag_redraw()


def redraw_all(self: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:
    """As `redraw`, for a property whose change is to be seen."""
    redraw()


class PointGroup(bpy.types.PropertyGroup):
    """A named set of points with a colour."""

    name: StringProperty(name="Name", default="points")
    color: FloatVectorProperty(
        name="Color",
        description="Color of the group's points",
        subtype="COLOR",
        size=3,
        min=0.0,
        max=1.0,
        default=(0.1, 0.8, 1.0),
        update=redraw_all,
    )
    hide: BoolProperty(name="Hide", description="Do not draw the points of this group", update=redraw_all)


def _xray(self: "ObjectState", context: bpy.types.Context) -> None:
    head: bpy.types.Object = self.id_data  # type: ignore[assignment]
    set_xray((part for part in head.children if object_state(part).part == "skin"), self.xray)


class ObjectState(bpy.types.PropertyGroup):
    """FaceQuery's part of an object."""

    role: EnumProperty(items=ROLES, default="NONE")
    part: StringProperty(description="Name of the head's part")
    xray: BoolProperty(name="X-Ray", description="See eyes, teeth, skull and jaw through the skin", update=_xray)
    actor: StringProperty(
        name="Actor",
        description="File of the person whose shape the head shows",
        subtype="FILE_PATH",
        options=BLEND_RELATIVE,
    )
    actor_name: StringProperty(description="Name of that person")
    groups: CollectionProperty(type=PointGroup)
    active_group: IntProperty(name="Group", description="Group that new points join", min=0)


def _of_role(role: str) -> Callable[[bpy.types.PropertyGroup, bpy.types.Object], bool]:
    def poll(self: bpy.types.PropertyGroup, candidate: bpy.types.Object) -> bool:
        return object_state(candidate).role == role

    return poll


class SceneState(bpy.types.PropertyGroup):
    """FaceQuery's part of a scene."""

    head: PointerProperty(
        name="Head", description="The head that points are placed on", type=bpy.types.Object, poll=_of_role("HEAD")
    )
    points: PointerProperty(
        name="Points", description="The points that the tools edit", type=bpy.types.Object, poll=_of_role("POINTS")
    )
    point_size: FloatProperty(
        name="Size", description="Diameter of the points in pixels", default=9.0, min=2.0, max=40.0, update=redraw_all
    )
    depth: EnumProperty(name="Place On", description="Where a click places a point", items=DEPTHS)
    depth_distance: FloatProperty(
        name="Depth",
        description="Distance inwards",
        default=0.005,
        min=0.0,
        max=0.06,
        subtype="DISTANCE",
        step=0.1,
        precision=4,
    )
    symmetric: BoolProperty(name="Symmetric", description="Place the mirror image of a point along with it")
    sample_count: IntProperty(
        name="Points", description="How many points painting gives", default=200, min=1, max=20000, soft_max=5000
    )
    rounds: IntProperty(
        name="Rounds",
        description="How often the space between the points is filled; each round about triples their number",
        default=1,
        min=1,
        max=4,
    )


def object_state(obj: bpy.types.Object) -> ObjectState:
    """FaceQuery's part of an object."""
    return obj.facequery  # type: ignore[attr-defined]


def scene_state(scene: bpy.types.Scene) -> SceneState:
    """FaceQuery's part of a scene."""
    return scene.facequery  # type: ignore[attr-defined]


_register, _unregister = registration(PointGroup, ObjectState, SceneState)


def register() -> None:
    _register()
    bpy.types.Object.facequery = PointerProperty(type=ObjectState)  # type: ignore[attr-defined, func-returns-value]
    bpy.types.Scene.facequery = PointerProperty(type=SceneState)  # type: ignore[attr-defined, func-returns-value]


def unregister() -> None:
    del bpy.types.Scene.facequery  # type: ignore[attr-defined]
    del bpy.types.Object.facequery  # type: ignore[attr-defined]
    _unregister()
