"""What the comparison with a peer does to its landmarks; the peer itself is not needed."""

import numpy as np
import pytest
from facequery.geometry.crops import apply_affine
from facequery.geometry.rotations import euler_to_matrix
from facequery.head.layouts import load_layout

from benchmarks.peers import face_crops, parted, table, verdicts, without_offsets, written_sections


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


def test_offsets_that_follow_the_pose_are_taken_off():
    rng = np.random.default_rng(3)
    head = load_layout("ibug68").positions
    turns = np.stack([rng.uniform(-0.6, 0.6, 60), rng.uniform(-0.3, 0.3, 60), np.zeros(60)], 1)
    rotation = np.stack([np.diag([1.0, -1.0, -1.0]) @ euler_to_matrix(*turn) for turn in turns])
    truth = 1000 * (head @ np.swapaxes(rotation, 1, 2))[..., :2] + 200
    way = rng.normal(0, 4, (68, 2))
    placed = truth + way * np.sin(turns[:, 0])[:, None, None]  # to one side or the other, as the head turns
    plain, bent = (np.abs(without_offsets(placed, truth, None, follow) - truth).mean() for follow in (False, True))
    assert bent < 0.2 * plain


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


def test_hard_faces_stand_beside_the_rest():
    errors = np.array([[0.02, 0.04], [0.10, 0.10]])
    assert parted(errors, np.array([False, True])) == {"hard68": pytest.approx(10.0), "rest68": pytest.approx(3.0)}
    assert parted(errors, None) == {"hard68": "", "rest68": ""}


def test_verdicts_put_like_beside_like():
    rows = [
        {"set": "afw", "crop": "points", "detector": name, "nme68": value, "nme51": value / 2}
        for name, value in (
            ("MediaPipe", 5.0), ("MediaPipe, offsets removed", 4.0), ("MediaPipe, offsets by pose removed", 3.0),
            ("FaceQuery", 4.5), ("FaceQuery, calibrated", 4.4),
        )
    ]  # fmt: skip
    plain, calibrated, by_pose = verdicts(rows).splitlines()
    assert "nme68 4.50 / 5.00 = 0.90" in plain and "nme51 2.25 / 2.50 = 0.90" in plain
    assert "nme68 4.40 / 4.00 = 1.10" in calibrated
    assert "nme68 4.40 / 3.00 = 1.47" in by_pose
