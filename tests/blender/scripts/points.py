"""Placing, moving, mirroring and naming points: the head's pose never moves them."""

import sys
from pathlib import Path

import bpy
import numpy as np
from bl_helpers import fresh_scene, refused, session
from ending import end

from blender_addon.core.head_asset import load_head
from blender_addon.core.space import canonical_to_blender
from blender_addon.host import drawing, layouts
from blender_addon.host import points as host_points
from blender_addon.host.head import parts_of
from blender_addon.host.state import object_state, scene_state

folder = Path(sys.argv[1])


def place(**arguments):
    assert bpy.ops.facequery.place_point(**arguments) == {"FINISHED"}
    bpy.context.view_layer.update()
    return table()


def table():
    return host_points.read(host_points.points_of(bpy.context.scene))


def add_head():
    fresh_scene()
    assert bpy.ops.facequery.add_head(shape_keys=True) == {"FINISHED"}
    return scene_state(bpy.context.scene).head


def placed_by_ray_and_by_location_on_a_moved_and_open_head():
    asset, head = load_head(), add_head()
    nose = asset.rest[np.argmax(asset.rest[:, 2])]
    first = place(origin=(0, -1, canonical_to_blender(nose)[2]), direction=(0, 1, 0))
    assert len(first) == 1 and first.triangle[0] >= 0
    assert np.abs(first.position[0] - nose).max() < 0.003, first.position

    head.location, head.rotation_euler, head.scale = (1, 2, 3), (0.3, -0.2, 0.5), (2, 2, 2)
    skin = dict(parts_of(head))["skin"]
    skin.data.shape_keys.key_blocks["jawOpen"].value = 1.0
    bpy.context.view_layer.update()
    part = asset.parts["skin"]
    moved = np.linalg.norm(asset.shape_keys(part)["jawOpen"], axis=1)
    outside = np.flatnonzero((moved > 0.02) & (asset.rest[part.vertices][:, 2] > 0.03))
    chin = outside[0]
    evaluated = skin.evaluated_get(bpy.context.evaluated_depsgraph_get())
    second = place(location=skin.matrix_world @ evaluated.data.vertices[chin].co)
    assert len(second) == 2
    assert np.abs(second.position[1] - asset.rest[chin]).max() < 1e-4, "a place on the open jaw is kept at rest"
    assert np.abs(second.position[0] - first.position[0]).max() < 1e-6, "the head's transform moved a point"
    # drawn where the open jaw is
    points, depsgraph = scene_state(bpy.context.scene).points, bpy.context.evaluated_depsgraph_get()
    shown = drawing.world_positions(points, second, depsgraph)
    assert np.abs(shown[1] - np.array(skin.matrix_world @ evaluated.data.vertices[chin].co)).max() < 2e-4


def x_ray_shows_what_is_under_the_skin_alone():
    head = add_head()
    for alpha in (0.3, 1.0):
        object_state(head).xray = alpha < 1
        seen = {name: {round(m.diffuse_color[3], 3) for m in part.data.materials} for name, part in parts_of(head)}
        assert seen["skin"] == {alpha}, seen
        assert all(values == {1.0} for name, values in seen.items() if name != "skin"), seen


def inwards_to_bone_teeth_and_depth():
    asset, _ = load_head(), add_head()
    from blender_addon._vendor.facequery_protocol.layout import KINDS

    forehead = place(origin=(0.01, -1, 0.05), direction=(0, 1, 0))
    bone = place(origin=(0.01, -1, 0.05), direction=(0, 1, 0), depth="BONE")
    deep = place(origin=(0.01, -1, 0.05), direction=(0, 1, 0), depth="DEPTH", distance=0.0018)
    kinds = [KINDS[k] for k in deep.kind]
    assert kinds == ["skin", "bone", "volume"], (kinds, deep.position)
    inside = np.linalg.norm(bone.position[1] - forehead.position[0])
    assert 0.002 < inside < 0.015, inside
    assert abs(np.linalg.norm(deep.position[2] - forehead.position[0]) - 0.0018) < 1e-5
    teeth = asset.parts["teeth_upper"]
    incisor = asset.rest[teeth.vertices][np.argmax(asset.rest[teeth.vertices][:, 2])]
    at = canonical_to_blender(incisor)
    tooth = place(origin=(at[0], -1, at[2]), direction=(0, 1, 0), depth="TEETH")
    assert KINDS[tooth.kind[3]] == "tooth"
    assert "FQ735" in refused(bpy.ops.facequery.place_point, origin=(0, -1, 1), direction=(0, 1, 0))


