"""The face finder's maps and their decoding."""

import numpy as np
import pytest
import torch
from facequery.models.finder import FinderConfig, FinderNet, face_sizes
from facequery.training.finder_task import level_targets

SIDE, STRIDES = 256, (8, 16, 32)


def face(x: float, y: float, size: float, roll: float = 0.0) -> np.ndarray:
    """Four points of a face of a size (eyes to mouth, pixels), its eyes' middle at (x, y)."""
    four = np.array([[-0.5, 0.0], [0.5, 0.0], [-0.35, 1.0], [0.35, 1.0]]) * size
    turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    return four @ turn.T + [x, y]


def perfect_outputs(faces: list[np.ndarray]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """What a network without fault says about one picture with these faces."""
    points = np.zeros((1, max(len(faces), 1), 4, 2))
    present = np.zeros((1, points.shape[1]), bool)
    for i, own in enumerate(faces):
        points[0, i], present[0, i] = own, True
    outputs = []
    for stride in STRIDES:
        heat, where, _ = level_targets(points, present, SIDE // stride, SIDE // stride, stride, stride == 32)
        clipped = np.clip(heat, 1e-4, 1 - 1e-4)
        outputs.append((torch.from_numpy(np.log(clipped / (1 - clipped))), torch.from_numpy(where)))
    return outputs


def test_shapes_and_gradients():
    net = FinderNet(FinderConfig())
    outputs = net(torch.rand(2, 3, 64, 96) * 2 - 1)
    assert [o[0].shape for o in outputs] == [(2, 8, 12), (2, 4, 6), (2, 2, 3)]
    assert [o[1].shape for o in outputs] == [(2, 4, 2, 8, 12), (2, 4, 2, 4, 6), (2, 4, 2, 2, 3)]
    sum(logits.sum() + points.sum() for logits, points in outputs).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())
    with pytest.raises(ValueError, match="32"):
        net(torch.zeros(1, 3, 60, 64))


@pytest.mark.parametrize("size", [8.0, 11.0, 16.0, 23.0, 31.0, 45.0, 64.0, 80.0])
def test_a_face_of_any_size_comes_back_once_and_exactly(size):
    truth = face(130.3, 97.7, size, roll=0.4)
    found = FinderNet.decode(perfect_outputs([truth]))[0]
    assert len(found.scores) == 1 and found.scores[0] > 0.99
    assert np.abs(found.points[0] - truth).max() < 1e-3
    x, y, w, h = found.boxes[0]
    assert (truth > [x, y]).all() and (truth < [x + w, y + h]).all()


def test_faces_stay_apart_and_an_empty_picture_has_none():
    faces = [face(60, 60, 20), face(180, 60, 12), face(120, 170, 40)]
    found = FinderNet.decode(perfect_outputs(faces))[0]
    assert len(found.scores) == 3
    for truth in faces:
        assert np.abs(found.points - truth).max((1, 2)).min() < 1e-3
    nothing = FinderNet.decode(perfect_outputs([]))[0]
    assert nothing.points.shape == (0, 4, 2) and nothing.boxes.shape == (0, 4)


def test_size_does_not_depend_on_position_or_roll():
    centre, size = face_sizes(face(10, 20, 30))
    turned_centre, turned = face_sizes(face(10, 20, 30, roll=1.0))
    assert size == pytest.approx(30) and turned == pytest.approx(30)
    assert np.allclose(centre, [10, 32]) and np.allclose(np.linalg.norm(turned_centre - [10, 20]), 12)
