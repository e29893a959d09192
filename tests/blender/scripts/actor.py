"""The actor's shape on the head: where it stands, that points stay on it, what is refused, undone, saved."""

import sys
from pathlib import Path

import bpy
import numpy as np
from bl_helpers import canonical, fresh_scene, refused, session
from ending import end

from blender_addon.core.head_asset import load_head
from blender_addon.host import drawing
from blender_addon.host import points as host_points
from blender_addon.host.state import object_state, scene_state
from blender_addon.host.surface import posed_vertices

folder = Path(sys.argv[1])
truth = np.load(folder / "truth.npz")
show, hide = bpy.ops.facequery.show_actor, bpy.ops.facequery.hide_actor


def standing():
    bpy.context.view_layer.update()
    head = scene_state(bpy.context.scene).head
    return canonical(posed_vertices(head, bpy.context.evaluated_depsgraph_get()))


def the_head_takes_the_actors_shape_and_back():
    for shape_keys in (False, True):
        fresh_scene()
        bpy.ops.facequery.add_head(shape_keys=shape_keys)
        rest = standing()
        bpy.ops.facequery.place_point(origin=(0.02, -1, 0.03), direction=(0, 1, 0))
        table = host_points.read(host_points.points_of(bpy.context.scene))
        for _ in range(2):  # choosing again changes nothing
            assert show(filepath=str(folder / "actor.npz")) == {"FINISHED"}
            assert np.abs(standing() - truth["vertices"]).max() < 2e-5
        head, points = scene_state(bpy.context.scene).head, scene_state(bpy.context.scene).points
        assert object_state(head).actor_name == "Ada"
        # A point stays on its triangle, at rest and as it is shown.
        after = host_points.read(points)
        assert np.abs(after.position - table.position).max() < 1e-6
        corners = truth["vertices"][load_head().triangles[table.triangle[0]]]
        shown = canonical(drawing.world_positions(points, after, bpy.context.evaluated_depsgraph_get()))
        assert np.abs(shown[0] - table.barycentric[0] @ corners).max() < 2e-5
        # One that is placed now stands where it would on the head at rest.
        bpy.ops.facequery.place_point(location=(0.0, -0.3, 0.0))
        assert len(host_points.read(points)) == 2
        file = str(folder / "head.blend")
        bpy.ops.wm.save_as_mainfile(filepath=file)
        bpy.ops.wm.open_mainfile(filepath=file)
        assert np.abs(standing() - truth["vertices"]).max() < 2e-5
        stored = object_state(scene_state(bpy.context.scene).head).actor
        assert Path(bpy.path.abspath(stored)) == folder / "actor.npz"
        assert hide() == {"FINISHED"}
        assert np.abs(standing() - rest).max() < 2e-6


def own_points_come_along_and_other_files_are_refused():
    fresh_scene()
    assert not show.poll()
    bpy.ops.facequery.add_head()
    assert show(filepath=str(folder / "actor.npz"), points=True) == {"FINISHED"}
    table = host_points.read(host_points.points_of(bpy.context.scene))
    assert [table.label(n)[1] for n in table.number.tolist()] == truth["names"].tolist()
    before = standing()
    assert "FQ748" in refused(show, filepath=str(folder / "truth.npz"))
    (folder / "none.npz").write_bytes(b"no actor")
    assert "FQ748" in refused(show, filepath=str(folder / "none.npz"))
    np.savez(folder / "small.npz", version=1, name="Bob", identity=np.zeros(3))
    assert "FQ721" in refused(show, filepath=str(folder / "small.npz"))
    np.savez(folder / "new.npz", version=99, name="Bob", identity=np.zeros(80))
    assert "FQ753" in refused(show, filepath=str(folder / "new.npz"))
    assert np.array_equal(standing(), before)
    bpy.context.view_layer.objects.active = next(o for o in bpy.context.scene.objects if o.facequery.part == "skin")
    bpy.ops.object.mode_set(mode="EDIT")
    assert not show.poll()
    bpy.ops.object.mode_set(mode="OBJECT")


with session():
    for test in (the_head_takes_the_actors_shape_and_back, own_points_come_along_and_other_files_are_refused):
        test()
        print(test.__name__, "good")
end()
