"""Kill a job at random moments, start it again each time, and hold the result against that of one left alone.

    python -m tools.kill_jobs [--kills 50] [--by run|worker|both] [--fit face,skull,jaw] [--seed 1]

Jobs on the sample shot are done by `facequery run` or by the worker, in processes that are ended by SIGKILL at moments
spread evenly over the time that the job takes. Every file of the results must be the same to the bit, and nothing
half-written may be left. Ends with exit code 1 when one is not.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from facequery_protocol import messages

# Modules are loaded once and every process is forked from there, so that little time goes into what is not the job.
_PRELOAD = ["facequery.pipeline.run", "facequery.pipeline.parts", "facequery.apps.visibility", "facequery.worker"]
_STAGES = (("finding", "faces.npz"), ("tracking", "tracks.json"), ("fitting", "fit.json"), ("preview", "preview.mp4"))

Start = Callable[[Path], BaseProcess]  # begins to do the job of a folder


def small_chunks(frames: int) -> None:
    """Let this process divide shots into chunks of so few frames that a small shot has many."""
    from facequery.pipeline import find, parts, track

    for module in (find, track, parts):
        vars(module)["CHUNK"] = frames


def run_command(folder: str, chunk: int) -> None:
    """What a process does that runs `facequery run FOLDER`."""
    from facequery.cli import main

    small_chunks(chunk)
    with open(os.devnull, "w", encoding="utf-8") as nothing, contextlib.redirect_stdout(nothing):
        sys.stderr = nothing
        main(["run", folder])


def serve_job(inlet: Connection, outlet: Connection, chunk: int) -> None:
    """What a process does that is `facequery worker`, its stdin and stdout being the ends of pipes."""
    from facequery import worker

    small_chunks(chunk)
    os.dup2(inlet.fileno(), 0)
    os.dup2(outlet.fileno(), 1)
    worker.main()


def starter(by: str, chunk: int) -> Start:
    """How to begin a job by "run" or by "worker". The worker is asked for the job at once, and ends when it is done."""
    known = multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("forkserver" if "forkserver" in known else "spawn")
    if "forkserver" in known:
        context.set_forkserver_preload(_PRELOAD)

    def start_run(folder: Path) -> BaseProcess:
        process = context.Process(target=run_command, args=(str(folder), chunk))
        process.start()
        return process

    def start_worker(folder: Path) -> BaseProcess:
        inlet, requests = context.Pipe(duplex=False)
        answers, outlet = context.Pipe(duplex=False)
        process = context.Process(target=serve_job, args=(inlet, outlet, chunk))
        process.start()
        inlet.close()
        outlet.close()
        asked = messages.encode(messages.Request("job.run", {"folder": str(folder)}, 1))
        with contextlib.suppress(BrokenPipeError):
            os.write(requests.fileno(), asked)
        process.ends = (requests, answers)  # open as long as the process is wanted
        return process

    return start_run if by == "run" else start_worker


def waited(process: BaseProcess, seconds: float | None) -> bool:
    """Wait for a process at most so long; whether it did its job. A worker is let go when it has answered."""
    ends: tuple[Connection, Connection] | None = getattr(process, "ends", None)
    if ends is None:
        process.join(seconds)
        return process.exitcode is not None
    deadline = None if seconds is None else time.monotonic() + seconds
    line = b""
    while deadline is None or time.monotonic() < deadline:
        if not ends[1].poll(None if deadline is None else max(0.0, deadline - time.monotonic())):
            return False
        part = os.read(ends[1].fileno(), 1 << 16)
        *lines, line = (line + part).split(b"\n")
        for text in lines:
            message = messages.decode(text)
            if isinstance(message, messages.Failure):
                raise RuntimeError(message.cause)
            if isinstance(message, messages.Result):
                ends[0].close()
                process.join()
                return True
        if not part:
            raise RuntimeError("the worker ended by itself")
    return False


def kill_until(start: Start, fresh: Callable[[], Path], kills: int, whole: float, seed: int) -> tuple[list[Path], Any]:
    """Kill processes `kills` times, at moments up to 1.5 times `whole` seconds, what the job takes, after their start.

    Finished folders, and a count of what the job was at when it was killed. One that gets through is followed by a
    fresh one.
    """
    dice = random.Random(seed)
    done: list[Path] = []
    stages: Counter[str] = Counter()
    folder = fresh()
    while True:
        process = start(folder)
        last = stages.total() >= kills
        if waited(process, None if last else dice.uniform(0, 1.5 * whole)):
            if process.exitcode:
                raise RuntimeError(f"it ended with exit code {process.exitcode}")
            done.append(folder)
            if last:
                return done, stages
            folder = fresh()
            continue
        process.kill()
        process.join()
        stages[stage(folder)] += 1


def stage(folder: Path) -> str:
    """What a job is at, by the files that are there."""
    wanted = json.loads((folder / "job.json").read_text(encoding="utf-8"))["request"]
    skipped = {"fitting": not wanted["fits"], "preview": not wanted["preview"]}
    return next((n for n, file in _STAGES if not skipped.get(n) and not (folder / file).exists()), "done")


def differences(one: Path, two: Path) -> list[str]:
    """Files of two finished jobs that are not the same to the bit, or are there in one alone; what was left over.

    What differs by nature does not count: the seconds that a fit took.
    """

    def contents(folder: Path) -> dict[str, bytes]:
        files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
        return {name: plain(path) for name, path in files.items() if name not in ("job.json", "work/lock")}

    def plain(path: Path) -> bytes:
        if path.name != "fit.json":
            return path.read_bytes()
        document = json.loads(path.read_text(encoding="utf-8"))
        return json.dumps(document | {"seconds": 0}, sort_keys=True).encode()

    first, second = contents(one), contents(two)
    wrong = [name for name in sorted({*first, *second}) if first.get(name) != second.get(name)]
    return sorted({*wrong, *(name for name in second if ".part" in name)})


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--by", choices=["run", "worker", "both"], default="both")
    parser.add_argument("--fit", default="", help="of face,skull,jaw")
    parser.add_argument("--frames", type=int, default=24, help="of the sample shot")
    parser.add_argument("--chunk", type=int, default=4, help="frames of a chunk")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="keep the jobs' folders in this one")
    options = parser.parse_args(arguments)
    from facequery.assets import asset
    from facequery.pipeline.job import JobRequest, open_job

    request = JobRequest(
        shots=(str(asset("sample") / "plate" / "shot.####.jpg"),),
        frames=(1001, 1000 + options.frames),
        fits=tuple(options.fit.split(",")) if options.fit else (),
        smooth=0.0 if options.fit else 1.0,
    )
    home = (options.keep or Path(tempfile.mkdtemp(prefix="facequery-kills-"))).resolve()
    home.mkdir(parents=True, exist_ok=True)
    count = 0

    def fresh() -> Path:
        nonlocal count
        count += 1
        folder = home / str(count) / "job"  # of one name: an actor that a fit leaves has it
        open_job(folder, request)
        return folder

    bad = 0
    try:
        for by in ("run", "worker") if options.by == "both" else (options.by,):
            start = starter(by, options.chunk)
            waited(start(fresh()), None)  # also loads what the next ones are forked with
            undisturbed, began = fresh(), time.monotonic()
            waited(start(undisturbed), None)
            whole = time.monotonic() - began
            done, stages = kill_until(start, fresh, options.kills, whole, options.seed)
            wrong = {folder.parent.name: differences(undisturbed, folder) for folder in done}
            met = ", ".join(f"{n} while {name}" for name, n in stages.most_common())
            print(f"{by}: killed {stages.total()} times ({met}) within {whole:.1f} s; {len(done)} jobs got through")
            for name, files in wrong.items():
                if files:
                    bad += 1
                    print(f"  job {name} differs: {', '.join(files)}")
    finally:
        if not options.keep:
            shutil.rmtree(home, ignore_errors=True)
    print("The same to the bit." if not bad else f"{bad} jobs differ.")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