def symmetric_mirror_rename_group_delete():
    add_head()
    both = place(origin=(0.03, -1, 0.02), direction=(0, 1, 0), symmetric=True, name="brow_left")
    assert len(both) == 2
    assert np.allclose(both.position[0] * [-1, 1, 1], both.position[1], atol=1e-6)
    assert {both.label(n)[1] for n in both.number.tolist()} == {"brow_left", "brow_right"}
    place(origin=(0.03, -1, -0.05), direction=(0, 1, 0))
    bpy.ops.facequery.select_points(action="ALL")
    bpy.ops.facequery.mirror_points()
    assert len(table()) == 4, "only the missing image is added"
    bpy.ops.facequery.mirror_points()
    assert len(table()) == 4

    bpy.ops.facequery.add_group(name="cheeks")
    bpy.ops.facequery.select_point(number=int(table().number[2]))
    bpy.ops.facequery.assign_group()
    bpy.ops.facequery.rename_points(name="cheek")
    now = table()
    points = host_points.points_of(bpy.context.scene)
    assert host_points.group_names(points)[now.group[2]] == "cheeks"
    assert now.label(int(now.number[2]))[1] == "cheek"
    bpy.ops.facequery.select_points(action="GROUP")
    assert table().selected.tolist() == [False, False, True, False]
    bpy.ops.facequery.delete_points()
    assert len(table()) == 3
    assert "FQ736" in refused(bpy.ops.facequery.delete_points)
    bpy.ops.facequery.remove_group()
    assert host_points.group_names(points) == ["points"] and (table().group == 0).all()


def edited_by_hand():
    """In Edit Mode points are duplicated and moved as vertices: they get numbers and anchors of their own."""
    add_head()
    place(origin=(0.03, -1, 0.02), direction=(0, 1, 0), name="brow")
    points = host_points.points_of(bpy.context.scene)
    bpy.ops.object.select_all(action="DESELECT")
    points.select_set(True)
    bpy.context.view_layer.objects.active = points
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.mesh.select_all(action="SELECT")
    bpy.ops.mesh.duplicate()
    bpy.ops.transform.translate(value=(0.01, 0, 0))
    edited = table()
    assert len(set(edited.number.tolist())) == 2
    assert {edited.label(n)[1] for n in edited.number.tolist()} == {"brow", "brow.001"}
    from blender_addon.host.surface import anchor_points

    assert np.allclose(anchor_points(edited.triangle, edited.barycentric) + edited.offset, edited.position, atol=1e-6)
    assert abs(np.ptp(edited.position[:, 0]) - 0.01) < 1e-6
    bpy.ops.facequery.select_points(action="ALL")
    assert points.mode == "EDIT" and table().selected.all()
    bpy.ops.object.mode_set(mode="OBJECT")


def from_selected_vertices():
    head = add_head()
    skin = dict(parts_of(head))["skin"]
    assert "FQ739" in refused(bpy.ops.facequery.points_from_vertices)
    bpy.ops.object.select_all(action="DESELECT")
    bpy.context.view_layer.objects.active = skin
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.mesh.select_all(action="DESELECT")
    bpy.ops.object.mode_set(mode="OBJECT")
    asset = load_head()
    wanted = [i for i in range(0, 4000, 400) if asset.rest[i, 0] > 0.002]
    for i in wanted:
        skin.data.vertices[i].select = True
    bpy.ops.object.mode_set(mode="EDIT")
    assert bpy.ops.facequery.points_from_vertices(symmetric=True) == {"FINISHED"}
    assert skin.mode == "EDIT"
    bpy.ops.object.mode_set(mode="OBJECT")
    made = table()
    assert len(made) == 2 * len(wanted)
    assert np.abs(made.position[: len(wanted)] - asset.rest[wanted]).max() < 1e-6


