"""How fast it is: the whole pipeline against MediaPipe's face mesh, time against points, memory, the worker.

    python -m benchmarks.speed [--rounds 2] [--frames 240] [--long] [--environment DIR] [--out FILE]

The shot is the bundled sample, enlarged to 720p, played to and fro, as H.264. MediaPipe and the pipeline take turns on
it, each in a process of its own; the least time of a round counts. `--long` adds what takes minutes: 10,000 frames, and
4K frames with 50,000 points. MediaPipe is left out where its environment is not. Writes the table and, beside it, the
plot of time against points (CLD, figure 14).
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from fractions import Fraction
from itertools import chain, cycle, islice
from pathlib import Path
from typing import Any

import av
import cv2
import matplotlib
import numpy as np
import torch
from facequery.assets import asset
from facequery.detection.detector import Detector
from facequery.geometry.crops import crop_from_points, sample_crop
from facequery.head.model import HeadModel
from facequery.head.queries import QuerySet
from facequery.head.sampling import uniform
from facequery.models.weights import load_weights

from benchmarks.speed_worker import WorkerTimes, worker_times
from tools.label_portraits import environment_python

matplotlib.use("Agg")
import matplotlib.pyplot as plt

COUNTS = (1, 10, 68, 500, 1000, 5000, 10_000, 50_000, 100_000)  # points of the plot
LAYOUTS = (68, 500, 50_000)
_HERE = Path(__file__).parent
_PICTURES = 8  # of a batch, for the plot
_LARGEST = (
    "The largest were looked at. *Encode* is the encoder in oneDNN's fused kernels, several pictures at once; besides "
    "a look a frame it holds those that steady crops need. *Other threads* is decoding, once for what fits the memory "
    "of decoded frames, else for each look at the shot. *Crops* are averaged in the video's own planes; no RGB picture "
    "of a frame is made. *Hidden by shape* lays a head under every eighth frame. A layout with more points than its "
    "triangles have corners is asked for at the corners."
)


def film(path: Path, frames: int, width: int, height: int) -> Path:
    """The sample shot as H.264 of that size, to and fro; `frames` of them."""
    files = sorted(asset("sample/plate").glob("*.jpg"))
    pictures: list[Any] = [
        cv2.resize(cv2.imread(str(f)), (width, height), interpolation=cv2.INTER_CUBIC) for f in files
    ]
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=Fraction(24))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": "20", "preset": "veryfast"}
        for picture in islice(cycle(chain(pictures, pictures[-2:0:-1])), frames):
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def looped(path: Path, source: Path, frames: int) -> Path:
    """A film played again and again until it has at least `frames`, without encoding it anew."""
    with av.open(str(path), "w") as target:
        stream: Any = None
        shift, length = 0, 0
        while shift < frames * max(length, 1) or not length:
            with av.open(str(source)) as film_:
                given = film_.streams.video[0]
                if stream is None:
                    stream = target.add_stream_from_template(given)
                packets: list[Any] = [packet for packet in film_.demux(given) if packet.dts is not None]
                length = int(packets[0].duration)
                for packet in packets:
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = stream
                    target.mux(packet)
                shift += length * len(packets)
    return path


def layout_of(count: int, folder: Path) -> str:
    """A layout with `count` points of the skin; the one of 68 is iBUG's."""
    if count == 68:
        return "ibug68"
    points = uniform(HeadModel.load(), count, np.random.default_rng(count)).positions
    path = folder / f"points{count}.json"
    if not path.is_file():
        QuerySet.from_positions(HeadModel.load(), points).save(path)
    return str(path)


