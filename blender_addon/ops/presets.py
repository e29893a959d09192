"""Operators of presets: the settings of a panel under a name."""

import bpy
from bpy.props import EnumProperty, StringProperty

from ..core.errors import AddonError
from ..host import presets
from ..host.clip_state import clip_state
from ..host.registration import registration
from ..host.state import scene_state
from .context import edited_clip
from .reporting import reports_errors

_KINDS = tuple((kind, kind.title(), f"Settings of the {kind.title()} panel") for kind in presets.SETTINGS)


class _OfPreset(bpy.types.Operator):
    kind: EnumProperty(name="Panel", items=_KINDS, options={"SKIP_SAVE", "HIDDEN"})
    name: StringProperty(name="Name", options={"SKIP_SAVE"})

    def state(self, context: bpy.types.Context) -> bpy.types.PropertyGroup:
        """What the preset's settings are those of. Raises AddonError without a clip where one is needed."""
        if self.kind == "points":
            return scene_state(context.scene)
        clip = edited_clip(context)
        if clip is None:
            raise AddonError("These are settings of a movie clip.", "Open one first.", "FQ775")
        return clip_state(clip)


class ApplyPreset(_OfPreset):
    bl_idname = "facequery.apply_preset"
    bl_label = "Apply Preset"
    bl_description = "Give the panel the settings of this preset"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        presets.apply(self.kind, self.name, self.state(context))
        return {"FINISHED"}


class SavePreset(_OfPreset):
    bl_idname = "facequery.save_preset"
    bl_label = "Save Preset"
    bl_description = "Keep the settings of the panel under a name, for all files"

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        name = presets.save(self.kind, self.name, self.state(context))
        self.report({"INFO"}, f'Preset "{name}" saved')
        return {"FINISHED"}

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return context.window_manager.invoke_props_dialog(self)  # type: ignore[return-value]


class DeletePreset(_OfPreset):
    bl_idname = "facequery.delete_preset"
    bl_label = "Delete Preset"
    bl_description = "Delete this preset of yours"

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        presets.delete(self.kind, self.name)
        return {"FINISHED"}


register, unregister = registration(ApplyPreset, SavePreset, DeletePreset)
