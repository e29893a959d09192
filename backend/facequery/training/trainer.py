"""The training loop: any slice of minutes at a time, resumable at any moment, on CPU, CUDA or MPS."""

import json
import math
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from facequery.errors import UserError
from facequery.training.checkpoints import (
    MovingAverage,
    careful_layers,
    load_checkpoint,
    parameter_groups,
    save_checkpoint,
    start_from,
)  # fmt: skip
from facequery.training.configs import TrainConfig
from facequery.training.progress import Display, Lines, Status

MOST_BAD_STEPS = 20  # steps in a row without a finite loss after which the run is given up


class Task(Protocol):
    """What is learned: how a batch is made and what its loss is."""

    @property
    def module(self) -> nn.Module:
        """All that is trained; forward(*inputs) -> (loss, parts)."""

    @property
    def encoder(self) -> nn.Module:
        """The part that learns at the lower rate."""

    def batch(self, step: int) -> tuple[Tensor, ...]: ...

    def evaluate(self, state: dict[str, Tensor]) -> dict[str, float]: ...

    def sheet(self, state: dict[str, Tensor], path: Path) -> None: ...

    def export(self, state: dict[str, Tensor], path: Path, metrics: dict[str, Any]) -> None: ...

    def close(self) -> None: ...


class Trainer:
    """Trains a task, writing checkpoints, curves, contact sheets and weights into `folder`."""

    def __init__(
        self, config: TrainConfig, task: Task, folder: Path, resume: bool, device: str = "cpu",
        initial: Path | None = None,
    ) -> None:  # fmt: skip
        self.config, self.task, self.folder, self.device = config, task, folder, device
        folder.mkdir(parents=True, exist_ok=True)
        self.rank = int(os.environ.get("RANK", 0))
        module = task.module.to(device)
        if initial is not None and not resume:
            start_from(module, initial)
        self.model: nn.Module = module
        if torch.distributed.is_initialized():
            self.model = nn.parallel.DistributedDataParallel(module)
        slow = [
            (task.encoder, config.encoder_rate),
            *((layer, config.careful_rate) for layer in careful_layers(module)),
        ]
        groups = parameter_groups(module, slow, config.learning_rate, config.weight_decay)
        self.optimiser = torch.optim.AdamW(
            groups, betas=(0.9, 0.99), eps=config.smallest, fused=device in ("cpu", "cuda")
        )  # fmt: skip
        self.average = MovingAverage(module, config.ema)
        self.step, self.seconds, self.samples, self.bad = 0, 0.0, 0, 0
        self.feed = Feed(task.batch, "cpu", 0)
        self.waited = 0.0  # seconds, for the data of the last step
        self.curve: list[dict[str, float]] = []
        self.stop = False
        if resume:
            self._load()
        elif (folder / "checkpoint.pt").exists():
            (folder / "checkpoint.pt").replace(folder / "checkpoint.old.pt")
        self.writer = _tensorboard(folder) if self.rank == 0 else None

    def progress(self) -> float:
        """How far the schedule has come, 0 to 1."""
        done = self.step / self.config.steps if self.config.steps else self.seconds / (60 * self.config.minutes)
        return min(done, 1.0)

    def rate(self) -> float:
        """Factor on the peak learning rate: linear warm-up, then cosine."""
        config, done = self.config, self.progress()
        if done < config.warmup:
            return (done + 1e-3) / (config.warmup + 1e-3)
        cosine = 0.5 * (1 + math.cos(math.pi * (done - config.warmup) / (1 - config.warmup)))
        return config.final_rate + (1 - config.final_rate) * cosine

    def run(self, minutes: float | None = None, display: Display | None = None) -> None:
        """Train until the schedule ends, `minutes` have passed, or a signal (SIGINT, SIGTERM) asks to stop."""
        previous = {s: signal.signal(s, self._on_signal) for s in (signal.SIGINT, signal.SIGTERM)}
        display = display or Lines()
        self.feed = Feed(self.task.batch, self.device, self.step)
        try:
            self._run(minutes, display)
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
            display.close()
            self.feed.close()
            self.task.close()

    def _run(self, minutes: float | None, display: Display) -> None:
        config = self.config
        begin = last = time.monotonic()
        base = self.seconds
        due = {"show": begin, "curves": begin, "checkpoint": begin, "evaluate": begin + 30}
        shown, drawn = Window(begin), Window(begin)
        while True:
            over = minutes is not None and self.seconds - base > 60 * minutes
            if self._all_agree_to_stop(over or self.stop or self.progress() >= 1.0):
                break
            epoch = self._epoch()
            parts = self._one_step()
            now = time.monotonic()
            self.seconds += now - last
            last = now
            if self.rank:
                continue
            for window in (shown, drawn):
                window.add(parts, self.waited)
            if now > due["show"] and shown.count >= 10:
                display.status(self._status(shown, now))
                shown, due["show"] = Window(now), now + display.every
            if now > due["curves"] and drawn.count >= 10:
                self._curves(self._status(drawn, now))
                drawn, due["curves"] = Window(now), now + 20
            if now > due["checkpoint"] + 60 * config.checkpoint_minutes:
                self.save()
                due["checkpoint"] = now
            if config.evaluate_minutes and now > due["evaluate"]:
                self.evaluate(display.line)
                due["evaluate"] = now + 60 * config.evaluate_minutes
            if self._epoch() > epoch:
                self._sheet()
            last = time.monotonic()  # evaluation does not count as training
            for window in (shown, drawn):
                window.pause(last - now)
        if self.rank == 0:
            self.save()
            metrics = self.evaluate(display.line) if config.evaluate_minutes else {}
            self.task.export(self.average.state, self.folder / f"{config.network}.safetensors", self._card(metrics))

    def _epoch(self) -> int:
        """Epochs finished so far; 0 when there are none."""
        return self.samples // self.config.epoch if self.config.epoch else 0

    def _sheet(self) -> None:
        """The contact sheet of an epoch, as a file and among the TensorBoard curves."""
        path = self.folder / f"sheet_{self.samples // 1000:05d}k.png"
        self.task.sheet(self.average.state, path)
        if self.writer and path.exists():
            import cv2

            self.writer.add_image("sheet", cv2.imread(str(path))[..., ::-1].copy(), self.samples, dataformats="HWC")

    def _status(self, window: "Window", now: float) -> Status:
        done = self.progress()
        seconds = max(now - window.begin, 1e-6)
        speed = window.count * self.config.batch * int(os.environ.get("WORLD_SIZE", 1)) / seconds
        left = self.seconds * (1 - done) / max(done, 1e-6) / 60
        return Status(done, self.seconds / 60, self.samples, speed, window.waited / seconds, left, window.means())

    def _curves(self, status: Status) -> None:
        if self.writer:
            extra = {"samples_per_second": status.speed, "waiting": status.waiting, "rate": self.rate()}
            for name, value in {**status.means, **extra}.items():
                self.writer.add_scalar(f"training/{name}", value, self.samples)

    def _all_agree_to_stop(self, stop: bool) -> bool:
        """Whether any process of a distributed run wants to stop. It also sets all clocks to the slowest one's, because
        the learning rate follows the clock and the processes must not drift apart."""
        if not torch.distributed.is_initialized():
            return stop
        state = torch.tensor([float(stop), self.seconds], dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(state, torch.distributed.ReduceOp.MAX)
        self.seconds = float(state[1])
        return bool(state[0] > 0)

    def _one_step(self) -> dict[str, float]:
        config = self.config
        inputs, self.waited = self.feed.take(self.step)
        factor = self.rate()
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * factor
        self.model.train()
        with torch.autocast(self.device, torch.bfloat16, enabled=config.bf16):
            loss, parts = self.model(*inputs)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.task.module.parameters(), config.clip)
        self.step += 1
        self.samples += config.batch * int(os.environ.get("WORLD_SIZE", 1))
        if torch.isfinite(loss) and torch.isfinite(norm):
            self.optimiser.step()
            self.average.update(self.task.module)
            self.bad = 0
        else:
            self.bad += 1
            if self.bad >= MOST_BAD_STEPS:
                raise UserError(
                    f"The loss is not a number since {self.bad} steps.", "Resume with a lower learning rate.", "FQ247"
                )
        return {"loss": float(loss.detach()), "gradient": float(norm), **{k: float(v) for k, v in parts.items()}}

    def evaluate(self, log: Callable[[str], None] = print) -> dict[str, float]:
        """Measure the averaged weights and add a point to `curve.json`."""
        metrics = self.task.evaluate(self.average.state)
        if metrics:
            point = {"samples": self.samples, "minutes": round(self.seconds / 60, 2), **metrics}
            self.curve.append(point)
            (self.folder / "curve.json").write_text(json.dumps(self.curve, indent=1))
            log(" ".join(f"{k} {v:.4g}" for k, v in point.items()))
            if self.writer:
                for name, value in metrics.items():
                    self.writer.add_scalar(f"evaluation/{name}", value, self.samples)
        return metrics

    def _on_signal(self, number: int, frame: object) -> None:
        self.stop = True

    def _card(self, metrics: dict[str, Any]) -> dict[str, Any]:
        return {**metrics, "samples": self.samples, "minutes": round(self.seconds / 60, 1)}

    def save(self) -> None:
        """Write the checkpoint."""
        content = {
            "module": self.task.module.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "counters": {"step": self.step, "seconds": self.seconds, "samples": self.samples},
            "curve": self.curve,
            "torch_rng": torch.get_rng_state(),
            "config": json.dumps(self.config.to_dict()),
        }
        save_checkpoint(self.folder / "checkpoint.pt", content)

    def _load(self) -> None:
        saved = load_checkpoint(self.folder / "checkpoint.pt")
        try:
            self.task.module.load_state_dict(saved["module"])
            peaks = [group["peak"] for group in self.optimiser.param_groups]
            self.optimiser.load_state_dict(saved["optimiser"])
            for group, peak in zip(self.optimiser.param_groups, peaks, strict=True):
                group["peak"] = peak  # a changed learning rate counts
        except (RuntimeError, ValueError) as error:
            raise UserError(
                f'The checkpoint in "{self.folder}" is of another network.', "Start without --resume.", "FQ248"
            ) from error
        self.average.load_state_dict(saved["average"])
        counters = saved["counters"]
        self.step, self.seconds, self.samples = counters["step"], counters["seconds"], counters["samples"]
        self.curve = saved["curve"]
        torch.set_rng_state(saved["torch_rng"])


