"""How far a job is, told to whoever wants to know. What is told may raise, which ends the job."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]  # step, done, in all
Report = Callable[[int, int], None]  # of one step: done, in all


def of_step(progress: Progress | None, step: str, view: int = 0, views: int = 1) -> Report:
    """The report of a step; with a number behind its name where there are several views (`view` counts from 0)."""
    name = step if views == 1 else f"{step} {view + 1}"

    def report(done: int, total: int) -> None:
        if progress:
            progress(name, done, total)

    return report
