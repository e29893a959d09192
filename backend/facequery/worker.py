"""The long-running worker: JSON-RPC 2.0, one message a line, on stdin and stdout (see `facequery_protocol.messages`).

The descriptor of stdout is duplicated for messages and then pointed at stderr, so that nothing that a library prints
can break a line. Nothing heavy is imported before the greeting, and methods are imported when first called. Closing
stdin ends the worker. One long request runs at a time, the others wait; quick ones have a thread of their own.
"""

import faulthandler
import importlib
import os
import platform
import queue
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, Final

from facequery_protocol import messages
from facequery_protocol.messages import Failure, Id, Message, MessageError, Request, Result

from facequery import __version__
from facequery.errors import UserError, told

_BEAT: Final = 1.0  # seconds between heartbeats
_REPORT: Final = 0.1  # seconds between progress messages of one step
_GRACE: Final = 3.0  # seconds that running requests get to stop when the worker ends
_MOST_WAITING: Final = 100


class Cancelled(Exception):
    """Raised inside a method by `Context.check` once its request was cancelled."""


class Context:
    """What a method can do besides returning: report, log, and find out that it is to stop."""

    def __init__(self, id: Id, send: Callable[[Message], None]) -> None:
        self.id = id
        self._send = send
        self._cancelled = threading.Event()
        self._last: tuple[str, float] = ("", 0.0)
        self.begun = False  # whether the method has come to its first look; before, it loads libraries and networks

    def check(self) -> None:
        """Raise Cancelled if the request was cancelled; to be called several times a second."""
        self.begun = True
        if self._cancelled.is_set():
            raise Cancelled

    def progress(self, step: str, done: int, total: int) -> None:
        """Report `done` of `total` of a step, at most ten times a second, and `check`."""
        self.check()
        now = time.monotonic()
        name, last = self._last
        if step != name or done >= total or now - last >= _REPORT:
            self._last = (step, now)
            self._send(messages.progress(self.id, step, done, total))

    def log(self, text: str, level: str = "info") -> None:
        """A sentence for the user's log; `level` is "info", "warning" or "error"."""
        self._send(messages.log(text, level, self.id))

    def cancel(self) -> None:
        self._cancelled.set()


Method = Callable[[dict[str, Any], Context], Any]


class Registry:
    """Methods by name. A method takes the params and a Context and returns what JSON can hold."""

    def __init__(self) -> None:
        self._methods: dict[str, tuple[Method | str, bool]] = {}

    def add(self, name: str, method: Method | str, quick: bool = False) -> None:
        """Mount a function, or "module:function" to be imported at its first call. `quick`: done in a moment."""
        self._methods[name] = (method, quick)

    @property
    def names(self) -> list[str]:
        return sorted(self._methods)

    def is_quick(self, name: str) -> bool:
        return self._methods[name][1]

    def __contains__(self, name: str) -> bool:
        return name in self._methods

    def get(self, name: str) -> Method:
        """The function of a name, imported if need be."""
        method, quick = self._methods[name]
        if isinstance(method, str):
            module, _, function = method.partition(":")
            method = getattr(importlib.import_module(module), function)
            self._methods[name] = (method, quick)
        return method


@dataclass
class _Task:
    request: Request
    context: Context
    started: bool = field(default=False)
    answered: bool = field(default=False)  # before its end


