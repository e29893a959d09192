"""What commands show: bars or lines of progress, and what a job found and wrote."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from facequery.pipeline.progress import Progress as Report
    from facequery.pipeline.run import JobResult


@contextmanager
def progress_bars() -> Iterator["Report"]:
    """A bar for each step on the terminal; plain lines where there is none."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _ProgressLines()
        return
    columns = (TextColumn("{task.description:<14}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as bars:
        tasks: dict[str, int] = {}

        def report(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total)
            bars.update(tasks[step], completed=done, total=total)  # type: ignore[arg-type]

        yield report


class _ProgressLines:
    """One line for every tenth of a step, for logs and farms."""

    def __init__(self) -> None:
        self._said: dict[str, int] = {}

    def __call__(self, step: str, done: int, total: int) -> None:
        tenth = done * 10 // max(total, 1)
        if tenth > self._said.get(step, 0):
            self._said[step] = tenth
            print(f"{step}: {done}/{total}", file=sys.stderr, flush=True)


def print_result(result: "JobResult") -> None:
    """What was found and which files were written."""
    for note in result.notes:
        print(f"Note: {note}")
    for index, (points, found, frames) in enumerate(result.counts()):
        label = f" in view {index + 1}" if len(result.views) > 1 else ""
        print(f"{points} points tracked{label}; the face is there in {found} of {frames} frames.")
    if result.fit is not None:
        for line in result.fit.quality.summary():
            print(line[:1].upper() + line[1:])
    for path in result.files:
        print(path)
