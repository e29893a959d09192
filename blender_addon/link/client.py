"""The backend's process: starting it, sending requests, draining what it says, ending it."""

import os
import queue
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final

from .._vendor.facequery_protocol import messages
from .._vendor.facequery_protocol.errors import ProtocolError
from .._vendor.facequery_protocol.messages import Failure, Message, Request
from ..core.errors import AddonError
from .lookup import Backend, clean_environment

STARTING: Final = 60.0  # seconds in which a backend must greet
SILENT: Final = 20.0  # seconds without a heartbeat after which a backend is called hanging
_TERMINATING: Final = 3.0  # seconds that a backend gets to end by itself


class Client:
    """One backend process. Nothing here waits but `close`; `messages` is to be called a few times a second."""

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
                    env=clean_environment(),
                    creationflags=flags,
                )
        except OSError as error:
            cause = f'The backend "{backend.line}" cannot be started ({error.strerror or error}).'
            raise AddonError(cause, "Check the command in the preferences, or run install.py again.", "FQ712") from None
        self.log = log
        self.greeting: dict[str, Any] | None = None
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._started = self._heard = time.monotonic()
        self._next = 0
        assert self._process.stdout is not None
        threading.Thread(target=_read, args=(self._process.stdout, self._lines), daemon=True).start()

    def request(self, method: str, params: dict[str, Any]) -> int:
        """Send a request. Returns its id; the answer comes with `messages`."""
        self._next += 1
        self._send(Request(method, params, self._next))
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

    def close(self) -> None:
        """End the process: by closing its input, then terminate, then kill."""
        if self._process.stdin and not self._process.stdin.closed:
            with suppress(OSError):  # it may be gone already
                self._process.stdin.close()
        for end in (self._process.terminate, self._process.kill):
            try:
                self._process.wait(_TERMINATING)
                return
            except subprocess.TimeoutExpired:
                end()
        self._process.wait(_TERMINATING)

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process.poll() is None

    def _send(self, message: Message) -> None:
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(messages.encode(message))
            self._process.stdin.flush()
        except (OSError, ValueError):
            raise self._ended() from None

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
            raise AddonError("The backend hangs.", "Start again: the job goes on where it was.", "FQ717")

    def _ended(self) -> AddonError:
        try:
            code: int | str = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            code = "unknown"
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.is_file() else ""
        last = text.strip().splitlines()[-1:]
        cause = f"The backend ended unexpectedly (exit code {code}){': ' + last[0][:200] if last else ''}."
        return AddonError(cause, "Start again: the job goes on where it was.", "FQ718")


def _read(stream: IO[bytes], lines: "queue.SimpleQueue[bytes | None]") -> None:
    for line in stream:
        lines.put(line)
    lines.put(None)


def failure_error(failure: Failure) -> AddonError:
    """The artist's error for a failure that the backend answered with."""
    return AddonError(failure.cause, failure.next_step, failure.code)


def log_file(folder: str) -> Path:
    """A log file for a backend that this Blender starts, in a folder of the artist's."""
    return Path(folder) / f"backend-{os.getpid()}.log"
