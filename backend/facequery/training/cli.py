"""Command `facequery train` (mounted by facequery.cli)."""

import contextlib
import ctypes
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
import typer

from facequery.errors import UserError
from facequery.training.configs import TrainConfig, changed, config_by_name
from facequery.training.progress import Bar, Lines
from facequery.training.trainer import Task, Trainer, seed_everything


def pick_device(name: str | None) -> str:
    """The device asked for, or the best one there is."""
    if name:
        return name
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def keep_memory() -> None:
    """Have glibc keep freed memory: activations of tens of megabytes per layer are otherwise mapped and cleared by the
    system in every step, which costs a third of the time on a CPU. No effect elsewhere.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            library = ctypes.CDLL(None)
            library.mallopt(-4, 0)  # M_MMAP_MAX: never map
            library.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD: never give back


def start(config: TrainConfig, folder: Path, resume: bool, device: str, initial: Path | None = None) -> Trainer:
    """A trainer for a configuration; with `resume` it goes on from the checkpoint in `folder`, with `initial` a new
    run starts from the weights in that file."""
    from facequery.training.dense_task import DenseTask
    from facequery.training.finder_task import FinderTask
    from facequery.training.landmark_task import LandmarkTask

    keep_memory()
    torch.set_num_threads(config.threads)
    torch.use_deterministic_algorithms(config.deterministic)
    if int(os.environ.get("WORLD_SIZE", 1)) > 1 and not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if device == "cuda" else "gloo")
        if device == "cuda":
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    seed_everything(config.seed)
    tasks: dict[str, Callable[[TrainConfig, bool], Task]] = {
        "landmarks": LandmarkTask, "finder": FinderTask, "dense520": DenseTask,
    }  # fmt: skip
    if config.network not in tasks:
        raise UserError(f'There is no network "{config.network}" to train.', f"Known: {', '.join(tasks)}.", "FQ251")
    task = tasks[config.network](config, resume or initial is not None)
    return Trainer(config, task, folder, resume, device, initial)


def train(
    config: Annotated[str, typer.Argument(help="Name of the configuration: default, finder, dense520, tiny.")],
    minutes: Annotated[float | None, typer.Option(help="Train for this long, then write the checkpoint.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder of the run; runs/CONFIG by default.")] = None,
    schedule: Annotated[float | None, typer.Option(help="Length of the whole schedule in minutes.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or mps; the best there is by default.")] = None,
    init: Annotated[Path | None, typer.Option(help="A new run starts from these weights or checkpoint.")] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="FIELD=VALUE of the configuration, such as model.space=3d.")
    ] = None,
) -> None:
    """Train a network on renders and portraits. Stop it with Ctrl-C at any moment and go on with --resume."""
    chosen = changed(config_by_name(config), changes or [])
    if schedule or minutes:
        chosen = replace(chosen, minutes=schedule or max(chosen.minutes, minutes or 0.0))
    trainer = start(chosen, out or Path("runs") / config, resume, pick_device(device), init)
    display = Bar() if sys.stdout.isatty() and not trainer.rank else Lines(lambda text: print(text, flush=True))
    trainer.run(minutes, display)