def _asked(command: Sequence[str | Path]) -> dict[str, Any]:
    done = subprocess.run(
        [str(word) for word in command], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    return json.loads(done.stdout.splitlines()[-1])


def pipeline(video: Path, layout: str, frames: int) -> dict[str, Any]:
    """What `speed_job` says of a job."""
    return _asked([sys.executable, "-m", "benchmarks.speed_job", video, layout, "--frames", str(frames)])


def mediapipe(environment: Path, video: Path, frames: int) -> dict[str, Any]:
    """What `speed_mediapipe` says of a video."""
    return _asked([environment_python(environment), _HERE / "speed_mediapipe.py", video, str(frames)])


def best(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The run with the least time."""
    return min(runs, key=lambda run: run["wall"])


def per_frame(run: dict[str, Any], name: str = "wall") -> float:
    """Milliseconds of a frame."""
    return 1000 * run[name] / run["frames"]


def times_by_count(name: str) -> list[float]:
    """Milliseconds of processor time a picture, crop to landmarks, for COUNTS points; one core."""
    detector = Detector.from_pretrained(name, mirror=False)
    plate = cv2.imread(str(sorted(asset("sample/plate").glob("*.jpg"))[0]))[..., ::-1]
    crop = crop_from_points(np.array([[0.42, 0.45], [0.58, 0.45], [0.44, 0.62], [0.56, 0.62]]) * plate.shape[1::-1])
    pictures = np.stack([sample_crop(np.ascontiguousarray(plate), crop, detector.size)] * _PICTURES)
    rng, rest = np.random.default_rng(0), HeadModel.load().rest
    spent = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for count in COUNTS:
        positions, least = rest[rng.integers(0, len(rest), count)], np.inf
        for _ in range(4 if count <= 1000 else 2):
            start = time.thread_time()
            detector.look(pictures, positions)
            least = min(least, time.thread_time() - start)
        spent.append(1000 * least / _PICTURES)
    torch.set_num_threads(threads)
    return spent


def landmark_models() -> list[str]:
    """The weights that ship and place landmarks."""
    files = sorted(asset("weights").glob("*.safetensors"))
    return [file.stem for file in files if load_weights(file)[1]["kind"] == "landmarks"]


def plotted(path: Path, times: dict[str, list[float]]) -> None:
    """Time against number of points, both logarithmic."""
    figure, axes = plt.subplots(figsize=(6, 3.6), dpi=110)
    for name, values in times.items():
        axes.loglog(COUNTS, values, marker="o", label=name)
    axes.axhline(1000 / 24, color="grey", linewidth=0.8, linestyle="--")
    axes.text(1, 1000 / 24 * 0.78, "24 pictures a second", color="grey", fontsize=8)
    axes.set_ylim(1, 1000)
    axes.set_xlabel("points")
    axes.set_ylabel("ms a picture, one core")
    axes.legend()
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path)


def written(
    frames: int, peer: dict[str, Any] | None, ours: dict[int, dict[str, Any]], times: dict[str, list[float]],
    worker: WorkerTimes, long: dict[str, dict[str, Any]], plot: str,
) -> str:  # fmt: skip
    """The page."""
    base = ours[68]
    lines = [
        "# Speed", "",
        f"`python -m benchmarks.speed`: {os.cpu_count()} cores ({platform.machine()}), PyTorch {torch.__version__}, "
        f"{frames} frames of 720p H.264; no preview. Both sides read and decode the video (by FFmpeg) and have their "
        "networks loaded and warm. MediaPipe gives 478 points a frame and keeps none; FaceQuery opens the shot, looks "
        "for the face, lays steady crops through the whole shot, finds what the face's own shape hides, and writes the "
        "tracks. Processor time is that of all threads.", "",
        "| | ms a frame | processor, ms a frame | against MediaPipe (processor) | against 68 points | memory, MB |",
        "|---|---|---|---|---|---|",
    ]  # fmt: skip
    if peer is not None:
        lines.append(
            f"| MediaPipe face mesh 0.10.21, video mode | {per_frame(peer):.2f} | {per_frame(peer, 'processor'):.2f} "
            "| 1 (1) | | |"
        )
    for count, run in ours.items():
        against = ""
        if peer is not None:
            clock, processor = (per_frame(run, kind) / per_frame(peer, kind) for kind in ("wall", "processor"))
            against = f"{clock:.2f} ({processor:.2f})"
        lines.append(
            f"| FaceQuery, {count:,} points | {per_frame(run):.2f} | {per_frame(run, 'processor'):.2f} | {against} "
            f"| {per_frame(run) / per_frame(base):.2f} | {run['memory'][3]:.0f} |"
        )
    lines += ["", "Where the processor's time goes (`facequery track --profile`), ms a frame:", ""]
    names = sorted({name for run in ours.values() for name in run["stages"]}, key=lambda n: -base["stages"].get(n, 0))
    lines += ["| points | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for count, run in ours.items():
        cells = (f"{1000 * run['stages'].get(name, 0) / run['frames']:.2f}" for name in names)
        lines.append(f"| {count:,} | " + " | ".join(cells) + " |")
    lines += ["", _LARGEST]
    lines += ["", "## Time against points", "", f"![Time against number of points]({plot})", ""]
    lines.append(
        "From crop to landmarks, ms a picture on one core, eight at once, each point asked for itself (CLD, figure 14):"
    )
    lines.append("")
    lines += ["| points | " + " | ".join(times) + " |", "|---|" + "---|" * len(times)]
    lines += [f"| {n:,} | " + " | ".join(f"{v[i]:.2f}" for v in times.values()) + " |" for i, n in enumerate(COUNTS)]
    if long:
        lines += ["", "## Memory", "", "| | ms a frame | MB at a tenth | at half | at the end | at most |"]
        lines += ["|---|---|---|---|---|---|"]
        lines += [
            f"| {name} | {per_frame(run):.1f} | " + " | ".join(f"{mb:.0f}" for mb in run["memory"]) + " |"
            for name, run in long.items()
        ]
    lines += ["", "## The worker", "", "| | seconds |", "|---|---|"]
    lines += [f"| {name} | {seconds:.2f} |" for name, seconds in worker.rows()]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--frames", type=int, default=240)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--environment", type=Path, default=Path(".cache/mediapipe-0.10.21"))
    parser.add_argument("--out", type=Path, default=_HERE / "results" / "speed.md")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        video = film(folder / "hd.mp4", given.frames, 1280, 720)
        layouts = {count: layout_of(count, folder) for count in LAYOUTS}
        theirs: list[dict[str, Any]] = []
        runs: dict[int, list[dict[str, Any]]] = {count: [] for count in LAYOUTS}
        for _ in range(given.rounds):
            if given.environment.is_dir():
                theirs.append(mediapipe(given.environment, video, given.frames))
            for count in LAYOUTS:
                if count <= 500 or not runs[count]:
                    runs[count].append(pipeline(video, layouts[count], given.frames))
        long = {}
        if given.long:
            endless = looped(folder / "long.mp4", video, 10_000)
            long["10,000 frames of 720p, 68 points"] = pipeline(endless, layouts[68], 10_000)
            large = film(folder / "uhd.mp4", 48, 3840, 2160)
            long["48 frames of 4K, 50,000 points"] = pipeline(large, layouts[50_000], 48)
        worker = worker_times(video, folder)
        times = {model: times_by_count(model) for model in landmark_models()}
    plot = given.out.with_suffix(".png")
    plotted(plot, times)
    ours = {count: best(found) for count, found in runs.items()}
    text = written(given.frames, best(theirs) if theirs else None, ours, times, worker, long, plot.name)
    given.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
