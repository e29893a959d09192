"""The command line with stand-ins for the networks (see dot_face) and chunks of five frames, as a program of its own:

    python dot_program.py run JOB

and, as a module that Dask's processes load first, the same for a farm. FACEQUERY_TEST_PAUSE: seconds that a look takes.
FACEQUERY_TEST_TRIP: a file in which a look that is to fail once finds itself named, and which it removes.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))


def stand_in() -> None:
    """Put the stand-ins in place of the networks in this process."""
    from dot_face import DotDetector, DotFinder
    from facequery.detection.detector import Detector
    from facequery.detection.finder import FaceFinder
    from facequery.pipeline import find, parts, track

    class Slow(DotDetector):
        def see(self, crops):
            time.sleep(float(os.environ.get("FACEQUERY_TEST_PAUSE", "0")))
            trip = Path(os.environ.get("FACEQUERY_TEST_TRIP", "/nowhere"))
            if trip.is_file():
                trip.unlink()
                raise ConnectionResetError("a disk went away for a moment")
            return super().see(crops)

    Detector.from_pretrained = classmethod(lambda cls, *a, **k: Slow())  # type: ignore[assignment]
    FaceFinder.from_pretrained = classmethod(lambda cls, *a, **k: DotFinder())  # type: ignore[assignment]
    for module in (find, track, parts):
        vars(module)["CHUNK"] = 5


def track_slowly(shot: str, job: Path) -> None:
    """What a process does that is to be killed while it tracks."""
    from facequery.pipeline.job import JobRequest
    from facequery.pipeline.run import run_job

    stand_in()
    run_job(JobRequest(shots=(shot,), preview=False), job, lambda *_: time.sleep(0.02))


def dask_setup(worker: Any) -> None:
    stand_in()


if __name__ == "__main__":
    import signal

    from facequery.cli import main

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit that it is ignored

    stand_in()
    main(sys.argv[1:])
