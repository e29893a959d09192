"""Own skulls are aligned by named landmarks."""

import numpy as np
import pytest
from facequery.errors import UserError
from facequery.geometry.rotations import euler_to_matrix
from facequery.head import load_layout
from facequery.head.own_mesh import aligned_mesh

NAMES = ("nasion", "zygion_left", "zygion_right", "prosthion", "bregma", "euryon_left")


@pytest.fixture
def foreign(model):
    """The head's own cranium in other units and another pose, with its landmarks."""
    skull = load_layout("skull")
    bone = model.rest[model.parts["cranium"].vertices].astype(np.float64)
    turn = euler_to_matrix(0.4, -0.2, 0.7)
    move = np.array([3.0, -1.0, 20.0])
    marks = skull.positions[skull.index(NAMES)].astype(np.float64)
    place = lambda p: 100 * p @ turn.T + move  # noqa: E731
    return place(bone), model.part_triangles("cranium"), dict(zip(NAMES, place(marks), strict=True)), bone


def test_a_similarity_is_undone(model, foreign):
    vertices, triangles, marks, truth = foreign
    own = aligned_mesh(model, vertices, triangles, marks, load_layout("skull"))
    np.testing.assert_allclose(own.vertices, truth, atol=1e-5)
    assert max(own.residual.values()) < 1e-5


def test_warping_fits_the_landmarks_exactly(model, foreign):
    vertices, triangles, marks, _ = foreign
    skull = load_layout("skull")
    marks = {k: v + np.array([0.0, 0.4, 0.0]) * (k == "nasion") for k, v in marks.items()}
    stiff = aligned_mesh(model, vertices, triangles, marks, skull)
    assert 1e-4 < max(stiff.residual.values()) < 5e-3
    corner = np.array(list(marks.values()))
    bent = aligned_mesh(model, corner, triangles, marks, skull, warp=True)
    np.testing.assert_allclose(bent.vertices, skull.positions[skull.index(NAMES)], atol=1e-5)


def test_too_few_or_unknown_landmarks_are_refused(model, foreign):
    vertices, triangles, marks, _ = foreign
    skull = load_layout("skull")
    two = dict(list(marks.items())[:2])
    with pytest.raises(UserError, match="not on a line"):
        aligned_mesh(model, vertices, triangles, two, skull)
    with pytest.raises(UserError, match="no point named"):
        aligned_mesh(model, vertices, triangles, {"elbow": np.zeros(3)}, skull)
    with pytest.raises(UserError, match="five"):
        aligned_mesh(model, vertices, triangles, dict(list(marks.items())[:4]), skull, warp=True)
