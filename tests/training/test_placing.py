"""What teaches the spatial transformer before the predictor can."""

import numpy as np
import torch
from facequery.geometry.crops import crop_from_points
from facequery.head.layouts import load_layout
from facequery.head.model import HeadModel
from facequery.models.spatial_transformer import carry_back
from facequery.training.placing import placing_loss, resting_landmarks


def queries():
    positions = load_layout("ibug68").positions * HeadModel.load().scale
    return torch.from_numpy(positions.astype(np.float32))


def test_the_resting_head_fills_its_own_normalised_crop():
    points = resting_landmarks(queries()).numpy().astype(float)
    four = np.stack([points[[36, 39]].mean(0), points[[42, 45]].mean(0), points[48], points[54]])
    crop = crop_from_points(1000 * four) / 1000
    assert np.abs(crop - [[1, 0, 0], [0, 1, 0]]).max() < 0.03
    assert points[8, 1] > points[30, 1] > points[27, 1]  # chin, tip and root of the nose: y points down


def test_only_the_crop_that_lies_over_the_landmarks_costs_nothing():
    query = queries()[None].expand(2, -1, -1)
    right = torch.tensor([[0.4, 2.5, 0.3, -0.2], [0.9, -0.1, 0.0, 0.1]])
    xy = carry_back(right, resting_landmarks(query), torch.zeros(query.shape[:2]))[0]
    weight, unit = torch.ones(query.shape[:2]), right[:, 0]
    assert placing_loss(right, query, xy, weight, unit, 128) < 1e-3
    for number, step in enumerate((0.1, 0.3, 0.1, 0.1)):
        wrong = right.clone()
        wrong[:, number] += step
        wrong.requires_grad_(True)
        loss = placing_loss(wrong, query, xy, weight, unit, 128)
        loss.backward()
        assert wrong.grad is not None
        assert wrong.grad is not None
        assert loss > 0.2 and (wrong.grad[:, number] > 0).all()  # the way back is downhill
