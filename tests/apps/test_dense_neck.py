import numpy as np
import pytest
from facequery.apps.dense import DenseHead
from flat_head import CROP, descriptor, sight, true_face


def test_a_neck_that_the_network_guesses_goes_with_the_head(head, monkeypatch):
    model = head.model
    neck = model.region_mask("neck") & ~model.region_mask("face")
    height, depth = model.rest[: len(neck), 1], model.rest[: len(neck), 2]
    throat = neck & (depth > np.median(depth[neck]))
    low = np.flatnonzero(throat & (height < np.median(height[throat])))
    honest = DenseHead.landmarks

    def guessed(self, views, positions):
        xy, sigma = honest(self, views, positions)
        if len(positions) == self.count:
            xy[:, low] -= np.array([0, 0.3], np.float32)
        return xy, sigma

    monkeypatch.setattr(DenseHead, "landmarks", guessed)
    pose = (12.0, 4.0)
    face = head.faces(sight(descriptor(*pose)), CROP[None])[0]
    true = true_face(head, *pose)
    error = np.linalg.norm(face.xy - true.xy, axis=1)
    assert len(low) > 50
    assert error[low].mean() < 0.2 * 0.3 * face.scale  # of what the network is off; near the face it has its say
    assert np.median(error[low]) < 0.01 * face.scale
    assert error[np.flatnonzero(model.region_mask("face"))].max() < 0.01
    assert face.scale == pytest.approx(150)
