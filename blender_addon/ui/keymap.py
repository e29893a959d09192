"""Shortcuts, which an artist can change in the preferences' keymap."""

import bpy

_added: list[tuple[bpy.types.KeyMap, bpy.types.KeyMapItem]] = []


def register() -> None:
    manager = bpy.context.window_manager
    config = manager.keyconfigs.addon if manager else None
    if config is None:  # without a user interface
        return
    keymap = config.keymaps.new(name="Clip Editor", space_type="CLIP_EDITOR")
    for key, direction in (("RIGHT_ARROW", "NEXT"), ("LEFT_ARROW", "PREVIOUS")):
        item = keymap.keymap_items.new("facequery.worst_frame", key, "PRESS", ctrl=True, alt=True)  # type: ignore[arg-type]
        item.properties.direction = direction
        _added.append((keymap, item))
    _added.append((keymap, keymap.keymap_items.new("facequery.pin_markers", "P", "PRESS", ctrl=True, alt=True)))


def unregister() -> None:
    while _added:
        keymap, item = _added.pop()
        keymap.keymap_items.remove(item)
