import pytest
import torch
from facequery.training.configs import LossConfig
from facequery.training.losses import gaussian_likelihood, hybrid, landmark_loss, leaning_of, temporal_loss, wing


def test_wing_is_continuous_and_grows_with_the_error():
    r = torch.linspace(-30, 30, 6001, dtype=torch.double)
    value = wing(r, 10.0, 2.0)
    assert (value.diff().abs() < 0.06).all()
    assert torch.allclose(value, value.flip(0), atol=1e-9)
    assert value.argmin() == 3000 and value.min().abs() < 1e-6
    assert wing(torch.tensor(110.0)) - wing(torch.tensor(100.0)) == pytest.approx(10.0, abs=1e-4)


def test_hybrid_is_one_and_a_half_wing_and_half_the_square():
    r = torch.tensor([0.5, 20.0])
    assert torch.allclose(hybrid(r), 1.5 * wing(r, 15.0, 3.0) + 0.5 * r**2)


def test_likelihood_is_best_at_the_deviation_per_axis():
    torch.manual_seed(0)
    residual = torch.randn(20_000, 2) * 3.0
    sigmas = torch.linspace(1.0, 6.0, 101)
    values = torch.stack([gaussian_likelihood(residual, s.log().expand(len(residual))).mean() for s in sigmas])
    assert sigmas[values.argmin()] == pytest.approx(3.0, abs=0.1)


@pytest.mark.parametrize("kind", ["wing", "l2", "hybrid", "joint"])
def test_gradients_are_right(kind):
    torch.manual_seed(0)
    xy = (torch.rand(2, 3, 2, dtype=torch.double) - 0.5).requires_grad_(True)
    log_sigma = torch.full((2, 3), -2.0, dtype=torch.double, requires_grad=True)
    target, weight = torch.zeros(2, 3, 2, dtype=torch.double), torch.rand(2, 3, dtype=torch.double)

    def of_xy(values):
        return landmark_loss(values, log_sigma.detach(), target, weight, 64, LossConfig(kind=kind, sigma_weight=0.0))[0]

    def of_sigma(values):
        return landmark_loss(xy.detach(), values, target, weight, 64, LossConfig(kind=kind))[0]

    if kind == "joint":
        assert torch.autograd.gradcheck(of_xy, (xy,))
    else:
        assert torch.autograd.gradcheck(of_xy, (xy,), eps=1e-6, atol=1e-3)
    assert torch.autograd.gradcheck(of_sigma, (log_sigma,))


def test_only_the_joint_form_moves_the_mean_through_sigma():
    xy = torch.rand(1, 4, 2, requires_grad=True)
    low, high = torch.full((1, 4), -4.0), torch.full((1, 4), -1.0)
    target, weight = torch.zeros(1, 4, 2), torch.ones(1, 4)

    def gradient(kind, sigma):
        loss, _ = landmark_loss(xy, sigma, target, weight, 64, LossConfig(kind=kind))
        return torch.autograd.grad(loss, xy)[0]

    assert torch.allclose(gradient("wing", low), gradient("wing", high))
    assert not torch.allclose(gradient("joint", low), gradient("joint", high))


def test_weightless_points_do_not_count():
    xy, target = torch.zeros(1, 2, 2), torch.zeros(1, 2, 2)
    target[0, 1] = 1e3
    loss, parts = landmark_loss(xy, torch.zeros(1, 2), target, torch.tensor([[1.0, 0.0]]), 64, LossConfig())
    assert float(parts["error"]) == 0.0 and torch.isfinite(loss)


def test_errors_that_stay_cost_nothing_over_time_and_jitter_does():
    clip = torch.tensor([-1, -1, 0, 0, 0, 1, 1])
    weight = torch.ones(7, 5)
    still = torch.full((7, 5, 2), 9.0)
    still[:2] = torch.rand(2, 5, 2) * 100  # single pictures and the change from clip to clip do not count
    still[5:] = -4.0
    assert float(temporal_loss(still, weight, clip)) == pytest.approx(0.0, abs=1e-6)
    moving = still.clone()
    moving[3] += torch.tensor([3.0, 4.0])
    assert float(temporal_loss(moving, weight, clip)) == pytest.approx(2 * 5.0 / 3, rel=0.01)
    weight[3] = 0
    assert float(temporal_loss(moving, weight, clip)) == pytest.approx(0.0, abs=1e-6)
    assert float(temporal_loss(moving, weight, torch.full((7,), -1))) == 0.0


def test_the_temporal_term_is_a_switch_with_a_right_gradient():
    torch.manual_seed(0)
    xy = torch.rand(4, 3, 2, dtype=torch.double, requires_grad=True)
    log_sigma, target = torch.zeros(4, 3, dtype=torch.double), torch.rand(4, 3, 2, dtype=torch.double)
    weight, clip = torch.rand(4, 3, dtype=torch.double), torch.tensor([0, 0, 0, -1])

    def loss(values, weight_of_time):
        config = LossConfig(kind="l2", temporal_weight=weight_of_time)
        return landmark_loss(values, log_sigma, target, weight, 64, config, None, clip)

    assert torch.autograd.gradcheck(lambda v: loss(v, 2.0)[0], (xy,))
    with_time, parts = loss(xy, 2.0)
    without, others = loss(xy, 0.0)
    assert float((with_time - without).detach()) == pytest.approx(2 * float(parts["change"])) and "change" not in others


def test_small_faces_in_large_pictures_weigh_as_much_as_others():
    torch.manual_seed(0)
    xy, target, log_sigma = torch.rand(2, 4, 2), torch.rand(2, 4, 2), torch.full((2, 4), -2.0)
    weight, unit = torch.ones(2, 4), torch.tensor([0.25, 0.25])
    near = landmark_loss(xy, log_sigma, target, weight, 64, LossConfig())[0]
    scaled = (xy * 0.25, log_sigma + torch.log(unit)[:, None], target * 0.25)
    far = landmark_loss(*scaled, weight, 64, LossConfig(), unit)[0]
    assert float(near) == pytest.approx(float(far), rel=1e-5)


def test_offsets_lean_by_the_turn_and_the_shear_that_made_them():
    generator = torch.Generator().manual_seed(0)
    points = torch.randn((2, 40, 3), generator=generator) + 1.0
    turn = torch.tensor([[0.0, -0.03, -0.01], [0.03, 0.0, -0.02], [0.01, 0.02, 0.0]])
    shear = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 0.05], [0.0, 0.0, 0.0]])
    growth = torch.diag(torch.tensor([0.1, -0.05, 0.0]))  # is neither, nor is a shift
    made = torch.stack([turn, shear])
    offset = points @ (made + growth).transpose(1, 2) + 0.5
    assert torch.allclose(leaning_of(offset, points), made, atol=1e-4)
    same = points[:, :1].expand_as(points)
    assert torch.isfinite(leaning_of(offset, same)).all()