def painted_points_follow_the_paint():
    head = add_head()
    assert "FQ743" in refused(bpy.ops.facequery.points_from_weights, count=10)
    assert bpy.ops.facequery.paint_weights() == {"FINISHED"}
    skin = dict(parts_of(head))["skin"]
    assert bpy.context.mode == "PAINT_WEIGHT" and bpy.context.view_layer.objects.active is skin
    bpy.ops.facequery.paint_weights()
    assert bpy.context.mode == "OBJECT"
    asset = load_head()
    rest = asset.rest[asset.parts["skin"].vertices]
    group = skin.vertex_groups["FaceQuery"]
    strong = np.flatnonzero((rest[:, 2] > 0.01) & (rest[:, 0] > 0.01) & (rest[:, 1] < 0))
    weak = np.flatnonzero((rest[:, 2] > 0.01) & (rest[:, 0] > 0.01) & (rest[:, 1] >= 0))
    group.add(strong.tolist(), 1.0, "REPLACE")
    group.add(weak.tolist(), 0.2, "REPLACE")
    assert bpy.ops.facequery.points_from_weights(count=150) == {"FINISHED"}
    made = table()
    assert len(made) == 150 and (made.position[:, 0] > 0.005).all() and (made.position[:, 2] > 0.0).all()
    lower, upper = made.position[:, 1] < -0.002, made.position[:, 1] > 0.002
    corners = rest[asset.triangles[asset.parts["skin"].triangles] - asset.parts["skin"].vertices.start]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    painted = (corners[..., 2] > 0.01).all(axis=1) & (corners[..., 0] > 0.01).all(axis=1)
    below = corners[..., 1].mean(axis=1) < 0
    density = lower.sum() / area[painted & below].sum(), upper.sum() / area[painted & ~below].sum()
    assert density[0] > 3 * density[1] > 0, "density follows the weight"
    far = np.linalg.norm(made.position[lower][:, None] - made.position[lower][None], axis=-1)
    np.fill_diagonal(far, 1.0)
    nearest = far.min(axis=1)
    assert nearest.min() > 0.4 * np.median(nearest), "well spaced"
    bpy.ops.facequery.select_points(action="ALL")
    bpy.ops.facequery.delete_points()
    bpy.ops.facequery.points_from_weights(count=40, symmetric=True)
    both = table()
    assert len(both) == 40
    mirrored = both.position * [-1, 1, 1]
    assert np.linalg.norm(mirrored[:, None] - both.position[None], axis=-1).min(axis=1).max() < 1e-5
    bone = dict(parts_of(head))["cranium"]
    bpy.context.view_layer.objects.active = bone
    bpy.ops.facequery.paint_weights()
    assert bpy.context.view_layer.objects.active is bone
    bpy.ops.facequery.paint_weights()


def filled_between_selected_points():
    add_head()
    bpy.ops.facequery.load_layout(layout_name="ibug68")
    from blender_addon.host import sampling

    points = scene_state(bpy.context.scene).points
    for rounds in (1, 2):
        before = table()
        bpy.context.view_layer.update()
        wanted = sampling.predicted(points, rounds)
        assert bpy.ops.facequery.fill_points(rounds=rounds) == {"FINISHED"}
        grown = table()
        assert len(grown) - len(before) == wanted > 2 * len(before) * 0.6, (len(grown), wanted)
        assert (grown.position[: len(before)] == before.position).all() and grown.selected.all()
        bpy.ops.facequery.select_points(action="NONE")
        keep = np.arange(len(grown)) < len(before)
        host_points.write(points, grown.rows(keep).changed(selected=np.ones(len(before), bool)))
    assert (grown.triangle >= 0).all() and (grown.kind == 0).all()
    from blender_addon.host.surface import anchor_points

    assert np.allclose(anchor_points(grown.triangle, grown.barycentric), grown.position, atol=1e-6)
    bpy.ops.facequery.select_points(action="NONE")
    assert "FQ744" in refused(bpy.ops.facequery.fill_points)
    assert "FQ745" in refused(bpy.ops.facequery.fill_volume)


