"""In a user folder of its own: install the built zip by Blender's own operator, use it, disable it, remove it."""

import sys
from pathlib import Path

import bpy
from ending import end

package, folder = Path(sys.argv[1]), Path(sys.argv[2])
assert not [m for m in sys.modules if m.startswith(("facequery", "blender_addon"))]

repository = bpy.context.preferences.extensions.repos.new(
    name="Test", module="test_repo", custom_directory=str(folder / "extensions"), remote_url=""
)
bpy.ops.extensions.package_install_files(
    filepath=str(package), repo="test_repo", enable_on_install=True, overwrite=True
)
module = "bl_ext.test_repo.facequery"
assert module in bpy.context.preferences.addons, list(bpy.context.preferences.addons.keys())
assert bpy.context.preferences.addons[module].preferences.backend == ""

assert bpy.ops.facequery.add_head() == {"FINISHED"}
parts = [o for o in bpy.context.scene.objects if o.facequery.role == "PART"]
assert len(parts) == 8, [o.name for o in parts]
assert bpy.ops.facequery.place_point(origin=(0.02, -1, 0.03), direction=(0, 1, 0)) == {"FINISHED"}
assert bpy.ops.facequery.load_layout(layout_name="ibug68") == {"FINISHED"}
assert len(bpy.context.scene.facequery.points.data.vertices) == 69
assert bpy.ops.facequery.save_layout(filepath=str(folder / "mine.json")) == {"FINISHED"}

ours = [m for m in sys.modules if "facequery" in m]
assert all(m.startswith(module) for m in ours), [m for m in ours if not m.startswith(module)]
assert f"{module}._vendor.facequery_protocol.layout" in ours
assert not any("facequery" in entry for entry in sys.path), sys.path

bpy.ops.preferences.addon_disable(module=module)
assert not hasattr(bpy.types.Scene, "facequery")
index = list(bpy.context.preferences.extensions.repos).index(repository)
bpy.ops.extensions.package_uninstall(repo_index=index, pkg_id="facequery")
assert not (folder / "extensions" / "facequery").exists()
print("good")
end()
