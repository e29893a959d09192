"""Imported results: Blender's camera shows the fits at the backend's pixels, markers stand on the tracks."""

import json
import sys
from pathlib import Path

import bpy
import numpy as np
from bl_helpers import fresh_scene, pixels, refused, session
from ending import end
from mathutils import Vector

from blender_addon.core.head_asset import load_head
from blender_addon.host.clip_state import active_face

folder, truth = Path(sys.argv[1]), np.load(sys.argv[2])
FRAMES = truth["frames"].tolist()
WIDTH, HEIGHT = truth["size"].tolist()


def imported(**options):
    fresh_scene()
    assert bpy.ops.facequery.import_job(filepath=str(folder / "job.json"), match_scene=True, **options) == {"FINISHED"}
    return {obj.name.removeprefix("face v001 "): obj for obj in bpy.context.scene.objects}


def check(objects, jaw_and_skull=True):
    asset = load_head()
    sizes = {name: part.vertices.stop - part.vertices.start for name, part in asset.parts.items()}
    where = {"skin": ("Skin", 0), "eye_left": ("Eye Left", 0), "eye_right": ("Eye Right", 0)}
    if jaw_and_skull:
        where |= {"cranium": ("Skull", 0), "teeth_upper": ("Skull", sizes["cranium"]), "mandible": ("Jaw", 0),
                  "teeth_lower": ("Jaw", sizes["mandible"])}  # fmt: skip
    else:
        where |= {"teeth_upper": ("Teeth Upper", 0), "teeth_lower": ("Teeth Lower", 0)}
    worst = 0.0
    for row, frame in enumerate(FRAMES):
        for name, (label, start) in where.items():
            obj = next(o for key, o in objects.items() if (key == label and o.type == "MESH") or key == f"{label}.001")
            rows = np.arange(0, sizes[name], 37) + start
            error = np.abs(pixels(obj, rows, frame) - truth[name][row]).max()
            assert error < 0.1, (name, frame, error)
            worst = max(worst, error)
    print(f"{folder.parts[-3]}: off by {worst:.4f} px at most")


def reprojection_with_shape_keys():
    objects = imported()
    scene = bpy.context.scene
    assert (scene.render.resolution_x, scene.render.resolution_y) == (WIDTH, HEIGHT)
    assert (scene.frame_start, scene.frame_end) == (FRAMES[0], FRAMES[-1])
    assert abs(scene.render.fps / scene.render.fps_base - 24000 / 1001) < 1e-3
    check(objects)
    camera = scene.camera
    background = camera.data.background_images[0]
    assert camera.data.show_background_images and background.clip is scene.active_clip
    assert background.clip_user.use_render_undistorted == bool(truth["has_lens"])
    blocks = objects["Skin"].data.shape_keys.key_blocks
    assert len(blocks) >= 50 and 0 < blocks["jawOpen"].value <= 0.9


def markers_stand_on_the_tracks():
    clip = bpy.context.scene.active_clip
    assert clip.frame_start == FRAMES[0]
    state = active_face(clip)
    tracks = clip.tracking.objects[state.tracking_object].tracks
    names = json.loads(state.track_names)
    header = json.loads((folder / "tracks.json").read_text())
    assert len(tracks) == len(names) == len(header["ids"])
    for column, identifier in enumerate(header["ids"]):
        track = tracks[names[identifier]]
        for row in range(len(FRAMES)):
            marker = track.markers.find_frame(row + 1, exact=True)
            expected = truth["xy"][row, column]
            if not np.isfinite(expected).all():
                assert marker is None or marker.mute
                continue
            place = np.array([marker.co[0] * WIDTH, (1 - marker.co[1]) * HEIGHT])
            assert np.abs(place - expected).max() < 0.01, (identifier, row, place, expected)
            inside = (expected >= 0).all() and (expected <= (WIDTH, HEIGHT)).all()
            assert marker.mute == (not inside or truth["visible"][row, column] < 0.5)
    track = tracks[names[header["ids"][5]]]
    weights = []
    for frame in (FRAMES[0], FRAMES[-1]):
        bpy.context.scene.frame_set(frame)
        weights.append(clip.evaluated_get(bpy.context.evaluated_depsgraph_get())
                       .tracking.objects[state.tracking_object].tracks[track.name].weight)  # fmt: skip
    assert weights[0] != weights[1] and all(0 < w <= 1 for w in weights), weights


