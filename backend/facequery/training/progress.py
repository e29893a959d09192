"""How a run is shown: a progress bar in a terminal, plain lines elsewhere."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Status:
    """Where a run stands: `done` of the schedule in [0, 1], `minutes` of training, `samples` so far, `speed` samples/s,
    `waiting` the share of the time spent waiting for data, `left` minutes, and the means of the loss's parts."""

    done: float
    minutes: float
    samples: int
    speed: float
    waiting: float
    left: float
    means: dict[str, float]

    def line(self) -> str:
        values = " ".join(f"{name} {value:.4g}" for name, value in self.means.items())
        return (
            f"{self.minutes:6.1f} min {self.samples:8d} samples {self.speed:5.0f}/s {100 * self.waiting:3.0f} % waiting"
            f" {self.left:5.0f} min left  {values}"
        )


class Display(Protocol):
    """Shows a run: `every` seconds between calls of `status`."""

    every: float

    def status(self, status: Status) -> None: ...

    def line(self, text: str) -> None: ...

    def close(self) -> None: ...


class Lines:
    """One line of text every twenty seconds: for files, farms and tests."""

    every = 20.0

    def __init__(self, log: Callable[[str], None] = print) -> None:
        self.log = log

    def status(self, status: Status) -> None:
        self.log(status.line())

    def line(self, text: str) -> None:
        self.log(text)

    def close(self) -> None:
        pass


class Bar:
    """A progress bar with samples per second and the time left; lines of text scroll above it."""

    every = 1.0

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        self.progress = Progress(
            TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(),
            TextColumn("{task.fields[speed]:.0f} samples/s"), TextColumn("{task.fields[left]} left"),
            TextColumn("error {task.fields[error]:.2f} px"), TextColumn("{task.fields[waiting]:.0f} % waiting"),
        )  # fmt: skip
        self.task = self.progress.add_task("training", total=1.0, speed=0.0, left="", error=0.0, waiting=0.0)
        self.progress.start()

    def status(self, status: Status) -> None:
        minutes = int(status.left)
        left = f"{minutes // 60}:{minutes % 60:02d} h" if minutes >= 60 else f"{status.left:.0f} min"
        self.progress.update(
            self.task, completed=status.done, speed=status.speed, left=left, waiting=100 * status.waiting,
            error=status.means.get("error", status.means.get("loss", 0.0)),
        )  # fmt: skip

    def line(self, text: str) -> None:
        self.progress.console.print(text, highlight=False, markup=False)

    def close(self) -> None:
        self.progress.stop()
