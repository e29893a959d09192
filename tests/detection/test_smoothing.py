import numpy as np
import pytest
from facequery.detection.smoothing import smooth_tracks


def head(frames=120, size=200.0):
    """A face of 30 points that wanders smoothly; pixels."""
    rng = np.random.default_rng(0)
    shape = rng.uniform(0, size, (30, 2))
    t = np.arange(frames)[:, None, None] / 25
    return shape + 40 * np.concatenate([np.sin(1.3 * t), np.cos(0.9 * t)], axis=-1)


def residual_change(xy, truth):
    return np.sqrt(np.mean(np.diff(xy - truth, axis=0) ** 2))


def test_strength_zero_changes_nothing_and_gaps_stay():
    truth = head()
    sigma = np.full(truth.shape[:2], 4.0)
    truth[50:53] = np.nan
    sigma[50:53] = np.nan
    assert np.array_equal(smooth_tracks(truth, sigma, 0.0), truth.astype(np.float32), equal_nan=True)
    smoothed = smooth_tracks(truth, sigma, 1.0)
    assert np.isnan(smoothed[50:53]).all() and np.isfinite(np.delete(smoothed, [50, 51, 52], 0)).all()


def test_noise_goes_down_without_lag_and_most_where_sigma_is_large():
    truth = head()
    rng = np.random.default_rng(1)
    sigma = np.where(np.arange(30) < 15, 2.0, 8.0) * np.ones((len(truth), 1))
    noisy = truth + 0.15 * sigma[..., None] * rng.normal(size=truth.shape)
    smoothed = smooth_tracks(noisy, sigma, 1.0)
    ratio = [residual_change(smoothed[:, k], truth[:, k]) / residual_change(noisy[:, k], truth[:, k])
             for k in (slice(0, 15), slice(15, 30))]  # fmt: skip
    assert ratio[1] < ratio[0] < 0.75
    assert np.sqrt(((smoothed - truth) ** 2).mean()) < np.sqrt(((noisy - truth) ** 2).mean())
    delayed = [np.abs(smoothed[5:-5] - truth[5 + lag : len(truth) - 5 + lag]).mean() for lag in (-1, 0, 1)]
    assert np.argmin(delayed) == 1 and delayed[0] == pytest.approx(delayed[2], rel=0.1)


def test_a_steady_motion_is_kept_exactly_and_a_blink_almost():
    line = np.linspace(0, 90, 40)[:, None, None] + np.random.default_rng(2).uniform(0, 200, (20, 2))
    sigma = np.full(line.shape[:2], 5.0)
    assert np.abs(smooth_tracks(line, sigma, 2.0) - line).max() < 1e-3
    truth = head(60)
    truth[30:33, :4, 1] += [[6.0], [12.0], [6.0]]
    smoothed = smooth_tracks(truth, np.full(truth.shape[:2], 4.0), 1.0)
    assert np.abs(smoothed - truth)[30:33, :4, 1].max() < 3.0


def test_nothing_leaks_across_a_cut():
    first, second = head(30), head(30) + np.array([300.0, 0.0])
    sigma = np.full((60, 30), 4.0)
    both = smooth_tracks(np.concatenate([first, second]), sigma, 1.0)
    assert np.allclose(both[:30], smooth_tracks(first, sigma[:30], 1.0), atol=0.2)
    assert np.allclose(both[30:], smooth_tracks(second, sigma[30:], 1.0), atol=0.2)
