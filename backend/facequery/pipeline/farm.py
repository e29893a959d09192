"""Many jobs over many machines, on Dask distributed: chunks of frames of many shots, fits after tracks.

Every machine must see the jobs' folders and the plates under the same paths. A job becomes these tasks (see
`facequery.pipeline.parts`): find (pieces), link, track (pieces), finish. What is done stays done: a machine that dies
costs the chunk that it was at, and a farm that was stopped goes on where it was.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facequery.errors import UserError, told
from facequery.pipeline.parts import chunk_count, link, merge, run_part
from facequery.pipeline.progress import Progress


@dataclass(frozen=True)
class Outcome:
    """What became of a job: its folder, and a sentence where it failed ("" where it did not)."""

    folder: Path
    problem: str = ""


def run_farm(
    folders: Sequence[Path],
    scheduler: str | None = None,
    workers: int = 2,
    retries: int = 2,
    pieces: int | None = None,
    device: str = "auto",
    progress: Progress | None = None,
    cluster: Any = None,
) -> list[Outcome]:
    """Do jobs on the Dask scheduler at an address, or on `workers` processes of this machine; their outcomes, in order.

    `retries`: how often a task that broke is tried again; input that is wrong is not. `pieces` a job at most (None: one
    a chunk of frames). A job that fails does not stop the others. KeyboardInterrupt cancels what has not begun.
    `cluster` stands in for a scheduler of one's own. Raises UserError when Dask is missing or the scheduler is not
    reached.
    """
    try:
        from distributed import Client, LocalCluster, as_completed
    except ImportError:
        raise UserError(
            "A farm needs Dask distributed.", "Run in FaceQuery's folder: python install.py --extras farm", "FQ540"
        ) from None
    own = None
    if cluster is None and scheduler is None:
        own = LocalCluster(n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=":0")
    try:
        client = Client(cluster or own or scheduler, timeout="20s")
    except (OSError, TimeoutError, ValueError) as error:
        raise UserError(f'The scheduler "{scheduler}" is not reached.', "Check its address.", "FQ541") from error
    try:
        problems: dict[Path, str] = {}
        futures: dict[Any, Path] = {}
        for folder in map(Path, folders):
            try:
                counted = chunk_count(folder)
            except Exception as error:
                problems[folder] = _sentence(error)
                continue
            for future in _submit(client, folder.resolve(), min(counted, pieces or counted), retries, device):
                futures[future] = folder
        for done, future in enumerate(as_completed(list(futures)), 1):
            folder = futures[future]
            if future.status == "error":
                problems.setdefault(folder, _sentence(future.exception()))
            elif future.status == "cancelled":
                problems.setdefault(folder, "It was cancelled.")
            elif future.result():
                problems.setdefault(folder, future.result())
            if progress:
                progress("Farm", done, len(futures))
        return [Outcome(folder, problems.get(folder, "")) for folder in map(Path, folders)]
    except BaseException:
        client.cancel(list(futures))
        raise
    finally:
        client.close()
        if own is not None:
            own.close()


def _sentence(error: BaseException) -> str:
    known = told(error)
    return str(known) if known else f"A task broke: {error!r}."


def _submit(client: Any, folder: Path, pieces: int, retries: int, device: str) -> list[Any]:
    """The tasks of a job. Each is given the words of those before it, and does nothing if one of them has failed."""
    settings = {"retries": retries, "pure": False}
    found = [
        client.submit(_part, [], str(folder), "find", piece, pieces, device, **settings)
        for piece in range(1, pieces + 1)
    ]
    linked = client.submit(_link, found, str(folder), device, **settings)
    tracked = [
        client.submit(_part, [linked], str(folder), "track", piece, pieces, device, **settings)
        for piece in range(1, pieces + 1)
    ]
    return [*found, linked, *tracked, client.submit(_finish, tracked, str(folder), device, **settings)]


def _part(before: list[str], folder: str, step: str, piece: int, pieces: int, device: str) -> str:
    return _told(before, lambda: run_part(Path(folder), step, piece, pieces, device=device))


def _link(before: list[str], folder: str, device: str) -> str:
    return _told(before, lambda: link(Path(folder), device=device))


def _finish(before: list[str], folder: str, device: str) -> str:
    return _told(before, lambda: merge(Path(folder), device=device))


def _told(before: list[str], work: Callable[[], object]) -> str:
    """Do the work; "" or, where the input is wrong, the sentence that says so. Anything else is raised, and retried."""
    for words in before:
        if words:
            return words
    try:
        work()
    except UserError as error:
        return str(error)
    return ""
