"""Where Blender's versions differ."""

from typing import Any

import bpy

# Paths that may begin with "//" have to say so from Blender 4.5, and may not before.
BLEND_RELATIVE: set[str] = {"PATH_SUPPORTS_BLEND_RELATIVE"} if bpy.app.version >= (4, 5, 0) else set()


def existing_fcurves(block: bpy.types.ID) -> list[Any]:
    """The f-curves that a data-block has, without making anything, so that it may be called while drawing."""
    data: Any = block.animation_data  # type: ignore[attr-defined]
    action: Any = data.action if data is not None else None
    if action is None:
        return []
    if not hasattr(action, "slots"):
        return list(action.fcurves)
    found = [layer.strips[0].channelbag(data.action_slot) for layer in action.layers[:1] if data.action_slot]
    return [curve for bag in found if bag is not None for curve in bag.fcurves]


def fcurves_of(block: bpy.types.ID, name: str) -> Any:
    """The f-curves of a data-block's action, which is made when it has none. Actions have slots from Blender 4.4."""
    data: Any = block.animation_data_create()
    action: Any = data.action
    if action is None:
        action = bpy.data.actions.new(name)
        data.action = action
    if not hasattr(action, "slots"):
        return action.fcurves
    slot = data.action_slot
    if slot is None:
        slot = action.slots.new(id_type=block.id_type, name=block.name)
        data.action_slot = slot
    layer = action.layers[0] if len(action.layers) else action.layers.new("Layer")
    strip = layer.strips[0] if len(layer.strips) else layer.strips.new(type="KEYFRAME")
    return strip.channelbag(slot, ensure=True).fcurves
