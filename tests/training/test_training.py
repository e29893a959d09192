"""The loop: it learns, it goes on bit by bit after a stop, and the correction finds a data set's offset."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from facequery.errors import UserError
from facequery.models.correction import SemanticCorrection
from facequery.models.weights import load_landmark_net
from facequery.training import landmark_task
from facequery.training.checkpoints import MovingAverage
from facequery.training.configs import CONFIGS, TrainConfig, config_by_name
from facequery.training.progress import Bar, Lines
from facequery.training.trainer import Trainer, seed_everything

from tests.training.fakes import QUERIES, blob_mix, clip_mix


@pytest.fixture
def config(monkeypatch) -> TrainConfig:
    monkeypatch.setattr(landmark_task, "make_mix", blob_mix)
    tiny = CONFIGS["tiny"]
    return replace(tiny, data=replace(tiny.data, queries=QUERIES, portraits=1.0), steps=6)


class Stopping(landmark_task.LandmarkTask):
    """Asks for a stop in a given step, as a signal would."""

    trainer: Trainer
    stop_at = -1

    def batch(self, step):
        if step == self.stop_at:
            self.trainer.stop = True
        return super().batch(step)


def run(config, folder, resume=False, stop_at=-1):
    seed_everything(config.seed)
    task = Stopping(config, resume)
    task.stop_at = stop_at
    task.trainer = Trainer(config, task, folder, resume)
    task.trainer.run(display=Lines(lambda text: None))
    return task


def test_a_stopped_run_goes_on_bit_by_bit(config, tmp_path):
    whole = run(config, tmp_path / "whole")
    run(config, tmp_path / "pieces", stop_at=2)
    pieces = run(config, tmp_path / "pieces", resume=True)
    assert pieces.trainer.step == whole.trainer.step == 6
    for name, value in whole.module.state_dict().items():
        assert torch.equal(value, pieces.module.state_dict()[name]), name
    for name, value in whole.trainer.average.state.items():
        assert torch.equal(value, pieces.trainer.average.state[name]), name


def test_it_learns_and_writes_weights_that_can_be_read(config, tmp_path):
    config = replace(config, steps=80, learning_rate=3e-3, batch=8)
    losses = []
    task = landmark_task.LandmarkTask(config)
    trainer = Trainer(config, task, tmp_path, False)
    step = trainer._one_step

    def watched():
        losses.append(step())
        return losses[-1]

    trainer._one_step = watched  # type: ignore[method-assign]
    trainer.run(display=Lines(lambda text: None))
    first, last = (np.mean([part["error"] for part in some]) for some in (losses[:5], losses[-5:]))
    assert last < 0.5 * first
    net, card = load_landmark_net(tmp_path / "landmarks.safetensors")
    assert card["kind"] == "landmarks" and card["metrics"]["samples"] == 80 * 8
    assert json.dumps(card)
    assert net.config == config.model


def test_a_loss_that_is_no_number_changes_nothing_and_ends_the_run(config, tmp_path):
    task = landmark_task.LandmarkTask(config)
    before = {n: v.clone() for n, v in task.module.state_dict().items()}
    trainer = Trainer(replace(config, steps=100), task, tmp_path, False)
    plain = task.batch
    task.batch = lambda step: (*plain(0)[:2], plain(0)[2] * float("nan"), *plain(0)[3:])  # type: ignore[method-assign]
    with pytest.raises(UserError, match="not a number"):
        trainer.run(display=Lines(lambda text: None))
    learned = dict(task.module.named_parameters())
    assert all(torch.equal(before[n], v) for n, v in learned.items())


def test_resuming_needs_a_checkpoint_of_the_same_network(config, tmp_path):
    with pytest.raises(UserError, match="no checkpoint"):
        run(config, tmp_path, resume=True)
    run(config, tmp_path, stop_at=1)
    with pytest.raises(UserError, match="another network"):
        run(replace(config, model=replace(config.model, hidden=32)), tmp_path, resume=True)
    with pytest.raises(UserError, match="Known"):
        config_by_name("huge")


@pytest.fixture
def finished(config, tmp_path):
    """A short run's folder and its learner."""
    return tmp_path / "first", run(config, tmp_path / "first")


