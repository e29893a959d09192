"""The worker in a thread of this process, with pipes for stdin and stdout: stand-ins for networks work inside it."""

import os
import threading
from typing import Any

from facequery.worker import Registry, Worker, default_registry
from facequery_protocol import messages
from facequery_protocol.messages import Failure, Request, Result


class WorkerHere:
    """A client and its worker. Use as a context."""

    def __init__(self, registry: Registry | None = None) -> None:
        inlet, self._requests = os.pipe()
        answers, outlet = os.pipe()
        self._worker = Worker(registry or default_registry(), os.fdopen(inlet, "rb"), os.fdopen(outlet, "wb", 0))
        self._answers = os.fdopen(answers, "rb")
        self._thread = threading.Thread(target=self._worker.serve, daemon=True)
        self.notes: list[Request] = []

    def __enter__(self) -> "WorkerHere":
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        os.close(self._requests)
        self._thread.join(30)
        self._answers.close()

    def call(self, method: str, **params: Any) -> Result | Failure:
        """The answer to one request."""
        return self.answer(messages.encode(Request(method, params, 1)))

    def answer(self, line: bytes) -> Result | Failure:
        """The answer to a line, whatever stands in it."""
        os.write(self._requests, line)
        while True:
            message = messages.decode(self._answers.readline())
            if not isinstance(message, Request):
                return message
            self.notes.append(message)
