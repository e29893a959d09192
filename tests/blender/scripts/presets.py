"""Presets: each that ships can be applied, own ones are saved, applied, deleted, and damaged ones refused."""

import sys
from pathlib import Path

import bpy
from bl_helpers import fresh_scene, refused, session
from ending import end

from blender_addon.host import presets
from blender_addon.host.clip_state import clip_state
from blender_addon.host.state import scene_state

folder = Path(sys.argv[1])
apply, save, delete = bpy.ops.facequery.apply_preset, bpy.ops.facequery.save_preset, bpy.ops.facequery.delete_preset
presets.user_folder = lambda: folder / "user"


def with_clip():
    fresh_scene()
    image = bpy.data.images.new("plate", 8, 8)
    image.filepath_raw, image.file_format = str(folder / "plate.png"), "PNG"
    image.save()
    bpy.context.scene.active_clip = bpy.data.movieclips.load(str(folder / "plate.png"))
    return clip_state(bpy.context.scene.active_clip)


def those_that_ship_set_what_they_say():
    fresh_scene()
    assert apply(kind="points", name="On the Bone, Both Sides") == {"FINISHED"}
    state = scene_state(bpy.context.scene)
    assert state.depth == "BONE" and state.symmetric
    assert "FQ775" in refused(apply, kind="track", name="Points Only")
    clip = with_clip()
    for kind in presets.SETTINGS:
        for name in presets.shipped(kind):
            assert apply(kind=kind, name=name) == {"FINISHED"}, (kind, name)
            held = presets.preset_files.SHIPPED[kind][name]
            of = scene_state(bpy.context.scene) if kind == "points" else clip
            for setting, value in held.items():
                assert setting in presets.SETTINGS[kind], (name, setting)
                found = getattr(of, setting)
                assert (set(value) == found) if isinstance(value, list) else abs_equal(found, value), (name, setting)
    assert "FQ749" in refused(apply, kind="track", name="Tattoo")


def abs_equal(found, value):
    return abs(found - value) < 1e-6 if isinstance(value, float) else found == value


def own_ones_are_kept_for_all_files():
    clip = with_clip()
    clip.export_format, clip.export_selected, clip.matte_regions = "usd", True, {"lips", "nose"}
    assert save(kind="export", name="Our pipeline, v2") == {"FINISHED"}
    assert save(kind="project", name="../../Lips") == {"FINISHED"}
    assert presets.own("export") == ["Our pipeline, v2"] and len(presets.own("project")) == 1
    assert all(path.is_relative_to(folder / "user" / "presets") for path in folder.rglob("*Lips*"))
    clip = with_clip()
    assert clip.export_format == "nuke"
    apply(kind="export", name="Our pipeline, v2")
    apply(kind="project", name=presets.own("project")[0])
    assert clip.export_format == "usd" and clip.export_selected and clip.matte_regions == {"lips", "nose"}
    assert "FQ737" in refused(save, kind="export", name="  ")
    file = folder / "user" / "presets" / "export" / "Our pipeline, v2.json"
    text = file.read_text()
    for damaged in (
        "{",
        "[]",
        text.replace('"usd"', '"no such format"'),
        text.replace('"kind": "export"', '"kind": 3'),
    ):
        file.write_text(damaged)
        assert "FQ749" in refused(apply, kind="export", name="Our pipeline, v2"), damaged
    file.write_text(text.replace('"version": 1', '"version": 9'))
    assert "FQ753" in refused(apply, kind="export", name="Our pipeline, v2")
    assert delete(kind="export", name="Our pipeline, v2") == {"FINISHED"} and not presets.own("export")
    assert "FQ749" in refused(delete, kind="export", name="ARKit Curves"), "those that ship stay"


with session():
    for test in (those_that_ship_set_what_they_say, own_ones_are_kept_for_all_files):
        test()
        print(test.__name__, "good")
end()
