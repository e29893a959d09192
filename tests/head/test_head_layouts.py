"""Layouts that ship, and layout files."""

import json

import numpy as np
import pytest
from facequery.errors import UserError
from facequery.head import QuerySet, layout_names, load_layout
from facequery_protocol.layout import LayoutError, read_layout, validated, write_layout

COUNTS = {
    "ibug68": 68,
    "face68_3d": 68,
    "wflw98": 98,
    "aflw21": 21,
    "dense520": 520,
    "frl189": 189,
    "mediapipe478": 478,
}
NAMES = {*COUNTS, "skull", "jaw", "teeth", "eyes", "segments"}


def test_all_layouts_ship():
    assert set(layout_names()) >= NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_layouts_lie_where_they_say(model, name):
    layout = load_layout(name)
    assert len(layout) == COUNTS.get(name, len(layout))
    assert len(set(layout.names)) == len(layout) == len(set(layout.ids))
    assert layout.licence
    tied = layout.triangle >= 0
    corner = model.rest[model.triangles[layout.triangle[tied]]]
    placed = np.einsum("nk,nkc->nc", layout.bary[tied], corner) + layout.offset[tied]
    np.testing.assert_allclose(placed, layout.positions[tied], atol=2e-5)
    again = QuerySet.from_positions(model, layout.positions)
    same = [a == b for a, b in zip(again.kinds, layout.kinds, strict=True)]
    assert np.mean(same) > 0.9
    partner = layout.mirror_index(0.002)
    assert (partner >= 0).mean() > 0.99
    assert (partner[partner[partner >= 0]] >= 0).all()


def test_kinds_of_the_inner_layouts():
    assert set(load_layout("skull").kinds) == {"bone"} == set(load_layout("jaw").kinds)
    assert set(load_layout("teeth").kinds) == {"tooth"}
    assert set(load_layout("eyes").kinds) == {"eye"}


def test_jaw_points_follow_the_jaw_and_skull_points_do_not(model, weights):
    wide = weights(jawOpen=1)
    turn, move = model.jaw_transform(wide)
    jaw = load_layout("jaw")
    np.testing.assert_allclose(model.points(jaw, expression=wide), jaw.positions @ turn.T + move, atol=2e-5)
    skull = load_layout("skull")
    np.testing.assert_allclose(model.points(skull, expression=wide), skull.positions, atol=1e-6)


def test_ibug68_is_ordered_as_300w():
    p = load_layout("ibug68").positions
    assert (np.diff(p[:17, 0]) > 0).all()  # from the subject's right (image-left) to the left
    assert (np.diff(p[17:27, 0]) > 0).all()
    assert (np.diff(p[27:31, 1]) < 0).all()
    assert p[36, 0] < p[39, 0] < p[42, 0] < p[45, 0]
    assert p[37, 1] > p[41, 1] and p[51, 1] > p[57, 1] and p[62, 1] >= p[66, 1]
    partner = load_layout("ibug68").mirror_index()
    assert partner[0] == 16 and partner[36] == 45 and partner[48] == 54 and partner[8] == 8


def test_mediapipe_irises_are_five_points_each_from_the_right_eye_on():
    p = load_layout("mediapipe478").positions
    for first, side in ((468, -1), (473, 1)):
        centre, right, top, left, bottom = p[first : first + 5]
        assert side * centre[0] > 0.02
        assert right[0] > centre[0] > left[0] and top[1] > centre[1] > bottom[1]
    assert load_layout("mediapipe478").mirror_index()[33] == 263


def test_dense520_holds_the_sparse_layouts_as_named_members(model):
    dense = load_layout("dense520")
    solid, aflw = load_layout("face68_3d"), load_layout("aflw21")
    np.testing.assert_allclose(dense.positions[dense.index(solid.names)], solid.positions, atol=2e-6)
    for point in aflw.positions:
        assert np.linalg.norm(dense.positions - point, axis=1).min() < 2e-6
    free = np.flatnonzero(np.isin(dense.groups, ["delaunay", "fill"]))
    gaps = np.linalg.norm(dense.positions[free, None] - dense.positions[None], axis=2)
    gaps[np.arange(len(free)), free] = 1
    assert gaps.min() > 0.0025


