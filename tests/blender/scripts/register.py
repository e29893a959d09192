"""The extension registers, draws its panels' classes and unregisters, twice, and leaves nothing behind."""

import sys

import bpy
from ending import end

import blender_addon


def ours() -> set[str]:
    found = {name for name in dir(bpy.types) if "FACEQUERY" in name.upper()}
    found |= {
        f"{kind.__name__}.facequery"
        for kind in (bpy.types.Scene, bpy.types.Object, bpy.types.MovieClip)
        if hasattr(kind, "facequery")
    }
    return found | set(dir(bpy.ops.facequery))


before = ours()
assert not before, before
for _ in range(2):
    blender_addon.register()
    registered = ours()
    assert {"FACEQUERY_PT_status_view3d", "FACEQUERY_PT_status_clip"} <= registered, registered
    assert hasattr(bpy.types.Scene, "facequery") and hasattr(bpy.types.Object, "facequery")
    bpy.context.scene.facequery.head = None
    for name in registered:
        panel = getattr(bpy.types, name, None)
        if panel is not None and "_PT_" in name:
            assert panel.bl_category == "FaceQuery", name
    blender_addon.unregister()
    assert not ours(), ours()

assert not [m for m in sys.modules if m == "facequery" or m.startswith("facequery.")], "the backend was imported"
print("good")
end()
