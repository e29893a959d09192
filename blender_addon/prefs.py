"""Preferences: how the backend is found, how it sees our files, and when results are applied."""

from dataclasses import replace

import bpy
from bpy.props import BoolProperty, CollectionProperty, IntProperty, StringProperty

from .core.remote_paths import RemotePaths
from .host.registration import registration
from .link.lookup import Backend, find_backend
from .ui.text import draw_wrapped


def preferences(context: bpy.types.Context) -> "FaceQueryPreferences | None":
    """The extension's preferences; None while it runs without being enabled as an extension (in scripts and tests)."""
    addon = context.preferences.addons.get(__package__ or "") if context.preferences else None
    return addon.preferences if addon else None


def chosen_backend(context: bpy.types.Context) -> Backend:
    """The backend that the preferences choose. Raises AddonError when there is none."""
    prefs = preferences(context)
    rows = tuple((row.here, row.there) for row in prefs.paths if row.here and row.there) if prefs else ()
    found = find_backend(prefs.backend if prefs else "", paths=RemotePaths(rows))
    return replace(found, blender=bpy.app.binary_path or "")


class PathRow(bpy.types.PropertyGroup):
    """A folder, and where the backend sees it."""

    here: StringProperty(name="Here", description="A folder as this computer sees it", subtype="DIR_PATH")
    there: StringProperty(name="There", description="The same folder as the backend's computer sees it")


class FaceQueryPreferences(bpy.types.AddonPreferences):
    bl_idname = __package__

    backend: StringProperty(
        name="Backend Command",
        description="Command that starts the FaceQuery backend, such as /path/to/python -m facequery, or "
        "ssh -T -o BatchMode=yes box facequery. Leave it empty to use the backend that install.py set up",
    )
    paths: CollectionProperty(type=PathRow)
    active_path: IntProperty()
    apply_by_itself: BoolProperty(
        name="Apply Results by Themselves",
        description="Bring a finished job into the file by itself, in Object Mode and while nothing renders",
        default=True,
    )
    checked: StringProperty(options={"SKIP_SAVE"})
    problem: StringProperty(options={"SKIP_SAVE"})

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "backend", placeholder="Automatic")
        layout.prop(self, "apply_by_itself")
        draw_backend(layout, context, self)
        column = layout.column()
        column.use_property_split = False
        column.label(text="Folders That a Backend on Another Computer Sees Elsewhere")
        for index, path in enumerate(self.paths):
            row = column.row(align=True)
            row.prop(path, "here", text="", placeholder="Folder here")
            row.label(icon="FORWARD")
            row.prop(path, "there", text="", placeholder="The same folder there")
            row.operator("facequery.remove_path", text="", icon="X").index = index
        column.operator("facequery.add_path", icon="ADD")


def draw_backend(layout: bpy.types.UILayout, context: bpy.types.Context, prefs: FaceQueryPreferences | None) -> None:
    """Buttons about the backend, and what it answered last."""
    from .host import backend

    column = layout.column(align=True)
    column.use_property_split = False
    row = column.row(align=True)
    row.operator("facequery.check_backend", icon="FILE_REFRESH")
    row.operator("facequery.open_log", icon="TEXT")
    row = column.row(align=True)
    row.operator("facequery.copy_report", icon="COPYDOWN")
    row.operator("facequery.release_backend", icon="MEMORY")
    calls = [call for topic in ("check", "about") if (call := backend.call_of(topic)) is not None]
    problem = next((str(call.error) for call in calls if call.error), prefs.problem if prefs is not None else "")
    if any(call.active for call in calls):
        layout.label(text="Asking the backend", icon="SORTTIME")
    elif problem:
        draw_wrapped(layout, context, problem, "ERROR")
    elif prefs is not None and prefs.checked:
        for line in prefs.checked.splitlines():
            draw_wrapped(layout, context, line, "CHECKMARK")


class AddPath(bpy.types.Operator):
    bl_idname = "facequery.add_path"
    bl_label = "Add Folder"
    bl_description = "Say where the backend's computer sees a folder of this one, as with a shared disk"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return preferences(context) is not None

    def execute(self, context: bpy.types.Context) -> set[str]:
        preferences(context).paths.add()
        return {"FINISHED"}


class RemovePath(bpy.types.Operator):
    bl_idname = "facequery.remove_path"
    bl_label = "Remove Folder"
    bl_description = "Forget this pair of folders"

    index: IntProperty(name="Row", min=0)

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return preferences(context) is not None

    def execute(self, context: bpy.types.Context) -> set[str]:
        preferences(context).paths.remove(self.index)
        return {"FINISHED"}


register, unregister = registration(PathRow, FaceQueryPreferences, AddPath, RemovePath)
