import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]


def begin(folder, steps, *more):
    paths = os.pathsep.join([str(ROOT), str(ROOT / "backend"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths}
    script = Path(__file__).with_name("killed_run.py")
    command = [sys.executable, str(script), str(folder), str(steps), *more]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def test_a_run_killed_at_a_random_moment_goes_on_from_its_last_checkpoint(tmp_path):
    killed = begin(tmp_path, 100_000)
    checkpoint = tmp_path / "checkpoint.pt"
    deadline = time.monotonic() + 120
    while not checkpoint.exists():
        assert killed.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(float(np.random.default_rng().uniform(0, 0.5)))  # in a step, or in the middle of writing
    killed.kill()
    killed.wait()
    reached = torch.load(checkpoint, weights_only=True)["counters"]["step"]
    assert reached > 0
    resumed = begin(tmp_path, reached + 3, "--resume")
    assert resumed.communicate(timeout=240)[0].split() == ["step", str(reached)]
    assert resumed.returncode == 0
    assert torch.load(checkpoint, weights_only=True)["counters"]["step"] == reached + 3
    assert (tmp_path / "landmarks.safetensors").exists()