def test_a_layout_survives_a_round_trip(model, tmp_path):
    layout = load_layout("ibug68")
    layout.save(tmp_path / "mine.json")
    again = QuerySet.load(tmp_path / "mine.json")
    np.testing.assert_array_equal(again.positions, layout.positions)
    assert (again.ids, again.names, again.groups, again.kinds) == (
        layout.ids,
        layout.names,
        layout.groups,
        layout.kinds,
    )
    np.testing.assert_array_equal(again.triangle, layout.triangle)
    again.save(tmp_path / "twice.json")
    assert (tmp_path / "mine.json").read_text() == (tmp_path / "twice.json").read_text()


def test_a_bare_layout_is_tied_to_the_mesh(tmp_path):
    tip = [0.0, -0.0262, 0.0446]
    document = {"schema": "facequery.layout", "version": 1, "name": "bare", "positions": [tip]}
    (tmp_path / "bare.json").write_text(json.dumps(document))
    layout = load_layout(tmp_path / "bare.json")
    assert layout.ids == ("bare.0",) and len(layout) == 1


GOOD = {"schema": "facequery.layout", "version": 1, "name": "x", "positions": [[0, 0, 0.02], [0, -0.05, 0.03]]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": "other"}, "not a layout"),
        ({"version": 99}, "newer"),
        ({"version": "1"}, "whole number"),
        ({"name": ""}, "name"),
        ({"positions": []}, "at least one"),
        ({"positions": [[0, 0], [1, 2, 3]]}, "triple"),
        ({"positions": [[0, 0, float("nan")], [0, 0, 0]]}, "metre"),
        ({"positions": [[0, 0, 30.0], [0, 0, 0]]}, "metre"),
        ({"ids": ["a"]}, "1 entries"),
        ({"ids": ["a", "a"]}, "twice"),
        ({"kinds": ["skin", "hair"]}, "not a kind"),
        ({"kinds": ["skin"] * 2, "triangles": [1.5, 2], "barycentric": [[1, 0, 0]] * 2}, "whole numbers"),
    ],
)
def test_malformed_layouts_are_refused_in_one_sentence(tmp_path, change, words):
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(GOOD | change))
    with pytest.raises(UserError, match=words) as caught:
        load_layout(path)
    assert "\n" not in str(caught.value) and "bad.json" in str(caught.value)


def test_what_is_no_json_or_not_there_is_refused(tmp_path):
    (tmp_path / "no.json").write_text('{"schema": ')
    with pytest.raises(UserError, match="not JSON"):
        load_layout(tmp_path / "no.json")
    with pytest.raises(UserError, match="cannot be read"):
        load_layout(tmp_path / "missing.json")
    with pytest.raises(UserError, match="no layout"):
        load_layout("ibug69")


def test_wrong_triangles_are_refused(tmp_path):
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(GOOD | {"kinds": ["skin"] * 2, "triangles": [10**7, 0], "barycentric": [[1, 0, 0]] * 2}))
    with pytest.raises(UserError, match="triangle"):
        load_layout(path)


def test_a_query_far_outside_the_head_is_refused(model):
    with pytest.raises(UserError, match="far outside"):
        QuerySet.from_positions(model, np.array([[0.3, 0, 0]]))
    with pytest.raises(UserError, match="finite"):
        QuerySet.from_positions(model, np.array([[np.nan, 0, 0]]))


def test_the_document_alone(tmp_path):
    write_layout(tmp_path / "a.json", GOOD)
    assert read_layout(tmp_path / "a.json")["kinds"] == ["skin", "skin"]
    with pytest.raises(LayoutError):
        validated([])  # type: ignore[arg-type]


def test_concat_and_subset():
    a, b = load_layout("ibug68"), load_layout("jaw")
    both = QuerySet.concat([a, b, a])
    assert len(both) == 2 * len(a) + len(b) and len(set(both.ids)) == len(both)
    part = both.subset(both.index(["lips_outer_48"]))
    assert part.names == ("lips_outer_48",)
    with pytest.raises(UserError, match="no point named"):
        a.index(["elbow"])
