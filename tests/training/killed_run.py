"""A deterministic run that is killed from a test: python killed_run.py FOLDER STEPS [--resume]."""

import sys
from dataclasses import replace
from pathlib import Path

from facequery.training import landmark_task
from facequery.training.cli import start
from facequery.training.configs import CONFIGS
from facequery.training.progress import Lines

from tests.training.fakes import QUERIES, blob_mix


def main() -> None:
    folder, steps = Path(sys.argv[1]), int(sys.argv[2])
    landmark_task.make_mix = blob_mix  # type: ignore[assignment]
    tiny = CONFIGS["tiny"]
    config = replace(
        tiny, data=replace(tiny.data, queries=QUERIES, portraits=1.0), steps=steps, batch=4, checkpoint_minutes=0.0
    )
    trainer = start(config, folder, "--resume" in sys.argv, "cpu")
    print("step", trainer.step, flush=True)
    trainer.run(display=Lines(lambda text: None))


if __name__ == "__main__":
    main()
