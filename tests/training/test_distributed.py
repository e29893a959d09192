import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_two_processes_train_one_network_on_different_images(tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    script = Path(__file__).with_name("distributed_run.py")
    paths = os.pathsep.join([str(ROOT), str(ROOT / "backend"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths, "USE_LIBUV": "0"}
    done = subprocess.run([*command, script, tmp_path], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    (first, own, samples), (second, other, _) = ((tmp_path / f"rank{r}.txt").read_text().split() for r in (0, 1))
    assert first == second  # the same weights everywhere
    assert own != other  # from different images
    assert int(samples) == 3 * 4 * 2
    assert (tmp_path / "checkpoint.pt").exists() and (tmp_path / "landmarks.safetensors").exists()
