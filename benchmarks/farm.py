"""What a thousand shots cost on a farm, and what saturates first: measured on one machine, then projected.

    python -m benchmarks.farm [--shots 1000] [--frames 120] [--workers 1 10 50 100 200 500]

Measured: processor seconds a frame of every step (find, track, fit, preview) on the sample shot; the start of a process
(libraries, networks); bytes read and written a frame; how many tasks a second Dask's scheduler hands out (tasks that do
nothing, on threads of this process). Projected: hours for all shots over workers of one core each like this one's, what
they read from the file server together, and how busy the scheduler is. Written to results/farm.md.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from facequery.assets import asset
from facequery.detection.tracks import CHUNK
from facequery.pipeline.job import JobRequest
from facequery.pipeline.run import run_job

RESULTS = Path(__file__).parent / "results" / "farm.md"
NETWORK = 125e6  # bytes a second of a file server on one gigabit line, to compare with
DISK = 1.2e9  # and on ten


@dataclass(frozen=True)
class Cost:
    """Core seconds a frame by step, and to start a process; bytes read and written a frame; tasks a second."""

    frames: int  # that were measured
    steps: dict[str, float]
    start: float
    read: float
    written: float
    tasks: float

    @property
    def frame(self) -> float:
        return sum(self.steps.values())


class Stopwatch:
    """Processor seconds of this process by the step that it reports."""

    def __init__(self) -> None:
        self.steps: dict[str, float] = {}
        self._last = time.process_time()

    def __call__(self, step: str, done: int, total: int) -> None:
        now = time.process_time()
        self.steps[step] = self.steps.get(step, 0.0) + now - self._last
        self._last = now


def measured(frames: int) -> Cost:
    """What the first `frames` of the sample shot cost, with fits and a preview, after one small job to warm up."""
    pattern = str(asset("sample") / "plate" / "shot.####.jpg")
    with tempfile.TemporaryDirectory() as home:
        small = JobRequest(shots=(pattern,), frames=(1001, 1004), fits=("face", "skull", "jaw"))
        run_job(small, Path(home) / "warm")
        watch = Stopwatch()
        request = JobRequest(shots=(pattern,), frames=(1001, 1000 + frames), fits=("face", "skull", "jaw"))
        run_job(request, Path(home) / "job", watch)
        written = sum(path.stat().st_size for path in (Path(home) / "job").rglob("*") if path.is_file())
    plates = [path.stat().st_size for path in sorted((asset("sample") / "plate").glob("*.jpg"))[:frames]]
    return Cost(
        frames=frames,
        steps={step: seconds / frames for step, seconds in watch.steps.items()},
        start=start_seconds(),
        read=sum(plates) / frames,
        written=written / frames,
        tasks=task_rate(),
    )


def start_seconds() -> float:
    """Processor seconds of a process that loads both networks, and does nothing."""
    code = (
        "import time\nfrom facequery.detection.detector import Detector\n"
        "from facequery.detection.finder import FaceFinder\n"
        "Detector.from_pretrained(); FaceFinder.from_pretrained(); print(time.process_time())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


def task_rate(count: int = 1000) -> float:
    """Tasks a processor second that Dask's scheduler and its client get through; the workers' own part is small."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        began = time.process_time()
        client.gather([client.submit(str, number, pure=False) for number in range(count)])
        return count / (time.process_time() - began)


def report(cost: Cost, shots: int, frames: int, workers: list[int], plate: float) -> str:
    """The page: what was measured, and the projection."""
    chunks = -(-frames // CHUNK)
    tasks = shots * (2 * chunks + 2)
    work = shots * (frames * cost.frame)
    lines = [
        f"# {shots} shots of {frames} frames on a farm",
        "",
        f"By `python -m benchmarks.farm`, on {cost.frames} frames of the sample shot (960 x 540, 68 points, all fits, "
        f"preview), in seconds of one core of this machine. The scheduler hands out {cost.tasks:.0f} tasks a second.",
        "",
        "| step | core seconds a frame | share |",
        "|---|---|---|",
    ]
    for step, seconds in sorted(cost.steps.items(), key=lambda item: -item[1]):
        lines.append(f"| {step} | {seconds:.3f} | {100 * seconds / cost.frame:.0f} % |")
    lines += [
        "",
        f"Start of a process: {cost.start:.1f} core seconds. Written: {cost.written / 1e3:.0f} kB a frame. "
        f"Read, twice with a preview: {plate / 1e6:.1f} MB a frame is taken (2K EXR; the sample's JPEGs have "
        f"{cost.read / 1e3:.0f} kB).",
        "",
        "| workers (cores) | hours | of that starting | file server, MB/s | of 1 Gbit/s | of 10 Gbit/s | scheduler |",
        "|---|---|---|---|---|---|---|",
    ]
    for count in workers:
        # Fits and previews are one task a shot: with few frames a shot no worker waits for another's chunk.
        seconds = work / min(count, shots * chunks) + cost.start
        flow = shots * frames * (2 * plate + cost.written) / seconds
        lines.append(
            f"| {count} | {seconds / 3600:.2f} | {100 * cost.start / seconds:.1f} % | {flow / 1e6:.0f} "
            f"| {100 * flow / NETWORK:.0f} % | {100 * flow / DISK:.0f} % | {100 * tasks / cost.tasks / seconds:.1f} % |"
        )
    first = NETWORK * cost.frame / (2 * plate + cost.written)
    later = DISK * cost.frame / (2 * plate + cost.written)
    line = cost.tasks * work / tasks
    lines += [
        "",
        f"What saturates first: the file server, at {first:.0f} workers on one gigabit and {later:.0f} on ten; "
        f"the scheduler only at {line:.0f} ({tasks} tasks in all).",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shots", type=int, default=1000)
    parser.add_argument("--frames", type=int, default=120, help="of a shot")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 10, 50, 100, 200, 500])
    parser.add_argument("--measure", type=int, default=48, help="frames of the sample shot that are measured")
    parser.add_argument("--plate", type=float, default=6e6, help="bytes of a plate's frame")
    options = parser.parse_args()
    text = report(measured(options.measure), options.shots, options.frames, options.workers, options.plate)
    RESULTS.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