class Worker:
    """Serves one client from a stream of lines to a stream of lines (binary files)."""

    def __init__(self, registry: Registry, source: IO[bytes], target: IO[bytes]) -> None:
        self.registry = registry
        self._source, self._target = source, target
        self._write = threading.Lock()
        self._tasks: dict[Id, _Task] = {}
        self._guard = threading.Lock()
        self._queues: dict[bool, queue.Queue[_Task | None]] = {True: queue.Queue(), False: queue.Queue()}
        self._ending = threading.Event()
        self._born = time.monotonic()

    def serve(self) -> None:
        """Greet, then answer until the client closes its end or asks for shutdown."""
        own = ["cancel", "hello", "ping", "shutdown"]
        self._send(messages.hello(__version__, device_name(), sorted([*own, *self.registry.names]), **_about()))
        for quick in (True, False):
            threading.Thread(target=self._work, args=(self._queues[quick],), daemon=True).start()
        threading.Thread(target=self._beat, daemon=True).start()
        while not self._ending.is_set():
            try:
                line = self._source.readline(messages.LONGEST_LINE + 1)
            except (OSError, ValueError):
                break
            if not line:
                break
            if len(line) > messages.LONGEST_LINE and not line.endswith(b"\n"):
                self._skip_line()
            if line.strip():
                self._take(line)
        self._end()

    def _skip_line(self) -> None:
        while True:
            rest = self._source.readline(messages.LONGEST_LINE)
            if not rest or rest.endswith(b"\n"):
                return

    def _take(self, line: bytes) -> None:
        try:
            message = messages.decode(line)
        except MessageError as error:
            self._send(error.failure)
            return
        if not isinstance(message, Request):
            return  # an answer to nothing that was asked
        if message.method == "cancel":
            self._answer(message, lambda: self._cancel(message))
        elif message.method == "ping":
            self._answer(message, lambda: {"seconds": round(time.monotonic() - self._born, 3)})
        elif message.method == "hello":
            self._answer(message, lambda: greet(message.params))
        elif message.method == "shutdown":
            self._answer(message, dict)
            self._ending.set()
        else:
            self._queue(message)

    def _queue(self, request: Request) -> None:
        if request.id is None:
            return  # nobody would hear of it
        if request.method not in self.registry:
            self._fail(request.id, f'The worker has no method "{request.method}".', messages.METHOD_NOT_FOUND, "FQ391")
            return
        with self._guard:
            taken, full = request.id in self._tasks, len(self._tasks) >= _MOST_WAITING
            if not taken and not full:
                task = _Task(request, Context(request.id, self._send))
                self._tasks[request.id] = task
        if taken:
            self._fail(request.id, f"The id {request.id!r} is in use.", messages.INVALID_REQUEST, "FQ392")
        elif full:
            self._fail(request.id, "Too many requests are waiting.", messages.BUSY, "FQ393")
        else:
            self._queues[self.registry.is_quick(request.method)].put(task)

    def _cancel(self, request: Request) -> dict[str, bool]:
        """Cancel the request that params["id"] names; one that has not begun is answered at once."""
        target = request.params.get("id")
        with self._guard:
            task = self._tasks.get(target) if isinstance(target, int | str) else None
            if task is None:
                return {"cancelled": False}
            task.context.cancel()
            # One that still loads libraries would only notice later, and do nothing more than that.
            waiting = not task.answered and not (task.started and task.context.begun)
            task.answered = task.answered or waiting
            if not task.started:
                del self._tasks[task.context.id]
        if waiting:
            self._fail(task.context.id, "Cancelled.", messages.CANCELLED, "FQ394")
        return {"cancelled": True}

    def _work(self, tasks: "queue.Queue[_Task | None]") -> None:
        while (task := tasks.get()) is not None:
            with self._guard:
                if self._tasks.get(task.context.id) is not task:
                    continue  # cancelled while it waited
                task.started = True
            answer = self._run(task)
            with self._guard:
                del self._tasks[task.context.id]
            if not task.answered:
                self._send(answer)

    def _run(self, task: _Task) -> Message:
        id = task.context.id
        try:
            result = self.registry.get(task.request.method)(task.request.params, task.context)
            answer = Result(id, result)
            messages.encode(answer)
            return answer
        except Cancelled:
            return Failure(id, messages.CANCELLED, "Cancelled.", code="FQ394")
        except BaseException as error:  # whatever happens in a method, the worker lives
            failure = failure_of(error, id)
            if failure.kind == messages.INTERNAL_ERROR:
                text = traceback.format_exc()
                print(text, file=sys.stderr, flush=True)
                self._send(messages.log(text, "error", id))
            return failure

    def _answer(self, request: Request, make: Callable[[], Any]) -> None:
        try:
            answer: Message = Result(request.id, make()) if request.id is not None else Result(0)
        except Exception as error:
            answer = failure_of(error, request.id)
        if request.id is not None:
            self._send(answer)

    def _fail(self, id: Id, cause: str, kind: int, code: str) -> None:
        self._send(Failure(id, kind, cause, code=code))

    def _send(self, message: Message) -> None:
        line = messages.encode(message)
        try:
            with self._write:
                self._target.write(line)
                self._target.flush()
        except (OSError, ValueError):
            self._ending.set()  # the client is gone

    def _beat(self) -> None:
        while not self._ending.wait(_BEAT):
            with self._guard:
                busy = [task.context.id for task in self._tasks.values() if task.started]
            self._send(messages.heartbeat(time.monotonic() - self._born, busy))

    def _end(self) -> None:
        """Cancel everything and wait a little for what runs to stop."""
        self._ending.set()
        with self._guard:
            for task in self._tasks.values():
                task.context.cancel()
        for tasks in self._queues.values():
            tasks.put(None)
        deadline = time.monotonic() + _GRACE
        while time.monotonic() < deadline:
            with self._guard:
                if not any(task.started for task in self._tasks.values()):
                    return
            time.sleep(0.02)