def fewer_tracks_and_no_fit():
    objects = imported(camera=False, limit=10)
    assert not objects
    clip = bpy.context.scene.active_clip
    assert len(clip.tracking.objects[active_face(clip).tracking_object].tracks) == 10


def reprojection_with_a_vertex_cache_after_saving():
    imported(face="CACHE", skull=False, jaw=False, tracks=False)
    file = str(folder.parent / "scene.blend")
    bpy.ops.wm.save_as_mainfile(filepath=file)
    bpy.ops.wm.open_mainfile(filepath=file)
    objects = {obj.name.removeprefix("face v001 "): obj for obj in bpy.context.scene.objects}
    check(objects, jaw_and_skull=False)
    assert bpy.ops.facequery.match_scene() == {"FINISHED"}


def an_existing_camera_is_used_and_not_changed():
    first = imported(tracks=False)
    camera = first["Camera"]
    before = [list(map(tuple, camera.matrix_world)), camera.data.lens, len(camera.data.background_images)]
    bpy.ops.facequery.import_job(filepath=str(folder), tracks=False, existing_camera=camera.name)
    after = [list(map(tuple, camera.matrix_world)), camera.data.lens, len(camera.data.background_images)]
    assert before == after
    objects = {o.name.removeprefix("face v001 "): o for o in bpy.context.scene.objects if o.name.endswith(".001")}
    check({name.removesuffix(".001"): obj for name, obj in objects.items()})


def the_head_for_points_does_not_stand_before_the_camera():
    fresh_scene()
    scene = bpy.context.scene
    bpy.ops.facequery.add_head()
    bpy.ops.facequery.place_point(origin=(0.02, -1, 0.03), direction=(0, 1, 0))
    bpy.ops.facequery.import_job(filepath=str(folder), tracks=False)
    bpy.context.view_layer.update()
    head, camera = scene.facequery.head, scene.objects["face v001 Camera"]
    near = camera.matrix_world.translation.length < 0.3
    assert (head.location.length > 0.3) == near, (head.location, camera.location)
    place = tuple(head.location)
    bpy.ops.facequery.import_job(filepath=str(folder), tracks=False)
    assert tuple(head.location) == place, "once is enough"
    origin = head.matrix_world @ Vector((-0.02, -1, 0.03))
    assert bpy.ops.facequery.place_point(origin=origin, direction=(0, 1, 0)) == {"FINISHED"}
    assert len(scene.facequery.points.data.vertices) == 2


def wrong_folders_are_refused():
    fresh_scene()
    assert "FQ324" in refused(bpy.ops.facequery.import_job, filepath=str(folder.parent / "nothing"))
    assert "FQ754" in refused(bpy.ops.facequery.import_job, filepath=str(folder), view=3)
    assert "FQ761" in refused(
        bpy.ops.facequery.import_job, filepath=str(folder), existing_camera="Nobody", tracks=False
    )
    plate = folder.parents[1] / f"shot.{FRAMES[0]}.png"
    plate.rename(plate.with_suffix(".gone"))
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    assert "FQ762" in refused(bpy.ops.facequery.import_job, filepath=str(folder), clip="Nothing")
    bpy.ops.facequery.import_job(filepath=str(folder))
    assert not bpy.data.movieclips and bpy.context.scene.objects["face v001 Skin"], "fits are had without the plate"
    plate.with_suffix(".gone").rename(plate)
    (folder / "face.npz").write_bytes(b"no face")
    assert "FQ755" in refused(bpy.ops.facequery.import_job, filepath=str(folder), tracks=False)


with session():
    tests = [reprojection_with_shape_keys, markers_stand_on_the_tracks]
    if "all" in sys.argv:
        tests += [
            fewer_tracks_and_no_fit,
            reprojection_with_a_vertex_cache_after_saving,
            an_existing_camera_is_used_and_not_changed,
            the_head_for_points_does_not_stand_before_the_camera,
            wrong_folders_are_refused,
        ]
    for test in tests:
        test()
        print(test.__name__, "good")
end()
