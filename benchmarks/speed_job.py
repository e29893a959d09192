"""Run by benchmarks.speed in a process of its own: one job of the pipeline, timed, with its memory.

    python -m benchmarks.speed_job VIDEO LAYOUT [--frames N]

Prints JSON: {"frames", "found", "wall", "processor"}, seconds of `run_job` without preview after a short one that loads
the networks; "memory", MB of the process at a tenth, a half and the end of it, and at most; "stages", seconds each.
"""

import argparse
import json
import os
import resource
import tempfile
from pathlib import Path

from facequery.pipeline.job import JobRequest
from facequery.pipeline.run import run_job
from facequery.stages import recorded

_WARM = 24


def memory() -> float:
    """MB that the process holds now (0 where the system does not say)."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def peak() -> float:
    """The most memory of this process so far, MB; `getrusage` would count what its parent had when it began."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 * 1.048576
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1.024e-3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video")
    parser.add_argument("layout")
    parser.add_argument("--frames", type=int, required=True)
    given = parser.parse_args()
    request = JobRequest(shots=(given.video,), layouts=(given.layout,), preview=False, frames=(1, given.frames))
    held: dict[float, float] = {}

    def watch(step: str, done: int, total: int) -> None:
        for share in (0.1, 0.5, 1.0):
            if step == "Track" and done >= share * total and share not in held:
                held[share] = memory()

    with tempfile.TemporaryDirectory() as folder:
        run_job(JobRequest(shots=request.shots, layouts=request.layouts, preview=False, frames=(1, _WARM)),
                Path(folder) / "warm", device="cpu")  # fmt: skip
        with recorded() as stages:
            result = run_job(request, Path(folder) / "job", watch, "cpu")
        found = result.counts()[0][1]
    print(json.dumps({
        "frames": given.frames, "found": found, "wall": stages.wall, "processor": stages.processor,
        "memory": [*(held.get(share, 0.0) for share in (0.1, 0.5, 1.0)), peak()],
        "stages": {**stages.seconds, "other threads, and the rest": stages.rest},
    }))  # fmt: skip


if __name__ == "__main__":
    main()