def failure_of(error: BaseException, id: Id | None) -> Failure:
    """The error object of an exception: a number, one sentence of cause, one next step."""
    user = told(error)
    if user is not None:
        return Failure(id, messages.USER_ERROR, user.cause, user.next_step, user.code)
    detail = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    cause = f"Something went wrong inside FaceQuery ({detail})."
    return Failure(id, messages.INTERNAL_ERROR, cause, "Copy the report and send it to the developers.", "FQ399")


def greet(params: dict[str, Any]) -> dict[str, Any]:
    """The answer to a `hello` request: versions, and proof that this side sees the client's files.

    `nonce` is the path of a small file whose text is read back (rows of local and remote paths are right if the client
    finds its own words); `shot`, if given, the path of a shot that is opened. Raises UserError.
    """
    answer: dict[str, Any] = {
        "protocol": messages.PROTOCOL,
        "facequery": __version__,
        "device": device_name(),
        **_about(),
    }
    nonce, shot = params.get("nonce"), params.get("shot")
    if isinstance(nonce, str):
        try:
            with Path(nonce).open("rb") as file:
                answer["nonce"] = file.read(200).decode("utf-8", errors="replace")
        except (OSError, ValueError):
            raise UserError(
                f'The backend does not see the file "{nonce}".', "Check the rows of local and remote paths.", "FQ398"
            ) from None
    if isinstance(shot, str):
        from facequery.shots.shot import open_shot  # its libraries take a moment to load

        opened = open_shot(shot, colorspace=params.get("colorspace") or "srgb", allow_gaps=True)
        opened.plate(0)
        answer["shot"] = {"width": opened.width, "height": opened.height, "frames": len(opened), "fps": opened.fps}
        opened.close()
    return answer


def device_name() -> str:
    """What PyTorch would compute on, "cuda", "mps" or "cpu", told without loading it."""
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return "mps"
    spec = find_spec("torch")
    if spec is None or not spec.origin:
        return "none"
    try:
        version = Path(spec.origin).with_name("version.py").read_text(encoding="utf-8")
    except OSError:
        return "cpu"
    built = re.search(r"^cuda\s*(?::[^=]*)?=\s*['\"]", version, re.MULTILINE)
    driver = Path("/proc/driver/nvidia/version").exists() or Path("/dev/nvidiactl").exists()
    if sys.platform == "win32":
        driver = (Path(os.environ.get("SYSTEMROOT", "C:/Windows")) / "System32" / "nvcuda.dll").exists()
    return "cuda" if built and driver and os.environ.get("CUDA_VISIBLE_DEVICES", "0") not in ("", "-1") else "cpu"


def default_registry() -> Registry:
    """The methods that FaceQuery serves."""
    registry = Registry()
    registry.add("job.run", "facequery.pipeline.methods:run_job_folder")
    registry.add("export.list", "facequery.pipeline.export_methods:list_formats", quick=True)
    registry.add("export.write", "facequery.pipeline.export_methods:write_export")
    registry.add("report.write", "facequery.pipeline.export_methods:write_job_report")
    registry.add("stmap.write", "facequery.pipeline.export_methods:write_stmaps")
    registry.add("fit.run", "facequery.pipeline.fit_methods:run_fit")
    registry.add("about", "facequery.pipeline.methods:about")
    registry.add("sample.volume", "facequery.pipeline.methods:sample_volume")
    registry.add("pick.points", "facequery.pipeline.app_methods:pick_points_in_job")
    registry.add("refine.run", "facequery.pipeline.app_methods:refine_job")
    registry.add("segment.run", "facequery.pipeline.app_methods:segment_job")
    registry.add("project.run", "facequery.pipeline.app_methods:project_job")
    return registry


def main(registry: Registry | None = None) -> int:
    """Serve on this process's stdin and stdout until the client goes; the exit code."""
    # Private copies of both descriptors: 1 then leads to stderr and 0 to nothing, for libraries and child processes.
    source, target = os.dup(0), os.dup(1)
    os.dup2(2, 1)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    if sys.platform == "win32":
        import msvcrt

        for descriptor in (source, target):
            msvcrt.setmode(descriptor, os.O_BINARY)
    sys.stdout = sys.stderr
    faulthandler.enable(sys.stderr)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in Blender's terminal is not meant for the worker
    worker = Worker(registry or default_registry(), os.fdopen(source, "rb"), os.fdopen(target, "wb", buffering=0))
    worker.serve()
    sys.stderr.flush()
    os._exit(0)  # a method that does not stop must not keep the process


def _about() -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


if __name__ == "__main__":
    main()
