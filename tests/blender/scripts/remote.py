"""The extension, installed, with a backend behind ssh that sees the files of `here` under `there` alone."""

import sys
from pathlib import Path

import bpy
from ending import end

package, here, there, command = sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4]
MODULE = "bl_ext.test_repo.facequery"
bpy.context.preferences.extensions.repos.new(
    name="Test", module="test_repo", custom_directory=str(here.parent / "extensions"), remote_url=""
)
bpy.ops.extensions.package_install_files(filepath=package, repo="test_repo", enable_on_install=True, overwrite=True)
operators = bpy.ops.facequery
prefs = bpy.context.preferences.addons[MODULE].preferences
prefs.backend = command
bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
bpy.ops.wm.save_as_mainfile(filepath=str(here / "scene.blend"))
clip = bpy.data.movieclips.load(str(here / "plate" / "shot.1001.jpg"))
bpy.context.scene.active_clip = clip

# A row that leads elsewhere is found out, and so is none where the job's folder would have to be seen.
operators.add_path()
prefs.paths[0].here, prefs.paths[0].there = str(here), str(here.parent / "nowhere")
try:
    operators.check_backend()
except RuntimeError as error:
    assert "FQ398" in str(error), error
else:
    raise AssertionError("the wrong row was not noticed")
prefs.paths[0].there = there
assert operators.check_backend() == {"FINISHED"}
assert "It reads the plate" in prefs.checked and "Weights landmarks" in prefs.checked, prefs.checked
print("checked good")

operators.add_head()
operators.load_layout(layout_name="ibug68")
count = len(bpy.context.scene.facequery.points.data.vertices)
assert operators.fill_volume() == {"FINISHED"}
assert len(bpy.context.scene.facequery.points.data.vertices) > count
print("arrays there and back good")

state = clip.facequery
state.fit_face = state.fit_skull = state.fit_jaw = False
assert operators.track() == {"FINISHED"}
face = state.faces[0]
job = Path(bpy.path.abspath(face.job))
assert (job / "tracks.json").is_file() and len(clip.tracking.objects[face.tracking_object].tracks) > 68
print("tracked good")
bpy.ops.preferences.addon_disable(module=MODULE)
end()
