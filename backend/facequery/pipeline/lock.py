"""Two processes on one job would write the same files: the second one refuses.

The lock is the operating system's own, on `work/lock` in the job's folder: it ends with the process, however that ends.
Parts of a job (`run --chunk`) hold it together, a whole run alone. On Windows parts do not hold it.
"""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from facequery_protocol import job as documents

from facequery.errors import UserError
from facequery.files import sweep

BUSY = "FQ372"
_HELD = (errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK)


@contextmanager
def job_lock(folder: Path, shared: bool = False) -> Iterator[None]:
    """Hold a job's folder while the block runs, alone or, `shared`, together with others that share it.

    Who holds it alone first removes what killed processes left half-written. Raises UserError FQ372 when another
    process holds it. Where the file system knows no locks there is none.
    """
    (folder / "work").mkdir(parents=True, exist_ok=True)
    with open(folder / "work" / "lock", "a+b") as file:
        try:
            _take(file.fileno(), shared)
        except OSError as error:
            if error.errno in _HELD:
                raise UserError(
                    f'Another process is working on "{folder}".', "Wait until it is done, or end it.", BUSY
                ) from None
        if not shared:
            for view in (folder, *folder.glob("view*")):
                sweep(view)
                for part in ("tracks", "fit", "work"):
                    sweep(view / part, below=True)
        yield


@contextmanager
def results_lock(out: Path) -> Iterator[None]:
    """Hold the job in whose folder `out` lies, or that it is, while results are written there; elsewhere nothing.

    Not around what holds the job itself, as `run_job` does. Raises UserError FQ372 when another process holds it.
    """
    place = out.resolve()
    job = next((folder for folder in (place, *place.parents) if (folder / documents.FILE).is_file()), None)
    if job is None:
        yield
        return
    with job_lock(job):
        yield


def _take(descriptor: int, shared: bool) -> None:
    if sys.platform == "win32":
        import msvcrt

        if not shared:
            os.lseek(descriptor, 0, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        return
    import fcntl

    fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
