import numpy as np
import pytest
from facequery.apps.pick import Mark, pick_points
from facequery.apps.refine import visible_vertices
from facequery.errors import UserError
from facequery.pipeline.pick import parse_marks
from flat_head import CROP, descriptor, sight, true_face


def seen_points(head, face, count, seed=0):
    face_mask = np.zeros(head.count, bool)
    face_mask[: len(head.model.region_mask("face"))] = head.model.region_mask("face") & ~head.model.region_mask("lips")
    pool = np.flatnonzero(visible_vertices(face, head.triangles, 0.001) & face_mask)
    return np.random.default_rng(seed).choice(pool, count, replace=False)


def marks_at(face, vertices, picture=0):
    return [Mark(n, picture, (float(x), float(y))) for n, (x, y) in enumerate(face.xy[vertices])]


def test_marks_give_back_the_points_that_are_there(head):
    face = true_face(head, 15)
    vertices = seen_points(head, face, 30)
    names = [f"p{i}" for i in range(30)]
    picks = pick_points(head, sight(descriptor(15)), CROP[None], marks_at(face, vertices), names)
    assert picks.residual.max() < 0.05
    away = np.linalg.norm(picks.queries.positions - head.positions[vertices], axis=1)
    assert np.median(away) < 2e-4
    assert (away < 1e-3).mean() > 0.9  # the others lie at an edge of what is seen, on one side of it or the other
    assert picks.queries.names == tuple(names)


def test_points_stay_on_the_head(head):
    face = true_face(head, -20)
    picks = pick_points(head, sight(descriptor(-20)), CROP[None], [Mark(0, 0, (20.0, 30.0))], ["off"])
    assert picks.residual[0] > 20  # nothing of the head is there, and that is said
    nearest = np.linalg.norm(face.xy - [20, 30], axis=1).min()
    assert picks.residual[0] < 1.3 * nearest + 5


def test_marks_in_two_pictures_are_met_together(head):
    faces = [true_face(head, -10), true_face(head, 25)]
    vertices = seen_points(head, faces[1], 12)
    vertices = vertices[visible_vertices(faces[0], head.triangles, 0.001)[vertices]]
    marks = marks_at(faces[0], vertices, 0) + marks_at(faces[1], vertices, 1)
    crops = np.stack([CROP, CROP])
    names = [str(i) for i in range(len(vertices))]
    picks = pick_points(head, sight(descriptor(-10), descriptor(25)), crops, marks, names)
    assert np.linalg.norm(picks.queries.positions - head.positions[vertices], axis=1).max() < 5e-4
    assert picks.residual.shape == (2 * len(vertices),)


def test_marks_that_contradict_leave_a_residual(head):
    faces = [true_face(head, -10), true_face(head, 25)]
    vertex = seen_points(head, faces[1], 1)
    x, y = faces[1].xy[vertex[0]]
    marks = [*marks_at(faces[0], vertex, 0), Mark(0, 1, (float(x), float(y) + 12))]
    picks = pick_points(head, sight(descriptor(-10), descriptor(25)), np.stack([CROP, CROP]), marks, ["a"])
    assert picks.residual.max() > 4


def test_a_point_is_marked_once_in_a_picture(head):
    marks = [Mark(0, 0, (200.0, 200.0)), Mark(0, 0, (210.0, 200.0))]
    with pytest.raises(UserError, match="twice"):
        pick_points(head, sight(descriptor(0)), CROP[None], marks, ["a"])


def test_marks_are_parsed():
    marks = parse_marks(["10,20.5", "30,40", "1005:11,21", "scar=1005:7,8", "scar=9,9"], 1001)
    assert [(m.name, m.frame, m.xy) for m in marks] == [
        ("1", 1001, (10.0, 20.5)),
        ("2", 1001, (30.0, 40.0)),
        ("1", 1005, (11.0, 21.0)),
        ("scar", 1005, (7.0, 8.0)),
        ("scar", 1001, (9.0, 9.0)),
    ]


@pytest.mark.parametrize(("texts", "frame"), [(["10;20"], 1), (["a:1,2"], 1), (["1,2,3"], 1), (["1,2"], None), ([], 1)])
def test_bad_marks_are_told(texts, frame):
    with pytest.raises(UserError):
        parse_marks(texts, frame)
