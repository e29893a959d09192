"""The backend's process: starting it, sending requests, draining what it says, ending it."""

import itertools
import os
import queue
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from .._vendor.facequery_protocol import messages
from .._vendor.facequery_protocol.errors import ProtocolError
from .._vendor.facequery_protocol.messages import Failure, Message, Request
from ..core.errors import AddonError
from .lookup import Backend

STARTING: Final = 60.0  # seconds in which a backend must greet
SILENT: Final = 20.0  # seconds without a heartbeat after which a backend is called hanging
_TERMINATING: Final = 3.0  # seconds that a backend gets to end by itself
_WAITING: Final = 5_000  # lines that may wait to be taken: a backend that says more is made to wait itself
_LOGS: Final = 20  # files that are kept

_log_numbers = itertools.count(1)
_ending: list[threading.Thread] = []  # of processes that were told to end


class Client:
    """One backend process. Nothing here waits; `messages` is to be called a few times a second."""

    def __init__(self, backend: Backend, log: Path) -> None:
        """Start `backend worker`; its standard error goes to the file `log`. Raises AddonError."""
        flags = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # Windows only: no console window flashes up
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("wb") as errors:
                self._process = subprocess.Popen(
                    [*backend.command, "worker"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    env=backend.environment(),
                    creationflags=flags,
                )
        except OSError as error:
            cause = f'The backend "{backend.line}" cannot be started ({error.strerror or error}).'
            raise AddonError(cause, "Check the command in the preferences, or run install.py again.", "FQ712") from None
        self.log = log
        self.greeting: dict[str, Any] | None = None
        self._lines: queue.Queue[bytes | None] = queue.Queue(_WAITING)
        self._requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._started = self._heard = time.monotonic()
        self._next = 0
        # Either pipe may be full or silent for as long as the backend likes: threads wait for it, Blender does not.
        for loop in (self._read, self._write):
            threading.Thread(target=loop, daemon=True).start()

    def request(self, method: str, params: dict[str, Any]) -> int:
        """Send a request. Returns its id; the answer comes with `messages`."""
        self._next += 1
        self._requests.put(messages.encode(Request(method, params, self._next)))
        return self._next

    def messages(self, deadline: float = 0.02) -> Iterator[Message]:
        """What the backend has said, for at most `deadline` seconds.

        Raises AddonError when it greets in another protocol, ended, or has been silent for too long.
        """
        until = time.monotonic() + deadline
        while time.monotonic() < until:
            try:
                line = self._lines.get_nowait()
            except queue.Empty:
                self._check_alive()
                return
            if line is None:
                raise self._ended()
            self._heard = time.monotonic()
            try:
                message = messages.decode(line)
            except ProtocolError:
                continue  # something that a library printed before the greeting
            if self.greeting is None:
                self._greet(message)
            elif not (isinstance(message, Request) and message.method == "heartbeat"):
                yield message

    def close(self, at_once: bool = False) -> None:
        """Have the process ended, in the background: by closing its input, then terminate, then kill.

        `at_once`: it is not given the time to notice that its input was closed.
        """
        if self._closed.is_set():
            return
        self._closed.set()
        self._requests.put(None)
        thread = threading.Thread(target=self._end, args=(at_once,), daemon=True)
        _ending[:] = [other for other in _ending if other.is_alive()] + [thread]
        thread.start()

    def _end(self, at_once: bool) -> None:
        if at_once:
            self._process.terminate()
        for end in (self._process.terminate, self._process.kill):
            try:
                self._process.wait(_TERMINATING)
                return
            except subprocess.TimeoutExpired:
                end()
        self._process.wait()

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process.poll() is None

    def _write(self) -> None:
        """Send the requests, until the process is closed. That it is gone is told by what it no longer says."""
        pipe = self._process.stdin
        assert pipe is not None
        with suppress(OSError), pipe:
            while (line := self._requests.get()) is not None:
                pipe.write(line)
                pipe.flush()

    def _read(self) -> None:
        """Put the lines where `messages` takes them; what is too long to be a message is dropped."""
        pipe = self._process.stdout
        assert pipe is not None
        with pipe:
            while line := pipe.readline(messages.LONGEST_LINE):
                if line.endswith(b"\n") or len(line) < messages.LONGEST_LINE:
                    self._put(line)
                while line and not line.endswith(b"\n"):
                    line = pipe.readline(messages.LONGEST_LINE)
        self._put(None)

    def _put(self, line: bytes | None) -> None:
        while not self._closed.is_set():
            try:
                return self._lines.put(line, timeout=0.2)
            except queue.Full:
                continue

    def _greet(self, message: Message) -> None:
        if not (isinstance(message, Request) and message.method == "hello"):
            return
        try:
            self.greeting = messages.check_hello(message)
        except ProtocolError as error:
            raise AddonError(error.cause, error.next_step, error.code) from None

    def _check_alive(self) -> None:
        now = time.monotonic()
        if self.greeting is None and now - self._started > STARTING:
            raise AddonError("The backend does not greet.", f'Look into "{self.log}".', "FQ716")
        if self.greeting is not None and now - self._heard > SILENT:
            raise AddonError("The backend hangs.", "Try again: what was finished is kept.", "FQ717")

    def _ended(self) -> AddonError:
        try:
            code: int | str = self._process.wait(0.2)
        except subprocess.TimeoutExpired:
            code = "unknown"
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.is_file() else ""
        last = text.strip().splitlines()[-1:]
        cause = f"The backend ended unexpectedly (exit code {code}){': ' + last[0][:200] if last else ''}."
        return AddonError(cause, "Try again: what was finished is kept.", "FQ718")


def wait_for_endings(seconds: float = 3 * _TERMINATING) -> None:
    """Wait until the processes that were closed have ended, so that none is left behind when Blender ends."""
    until = time.monotonic() + seconds
    for thread in _ending:
        thread.join(max(0.0, until - time.monotonic()))


def failure_error(failure: Failure) -> AddonError:
    """The artist's error for a failure that the backend answered with."""
    return AddonError(failure.cause, failure.next_step, failure.code)


def new_log(folder: Path) -> Path:
    """A log file for a backend about to be started, in a folder of the user's; only the latest ones are kept there."""
    kept = sorted(folder.glob("backend-*.log"), key=lambda path: path.stat().st_mtime)
    for old in kept[: max(0, len(kept) - _LOGS + 1)]:
        with suppress(OSError):  # another Blender may be at it
            old.unlink()
    return folder / f"backend-{os.getpid()}-{next(_log_numbers)}.log"