def layouts_and_files():
    add_head()
    mine = place(origin=(0.03, -1, 0.02), direction=(0, 1, 0), symmetric=True, name="dot_left")
    bpy.ops.facequery.save_layout(filepath=str(folder / "mine.json"))
    bpy.ops.facequery.load_layout(filepath=str(folder / "mine.json"), replace=True)
    again = table()
    assert np.abs(again.position - mine.position).max() < 1e-6 and (again.triangle == mine.triangle).all()
    assert [again.label(n) for n in again.number.tolist()] == [mine.label(n) for n in mine.number.tolist()]
    assert (again.kind == mine.kind).all()
    bpy.ops.facequery.load_layout(filepath=str(folder / "mine.json"))
    assert len({table().label(n)[0] for n in table().number.tolist()}) == 4, "ids stay unique"
    (folder / "bad.json").write_text("{", encoding="utf-8")
    assert "FQ741" in refused(bpy.ops.facequery.load_layout, filepath=str(folder / "bad.json"))
    assert "FQ740" in refused(bpy.ops.facequery.load_layout, layout_name="no such")
    far = (folder / "mine.json").read_text(encoding="utf-8").replace('"triangles"', '"old_triangles"')
    import json

    document = json.loads(far)
    document["positions"][0] = [0.9, 0.0, 0.0]
    (folder / "far.json").write_text(json.dumps(document), encoding="utf-8")
    assert "FQ730" in refused(bpy.ops.facequery.load_layout, filepath=str(folder / "far.json"))
    for name in layouts.shipped_layouts():
        bpy.ops.facequery.load_layout(layout_name=name, replace=True)
        loaded = table()
        assert len(loaded) and loaded.selected.all(), name
        mesh = host_points.points_of(bpy.context.scene).data
        assert set(mesh.attributes.keys()) >= {"id", "triangle", "barycentric", "offset", "group"}


def saved_reopened_undone():
    add_head()
    place(origin=(0.03, -1, 0.02), direction=(0, 1, 0), name="dot")
    before = table()
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "scene.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(folder / "scene.blend"))
    after = table()
    assert (after.position == before.position).all() and after.label(1)[1] == "dot"
    bpy.data.objects[scene_state(bpy.context.scene).points.name].name = "renamed"
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.facequery.place_point(origin=(-0.03, -1, 0.02), direction=(0, 1, 0))
    bpy.ops.ed.undo_push(message="placed")
    assert len(table()) == 2
    bpy.ops.ed.undo()
    assert len(table()) == 1 and object_state(scene_state(bpy.context.scene).points).role == "POINTS"
    bpy.ops.ed.redo()
    assert len(table()) == 2


def changed_topology_is_refused():
    head = add_head()
    skin = dict(parts_of(head))["skin"]
    bpy.context.view_layer.objects.active = skin
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.mesh.select_all(action="DESELECT")
    bpy.ops.object.mode_set(mode="OBJECT")
    skin.data.vertices[0].select = True
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.mesh.delete(type="VERT")
    bpy.ops.object.mode_set(mode="OBJECT")
    assert "FQ722" in refused(bpy.ops.facequery.place_point, origin=(0, -1, 0), direction=(0, 1, 0))
    bpy.data.objects.remove(head)
    assert not bpy.ops.facequery.place_point.poll()


with session():
    for test in (
        placed_by_ray_and_by_location_on_a_moved_and_open_head,
        x_ray_shows_what_is_under_the_skin_alone,
        inwards_to_bone_teeth_and_depth,
        symmetric_mirror_rename_group_delete,
        edited_by_hand,
        from_selected_vertices,
        painted_points_follow_the_paint,
        filled_between_selected_points,
        layouts_and_files,
        saved_reopened_undone,
        changed_topology_is_refused,
    ):
        test()
        print(test.__name__, "good")
end()
