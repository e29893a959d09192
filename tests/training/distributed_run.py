"""A tiny distributed run, started by torchrun from a test: python distributed_run.py FOLDER."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import torch
from facequery.training import landmark_task
from facequery.training.cli import start
from facequery.training.configs import CONFIGS
from facequery.training.progress import Lines

from tests.training.fakes import QUERIES, blob_mix


def main() -> None:
    folder = Path(sys.argv[1])
    landmark_task.make_mix = blob_mix  # type: ignore[assignment]
    tiny = CONFIGS["tiny"]
    config = replace(tiny, data=replace(tiny.data, queries=QUERIES, portraits=1.0), steps=3, batch=4)
    trainer = start(config, folder, False, "cpu")
    first = float(trainer.task.batch(0)[2].sum())
    trainer.run(display=Lines(lambda text: None))
    weights = sum(float(p.detach().double().abs().sum()) for p in trainer.task.module.parameters())
    (folder / f"rank{os.environ['RANK']}.txt").write_text(f"{weights!r} {first!r} {trainer.samples}")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
