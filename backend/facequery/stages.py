"""Where the time of a job goes: processor time by stage, for `facequery track --profile` and the benchmarks.

Code names what it does, `with stage("encode"): ...`; that costs nothing unless somebody records. Stages inside one
another count once, in the inner one. What runs in threads that libraries keep to themselves (a video decoder's) belongs
to no stage: it is the rest of the process's time.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

_NOTHING: AbstractContextManager[None] = nullcontext()
_recording: "Stages | None" = None


class Stages:
    """Seconds of processor time by stage, summed over threads; `wall` and `processor` of the whole recording."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._guard, self._own = threading.Lock(), threading.local()
        self._wall, self._processor = time.perf_counter(), time.process_time()
        self.wall = self.processor = 0.0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Counts what this thread computes inside as `name`."""
        inner: list[float] = self._own.__dict__.setdefault("inner", [])
        inner.append(0.0)
        start = time.thread_time()
        try:
            yield
        finally:
            spent = time.thread_time() - start
            own = spent - inner.pop()
            if inner:
                inner[-1] += spent
            with self._guard:
                self.seconds[name] = self.seconds.get(name, 0.0) + own

    def stop(self) -> None:
        """Ends the recording's own clocks."""
        self.wall, self.processor = time.perf_counter() - self._wall, time.process_time() - self._processor

    @property
    def rest(self) -> float:
        """Seconds of processor time that belong to no stage."""
        return max(self.processor - sum(self.seconds.values()), 0.0)

    def table(self, frames: int) -> str:
        """Lines of text: stage, seconds, milliseconds a frame, share; the largest first."""
        rows = sorted(self.seconds.items(), key=lambda row: -row[1])
        rows += [
            ("other threads, and the rest", self.rest),
            ("all, processor", self.processor),
            ("all, clock", self.wall),
        ]
        share = 100 / max(self.processor, 1e-9)
        lines = [f"{'stage':<28}{'seconds':>9}{'ms/frame':>10}{'share':>8}"]
        for name, seconds in rows:
            part = "" if name == "all, clock" else f"{seconds * share:.0f} %"
            lines.append(f"{name:<28}{seconds:>9.2f}{1000 * seconds / max(frames, 1):>10.2f}{part:>8}")
        return "\n".join(lines)


@contextmanager
def recorded() -> Iterator[Stages]:
    """Records the stages of everything that runs in this process meanwhile. Not to be used twice at once."""
    global _recording
    _recording = stages = Stages()
    try:
        yield stages
    finally:
        _recording = None
        stages.stop()


def stage(name: str) -> AbstractContextManager[None]:
    """Context whose computing counts as the stage `name`, if somebody records."""
    return _NOTHING if _recording is None else _recording.stage(name)
