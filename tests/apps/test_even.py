import numpy as np
import pytest
from facequery.apps.even import SurfaceDiffusion

SIDE = 41


@pytest.fixture(scope="module")
def sheets():
    """Two flat sheets that lie on each other, 1 between neighbours, with different triangles."""
    y, x = np.divmod(np.arange(SIDE * SIDE), SIDE)
    flat = np.stack([x, y, 0 * x], 1).astype(np.float32)
    corner = np.flatnonzero((x < SIDE - 1) & (y < SIDE - 1))
    triangles = np.concatenate(
        [np.stack([corner, corner + 1, corner + SIDE], 1), np.stack([corner + 1, corner + SIDE + 1, corner + SIDE], 1)]
    )
    return np.concatenate([flat, flat]), np.concatenate([triangles, triangles + len(flat)])


def test_what_is_smooth_stays_and_noise_goes(sheets):
    positions, triangles = sheets
    evened = SurfaceDiffusion(positions, triangles, 2.0)
    smooth = np.stack([np.full(len(positions), 3.0), np.sin(positions[:, 0] / 20)], 1)
    noise = np.random.default_rng(0).normal(0, 1, smooth.shape)
    assert np.allclose(evened(smooth)[:, 0], 3.0)
    inside = (np.abs(positions[:, :2] - SIDE // 2) < 12).all(1)
    assert np.abs(evened(smooth) - smooth)[inside].max() < 0.03
    assert evened(noise).std() < 0.2


def test_a_peak_gets_the_width_that_was_asked_for(sheets):
    positions, triangles = sheets
    values = np.zeros((len(positions), 1))
    values[SIDE * (SIDE // 2) + SIDE // 2] = 1
    made = SurfaceDiffusion(positions, triangles, 2.0)(values)[:, 0]
    assert made.sum() == pytest.approx(1.0, rel=1e-3)
    assert np.sqrt((made * (positions[:, 0] - SIDE // 2) ** 2).sum()) == pytest.approx(np.sqrt(2) * 2.0, rel=0.05)
    assert not made[SIDE * SIDE :].any()  # the other sheet
