"""What the comparison with a peer does to its landmarks; the peer itself is not needed."""

import numpy as np
from facequery.geometry.crops import apply_affine

from benchmarks.peers import face_crops, table, without_offsets, written_sections


def faces(count=40):
    """Truth (n, 68, 2) of one shape, turned, scaled and moved differently in every picture."""
    rng = np.random.default_rng(0)
    shape = rng.uniform(-1, 1, (68, 2))
    shape[[36, 39, 42, 45, 48, 54]] = [[-0.6, -0.3], [-0.3, -0.3], [0.3, -0.3], [0.6, -0.3], [-0.3, 0.5], [0.3, 0.5]]
    angle, scale = rng.uniform(-0.7, 0.7, count), rng.uniform(30, 90, count)
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    matrix = np.stack([np.stack([cos, -sin, 200 + angle], -1), np.stack([sin, cos, 300 - angle], -1)], 1)
    return shape, matrix, apply_affine(matrix, shape)


def test_a_peers_own_placement_of_points_is_taken_off_whatever_the_roll():
    shape, matrix, truth = faces()
    placed = apply_affine(matrix, shape + np.random.default_rng(1).normal(0, 0.05, shape.shape))
    assert np.abs(placed - truth).max() > 1
    assert np.abs(without_offsets(placed, truth, None) - truth).max() < 1e-6
    assert np.abs(without_offsets(placed[:7], truth[:7], (placed[7:], truth[7:])) - truth[:7]).max() < 1e-6


def test_no_face_helps_to_remove_its_own_offset():
    _, _, truth = faces()
    spoiled = truth.copy()
    spoiled[0] += 40.0  # a blunder in the first fold
    cleaned = without_offsets(spoiled, truth, None)
    assert np.abs(cleaned[0] - spoiled[0]).max() < 1e-6
    assert np.abs(cleaned[2] - truth[2]).max() < 1e-6 and np.abs(cleaned[1] - truth[1]).max() > 0.1
    spoiled[4] = np.nan
    assert np.isnan(without_offsets(spoiled, truth, None)[4]).all()
    assert np.isfinite(np.delete(without_offsets(spoiled, truth, None), 4, 0)).all()
    assert len(face_crops(truth)) == len(truth)


def test_tables_that_are_not_measured_again_stay(tmp_path):
    file = tmp_path / "peers.md"
    assert written_sections(file) == {}
    text = table([{"a": "x", "ms": 4.4}, {"a": 1.234, "ms": 5.6}], ("a", "ms"))
    file.write_text(f"# Peers\n\nwords\n\n## Pictures\n\n{text}\n\n## Films\n\nolder\n")
    assert written_sections(file) == {"Pictures": text, "Films": "older"}
    assert text.splitlines()[2:] == ["| x | 4 |", "| 1.23 | 6 |"]
