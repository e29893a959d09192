"""How long the worker takes: from its start to its greeting, for a pick, and to stop; through the real process."""

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from facequery.detection.tracks import Tracks
from facequery.pipeline.job import JobRequest, open_job
from facequery.pipeline.run import run_job
from facequery_protocol import messages
from facequery_protocol.messages import Failure, Message, Request, Result

_FRAMES = 24
_POINTS = 10


@dataclass(frozen=True)
class WorkerTimes:
    """Seconds."""

    hello: float
    first_pick: float
    pick: float
    cancel: float

    def rows(self) -> list[tuple[str, float]]:
        """What was measured, with its bar, and the seconds."""
        return [
            ("start to `hello` (bar: 3)", self.hello),
            ("first pick of ten points: libraries, networks and shot are loaded", self.first_pick),
            ("pick of ten points on a loaded shot (bar: 1)", self.pick),
            ("cancel to the answer of a job that tracks (bar: 0.5)", self.cancel),
        ]


class _Client:
    def __init__(self) -> None:
        command = [sys.executable, "-m", "facequery", "worker"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def send(self, message: Message) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(messages.encode(message))
        self.process.stdin.flush()

    def next(self) -> Message:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("The worker ended.")
        return messages.decode(line)

    def answer(self, id: int) -> Result | Failure:
        while True:
            message = self.next()
            if isinstance(message, Result | Failure) and message.id == id:
                return message

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)


def worker_times(video: Path, folder: Path) -> WorkerTimes:
    """Times of the worker with a job of a video in `folder`."""
    asked = JobRequest(shots=(str(video),), layouts=("ibug68",), frames=(1, _FRAMES), preview=False)
    job = folder / "picked"
    tracks: Tracks = run_job(asked, job, device="cpu").tracks[0]
    number = int(tracks.frames[_FRAMES // 2])
    rng = np.random.default_rng(1)

    def marks() -> list[dict[str, object]]:
        """Other places each time: between pairs of landmarks of the nose and the cheeks."""
        xy = np.asarray(tracks.xy[_FRAMES // 2], float)
        pairs = rng.integers(27, 48, (_POINTS, 2))
        return [
            {"name": str(k), "frame": number, "x": float(x), "y": float(y)}
            for k, (x, y) in enumerate(xy[pairs].mean(1))
        ]

    started = time.perf_counter()
    client = _Client()
    client.next()
    hello = time.perf_counter() - started
    picks = []
    for id in (1, 2, 3):
        started = time.perf_counter()
        client.send(Request("pick.points", {"folder": str(job), "marks": marks(), "device": "cpu"}, id))
        answer = client.answer(id)
        if isinstance(answer, Failure):
            raise SystemExit(f"pick.points: {answer}")
        picks.append(time.perf_counter() - started)
    endless = folder / "cancelled"
    open_job(endless, JobRequest(shots=(str(video),), layouts=("ibug68",), preview=False))
    client.send(Request("job.run", {"folder": str(endless), "device": "cpu"}, 4))
    while True:
        message = client.next()
        if isinstance(message, Request) and message.params.get("step") == "Track" and message.params.get("done", 0) > 0:
            break
        if isinstance(message, Result | Failure):
            raise SystemExit("The job ended before it could be cancelled.")
    started = time.perf_counter()
    client.send(Request("cancel", {"id": 4}, 5))
    client.answer(4)
    cancel = time.perf_counter() - started
    client.close()
    return WorkerTimes(hello, picks[0], min(picks[1:]), cancel)
