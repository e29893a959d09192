"""Preferences: how the backend is found."""

import bpy
from bpy.props import StringProperty

from .core.assets import extension_version
from .core.errors import AddonError
from .link.lookup import backend_version, find_backend, same_release
from .ui.text import draw_wrapped


def preferences(context: bpy.types.Context) -> "FaceQueryPreferences | None":
    """The extension's preferences; None while it runs without being enabled as an extension (in scripts and tests)."""
    addon = context.preferences.addons.get(__package__ or "") if context.preferences else None
    return addon.preferences if addon else None


class FaceQueryPreferences(bpy.types.AddonPreferences):
    bl_idname = __package__

    backend: StringProperty(
        name="Backend Command",
        description="Command that starts the FaceQuery backend, such as /path/to/python -m facequery, or "
        "ssh -T -o BatchMode=yes box facequery. Leave it empty to use the backend that install.py set up",
    )
    checked: StringProperty(options={"SKIP_SAVE"})

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "backend", placeholder="Automatic")
        row = layout.row()
        row.use_property_split = False
        row.operator("facequery.check_backend", icon="FILE_REFRESH")
        if self.checked:
            good = self.checked.startswith("FaceQuery")
            draw_wrapped(layout, context, self.checked, "CHECKMARK" if good else "ERROR")


class CheckBackend(bpy.types.Operator):
    bl_idname = "facequery.check_backend"
    bl_label = "Check"
    bl_description = "Start the backend and show its version"

    def execute(self, context: bpy.types.Context) -> set[str]:
        prefs = preferences(context)
        try:
            backend = find_backend(prefs.backend if prefs else "")
            version = backend_version(backend)
            own = extension_version()
            if not same_release(version, own):
                raise AddonError(
                    f"The backend has version {version}, the extension {own}.",
                    "Install the same release of both.",
                    "FQ715",
                )
        except AddonError as error:
            if prefs:
                prefs.checked = str(error)
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        answer = f"FaceQuery {version}, found by {backend.source}: {' '.join(backend.command)}"
        if prefs:
            prefs.checked = answer
        self.report({"INFO"}, answer)
        return {"FINISHED"}


_classes = (FaceQueryPreferences, CheckBackend)


def register() -> None:
    for cls in _classes:
        bpy.utils.register_class(cls)


def unregister() -> None:
    for cls in reversed(_classes):
        bpy.utils.unregister_class(cls)
