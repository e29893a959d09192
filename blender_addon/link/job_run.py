"""One job in the backend, from starting the process to the end: a state that a panel can draw and a pump can turn."""

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from .._vendor.facequery_protocol import messages
from .._vendor.facequery_protocol.messages import Failure, Request, Result
from ..core.errors import AddonError
from .client import Client, failure_error
from .lookup import Backend


class State(Enum):
    """What a job is doing."""

    STARTING = "Starting the backend"
    RUNNING = "Running"
    CANCELLING = "Cancelling"
    READY = "Ready"
    CANCELLED = "Cancelled"
    FAILED = "Failed"


@dataclass
class JobRun:
    """A job's folder being worked on. `pump` is all that moves it on; nothing waits."""

    folder: Path
    state: State = State.STARTING
    step: str = ""
    done: int = 0
    total: int = 0
    device: str = ""
    error: AddonError | None = None
    log: list[str] = field(default_factory=list)
    _client: Client | None = None
    _id: int | None = None
    _cancel_at: int = 0

    @property
    def active(self) -> bool:
        """Whether the backend is at work on it."""
        return self.state in (State.STARTING, State.RUNNING, State.CANCELLING)

    @property
    def share(self) -> float:
        """How much of the present step is done, in [0, 1]."""
        return self.done / self.total if self.total else 0.0

    def start(self, backend: Backend, log: Path) -> None:
        """Start the process. Raises AddonError when that cannot be done."""
        self._client = Client(backend, log)

    def pump(self) -> bool:
        """Take what the backend has said. Returns whether anything changed that a panel shows."""
        if not self.active or self._client is None:
            return False
        before = (self.state, self.step, self.done)
        try:
            client = self._client
            for message in client.messages():
                self._take(message)
                if not self.active:
                    break
            if client.greeting is not None and self._id is None:
                self.device = str(client.greeting.get("device", ""))
                self._id = client.request("job.run", {"folder": str(self.folder)})
                self.state = State.RUNNING
        except AddonError as error:
            self._fail(error)
        return (self.state, self.step, self.done) != before

    def cancel(self) -> None:
        """Ask the backend to stop; the second time, end its process."""
        if not self.active or self._client is None:
            return
        if self.state is State.CANCELLING or self._id is None:
            self._end(State.CANCELLED)
            return
        self.state = State.CANCELLING
        try:
            self._client.request("cancel", {"id": self._id})
        except AddonError as error:
            self._fail(error)

    def close(self) -> None:
        """End the process, whatever it does."""
        if self._client is not None:
            self._client.close()
            self._client = None
        if self.active:
            self.state = State.CANCELLED

    def _take(self, message: messages.Message) -> None:
        if isinstance(message, Request):
            self._note(message.method, message.params)
        elif isinstance(message, Failure) and message.id == self._id:
            if message.kind == messages.CANCELLED:
                self._end(State.CANCELLED)
            else:
                self._fail(failure_error(message))
        elif isinstance(message, Result) and message.id == self._id:
            notes = message.result.get("notes", []) if isinstance(message.result, dict) else []
            self.log += [str(note) for note in notes]
            self._end(State.READY)

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "progress" and params.get("id") == self._id:
            self.step = str(params.get("step", ""))
            self.done, self.total = int(params.get("done") or 0), int(params.get("total") or 0)
        elif method == "log":
            self.log.append(str(params.get("text", "")))

    def _fail(self, error: AddonError) -> None:
        self.error = error
        self._end(State.FAILED)

    def _end(self, state: State) -> None:
        self.state = state
        if self._client is not None:
            self._client.close()
            self._client = None