class Window:
    """Sums over the steps since `begin` (seconds)."""

    def __init__(self, begin: float) -> None:
        self.begin, self.count, self.waited = begin, 0, 0.0
        self.sums: dict[str, float] = {}

    def add(self, parts: dict[str, float], waited: float) -> None:
        for name, value in parts.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.count += 1
        self.waited += waited

    def pause(self, seconds: float) -> None:
        """Leave out time in which there was no training."""
        self.begin += seconds

    def means(self) -> dict[str, float]:
        return {name: value / self.count for name, value in self.sums.items()}


class Feed:
    """Batches on the device. On a GPU the next batch is put together and sent while the GPU works on this one."""

    def __init__(self, make: Callable[[int], tuple[Tensor, ...]], device: str, step: int) -> None:
        self.make, self.device = make, device
        if device == "cuda":  # the current device is the calling thread's own
            self.device = f"cuda:{torch.cuda.current_device()}"
        self.pool = ThreadPoolExecutor(1) if device == "cuda" else None
        self.next = (step, self.pool.submit(self._sent, step)) if self.pool else None

    def take(self, step: int) -> tuple[tuple[Tensor, ...], float]:
        """The batch of a step, and the seconds that were spent waiting for it."""
        begin = time.perf_counter()
        if self.pool is None:
            inputs = self._sent(step)
        else:
            if self.next is None or self.next[0] != step:
                self.next = step, self.pool.submit(self._sent, step)
            inputs = self.next[1].result()
        waited = time.perf_counter() - begin
        if self.pool is not None:
            self.next = step + 1, self.pool.submit(self._sent, step + 1)
        return inputs, waited

    def _sent(self, step: int) -> tuple[Tensor, ...]:
        batch = self.make(step)
        if self.pool is not None:
            return tuple(t.pin_memory().to(self.device, non_blocking=True) for t in batch)
        return tuple(t.to(self.device) for t in batch)

    def close(self) -> None:
        """Let the batch that is being made end; makers must still be there."""
        if self.pool is not None:
            self.pool.shutdown(wait=True)


def _tensorboard(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder))


def seed_everything(seed: int) -> np.random.Generator:
    """Seed torch's own generator (initial weights) and return a NumPy generator of the same seed."""
    torch.manual_seed(seed)
    return np.random.default_rng(seed)
