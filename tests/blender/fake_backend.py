"""A backend with the real worker's process and messages, whose job.run brings results that lie ready.

Run as `python fake_backend.py RESULTS MODE worker`.
"""

import os
import shutil
import signal
import sys
import time
from pathlib import Path

results, mode = Path(sys.argv[1]), sys.argv[2]
if mode == "mute":
    time.sleep(60)
if mode == "old":
    print('{"jsonrpc":"2.0","method":"hello","params":{"protocol":99,"facequery":"9.9.9"}}', flush=True)
    time.sleep(60)

from facequery import worker  # noqa: E402
from facequery.errors import UserError  # noqa: E402


def run(params, context):
    print("a library prints into the messages")
    folder = Path(params["folder"])
    assert (folder / "job.json").is_file()
    if mode == "crash":
        print("Segmentation fault, perhaps", file=sys.stderr, flush=True)
        os._exit(11)
    if mode == "hang":
        os.kill(os.getpid(), signal.SIGSTOP)
    if mode == "no_face":
        raise UserError("No face was found in the shot.", "Draw a region.", "FQ230")
    for i in range(200 if mode == "slow" else 4):
        context.progress("Track", i, 200)
        time.sleep(0.05)
    for path in results.iterdir():
        if path.name != "job.json":
            target = folder / path.name
            shutil.copytree(path, target, dirs_exist_ok=True) if path.is_dir() else shutil.copy(path, target)
    return {"folder": str(folder), "files": [], "notes": ["four frames only"]}


if mode == "release":
    worker.__version__ = "9.9.9"
registry = worker.default_registry()
registry.add("job.run", run)
worker.main(registry)