@pytest.mark.parametrize("file", ["checkpoint.pt", "landmarks.safetensors"])
def test_a_new_run_starts_from_earlier_weights(config, tmp_path, finished, file):
    folder, first = finished
    seed_everything(99)
    task = landmark_task.LandmarkTask(config, True)
    trainer = Trainer(config, task, tmp_path / "second", False, "cpu", folder / file)
    assert trainer.step == 0 and trainer.progress() == 0  # the schedule is a new one
    average = first.trainer.average.state
    tolerance = 2e-3 if file.endswith("safetensors") else 0.0  # shipped weights are float16
    for name, value in task.module.state_dict().items():
        if name.startswith("network.") or file == "checkpoint.pt":
            assert torch.allclose(value, average[name], atol=tolerance, rtol=tolerance), name
    task.close()


@pytest.mark.parametrize("file", ["checkpoint.pt", "landmarks.safetensors"])
def test_earlier_weights_must_be_of_the_same_network(config, tmp_path, finished, file):
    wider = replace(config, model=replace(config.model, hidden=32))
    with pytest.raises(UserError, match="another network"):
        Trainer(wider, landmark_task.LandmarkTask(wider, True), tmp_path / "x", False, "cpu", finished[0] / file)
    with pytest.raises(UserError):
        task = landmark_task.LandmarkTask(config, True)
        Trainer(config, task, tmp_path / "y", False, "cpu", finished[0] / "none.pt")


def test_every_epoch_ends_with_a_contact_sheet_and_curves(config, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = replace(config, steps=24, epoch=64)  # 24 steps of 8: three epochs
    seed_everything(1)
    task = landmark_task.LandmarkTask(config)
    trainer = Trainer(config, task, tmp_path, False)
    sheets = []
    draw = task.sheet

    def noted(state, path):
        sheets.append(trainer.samples)
        draw(state, path)

    task.sheet = noted  # type: ignore[method-assign]
    trainer.run(display=Lines(lambda text: None))
    assert trainer.writer is not None
    trainer.writer.flush()
    assert sheets == [64, 128, 192]
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert "training/waiting" in events.Tags()["scalars"] and events.Tags()["images"] == ["sheet"]


def test_a_run_tells_speed_time_left_and_waiting(config, tmp_path):
    told = []

    class Told(Lines):
        every = 0.0

        def status(self, status):
            told.append(status)

    config = replace(config, steps=30)
    task = landmark_task.LandmarkTask(config)
    Trainer(config, task, tmp_path, False).run(display=Told())
    last = told[-1]
    assert 0.5 < last.done <= 1 and last.samples == last.done * 30 * 8
    assert last.speed > 0 and 0 < last.waiting < 1 and last.left >= 0
    assert "samples" in last.line() and "waiting" in last.line() and "error" in last.means
    bar = Bar()
    bar.status(last)
    bar.line("measured")
    bar.close()


def test_clips_are_trained_on_with_the_temporal_term(config, tmp_path, monkeypatch):
    monkeypatch.setattr(landmark_task, "make_mix", clip_mix)
    told = []
    for weight in (5.0, 0.0):
        own = replace(config, loss=replace(config.loss, temporal_weight=weight))
        seed_everything(config.seed)
        task = landmark_task.LandmarkTask(own)
        told.append(Trainer(own, task, tmp_path / str(weight), False)._one_step())
        task.close()
    assert told[0]["change"] > 0 and "change" not in told[1]
    assert told[0]["loss"] == pytest.approx(told[1]["loss"] + 5 * told[0]["change"], rel=1e-4)


def test_the_moving_average_follows():
    layer = torch.nn.Linear(2, 2)
    average = MovingAverage(layer, 0.5)
    with torch.no_grad():
        layer.weight.fill_(1.0)
    for _ in range(40):
        average.update(layer)
    assert torch.allclose(average.state["weight"], layer.weight, atol=1e-3)


def test_the_correction_recovers_a_deliberate_offset():
    """Two data sets see the same linear world, but the second one's landmarks sit 0.1 farther along x."""
    torch.manual_seed(0)
    correction = SemanticCorrection(2)
    optimiser = torch.optim.Adam(correction.parameters(), 1e-2)
    for _ in range(150):
        queries = torch.rand(8, 32, 3) * 2 - 1
        dataset = torch.arange(8) % 2
        target = queries[..., :2] + torch.tensor([0.1, 0.0]) * dataset[:, None, None]
        shift = correction(queries, dataset)
        loss = (queries + shift)[..., :2].sub(target).square().mean() + 1e-3 * shift.square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    shift = correction(torch.rand(2, 200, 3) * 1.6 - 0.8, torch.tensor([0, 1])).detach()
    assert not shift[0].any()
    assert shift[1, :, 0].mean() == pytest.approx(0.1, abs=0.01) and shift[1, :, 1:].abs().mean() < 0.02
