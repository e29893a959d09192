"""A newer fit brought onto the objects of an earlier one: new actions, and what an artist made of the objects stays."""

from typing import Any

import bpy

from .fit import FitObjects
from .state import object_state


def carry_over(old_head: bpy.types.Object | None, old_camera: bpy.types.Object | None, made: FitObjects) -> None:
    """Give an earlier fit, under `old_head` and with `old_camera`, motion and shape of one just made, and remove that.

    Without either of them those of the new fit stay. Actions are new ones; the old are kept with a fake user, so curves
    that were edited by hand are never lost. Objects that the old fit lacks are kept under the old head.
    """
    anchor = old_head or old_camera
    if anchor is None:
        return
    old = {object_state(obj).part: obj for obj in (old_head, *old_head.children_recursive)} if old_head else {}
    if old_camera is not None:
        old["camera"] = old_camera
    gone: list[bpy.types.Object] = []
    new = [obj for obj in made.collection.objects if object_state(obj).role == "RESULT"]
    pairs = {obj.name: old.get(object_state(obj).part) for obj in new}
    for obj in new:
        target = pairs[obj.name]
        if target is None:
            parent = obj.parent
            if parent is not None and pairs.get(parent.name) is not None:
                obj.parent = pairs[parent.name]
            for collection in anchor.users_collection[:1]:
                collection.objects.link(obj)
            continue
        _take_action(target, obj)
        _take_shape(target, obj)
        gone.append(obj)
    keep = any(pairs[obj.name] is None for obj in new)
    made.parts = {name: pairs.get(obj.name) or obj for name, obj in made.parts.items()}
    made.head = old_head or made.head
    if made.camera in gone and old_camera is not None:
        made.camera = old_camera
    for obj in gone:
        data = obj.data
        bpy.data.objects.remove(obj)
        if isinstance(data, bpy.types.Camera) and not data.users:
            bpy.data.cameras.remove(data)
    if keep:
        for obj in list(made.collection.objects):
            made.collection.objects.unlink(obj)
    bpy.data.collections.remove(made.collection)
    made.collection = anchor.users_collection[0] if anchor.users_collection else made.collection


def _take_action(target: bpy.types.ID, source: bpy.types.ID) -> None:
    given: Any = source.animation_data  # type: ignore[attr-defined]
    own: Any = target.animation_data_create()
    if own.action is not None:
        own.action.use_fake_user = True
    own.action = given.action if given is not None else None
    if own.action is not None and hasattr(own, "action_slot"):
        own.action_slot = given.action_slot
    if isinstance(target, bpy.types.Object) and isinstance(source, bpy.types.Object):
        target.rotation_mode, target.matrix_basis = source.rotation_mode, source.matrix_basis


def _take_shape(target: bpy.types.Object, source: bpy.types.Object) -> None:
    if isinstance(target.data, bpy.types.Camera) and isinstance(source.data, bpy.types.Camera):
        for name in ("sensor_width", "lens", "shift_x", "shift_y"):
            setattr(target.data, name, getattr(source.data, name))
        _take_action(target.data, source.data)
    elif isinstance(target.data, bpy.types.Mesh) and isinstance(source.data, bpy.types.Mesh):
        for index, slot in enumerate(target.material_slots):
            if index < len(source.data.materials):
                source.data.materials[index] = slot.material
        target.data = source.data
        cache: bpy.types.Modifier | None = source.modifiers.get("FaceQuery")
        own: bpy.types.Modifier | None = target.modifiers.get("FaceQuery")
        if isinstance(cache, bpy.types.MeshCacheModifier) and isinstance(own, bpy.types.MeshCacheModifier):
            own.filepath, own.frame_start = cache.filepath, cache.frame_start
