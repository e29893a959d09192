"""Requests to one backend process: sent when it has greeted, told apart by their ids, and turned on by a pump."""

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Final

from .._vendor.facequery_protocol import messages
from .._vendor.facequery_protocol.messages import Failure, Request, Result
from ..core.errors import AddonError
from .client import Client, failure_error
from .lookup import Backend

_REMEMBERED: Final = 200  # lines of a request's log


class State(Enum):
    """What a request is doing."""

    STARTING = "Starting the backend"
    RUNNING = "Running"
    CANCELLING = "Cancelling"
    READY = "Ready"
    CANCELLED = "Cancelled"
    FAILED = "Failed"


@dataclass(eq=False)
class Call:
    """One request, and how far it is: `done` of `total` pieces of `step`. `result` when it is ready, else `error`."""

    method: str
    params: dict[str, Any]
    state: State = State.STARTING
    step: str = ""
    done: int = 0
    total: int = 0
    result: Any = None
    error: AddonError | None = None
    log: list[str] = field(default_factory=list)

    @property
    def active(self) -> bool:
        """Whether the backend is at work on it, or will be."""
        return self.state in (State.STARTING, State.RUNNING, State.CANCELLING)

    @property
    def share(self) -> float:
        """How much of the present step is done, in [0, 1]."""
        return min(1.0, self.done / self.total) if self.total else 0.0


class Connection:
    """A backend process and what it was asked. Nothing waits; `pump` is all that moves it on."""

    def __init__(self, backend: Backend, log: Path) -> None:
        """Start the process; its standard error goes to the file `log`. Raises AddonError."""
        self.backend, self.log = backend, log
        self._client: Client | None = Client(backend, log)
        self._calls: dict[int | None, list[Call]] = {None: []}  # None: those that wait for the greeting

    @property
    def open(self) -> bool:
        """Whether the process is there to be asked."""
        return self._client is not None and self._client.running

    @property
    def greeting(self) -> dict[str, Any]:
        """What the backend said of itself; empty before it did."""
        return (self._client.greeting if self._client else None) or {}

    def submit(self, call: Call) -> Call:
        """Ask for something; it is sent as soon as the backend has greeted."""
        self._calls[None].append(call)
        return call

    def pump(self) -> bool:
        """Take what the backend has said. Returns whether anything changed that a panel shows."""
        client = self._client
        if client is None:
            return False
        before = self._shown()
        try:
            for message in client.messages():
                self._take(message)
            if client.greeting is not None:
                for call in self._calls[None]:
                    self._send(client, call)
                self._calls[None] = []
        except AddonError as error:
            self._end(State.FAILED, error)
        return self._shown() != before

    def cancel(self, call: Call) -> None:
        """Ask the backend to stop with a request; the second time, end the process and all that it does."""
        if not call.active:
            return
        if call.state is not State.RUNNING or self._client is None:
            self._end(State.CANCELLED, at_once=True)
            return
        call.state = State.CANCELLING
        number = next(n for n, calls in self._calls.items() if call in calls)
        self._client.request("cancel", {"id": number})

    def close(self) -> None:
        """End the process, whatever it does."""
        self._end(State.CANCELLED)

    def _send(self, client: Client, call: Call) -> None:
        known = client.greeting.get("methods") if client.greeting else None
        if isinstance(known, list) and call.method not in known and call.method != "hello":
            call.error = AddonError(
                f'The backend cannot do "{call.method}".', "Install the same release of backend and extension.", "FQ719"
            )
            call.state = State.FAILED
            return
        call.state = State.RUNNING
        self._calls[client.request(call.method, call.params)] = [call]

    def _shown(self) -> list[tuple[Any, ...]]:
        return [(c.state, c.step, c.done) for calls in self._calls.values() for c in calls]

    def _take(self, message: messages.Message) -> None:
        if isinstance(message, Request):
            for call in self._calls.get(self._number(message.params.get("id")), []):
                _note(call, message.method, message.params)
            return
        for call in self._calls.pop(self._number(message.id), []):
            if isinstance(message, Result):
                call.result, call.state = message.result, State.READY
            elif message.kind == messages.CANCELLED:
                call.state = State.CANCELLED
            else:
                assert isinstance(message, Failure)
                call.error, call.state = failure_error(message), State.FAILED

    @staticmethod
    def _number(id: Any) -> int:
        return id if isinstance(id, int) else -1

    def _end(self, state: State, error: AddonError | None = None, at_once: bool = False) -> None:
        for calls in self._calls.values():
            for call in calls:
                if call.active:
                    call.state, call.error = state, error
        self._calls = {None: []}
        if self._client is not None:
            self._client.close(at_once)
            self._client = None


def _note(call: Call, method: str, params: dict[str, Any]) -> None:
    if method == "progress":
        call.step = str(params.get("step", ""))
        call.done, call.total = _count(params.get("done")), _count(params.get("total"))
    elif method == "log":
        call.log.append(str(params.get("text", "")))
        del call.log[:-_REMEMBERED]


def _count(value: Any) -> int:
    return max(0, int(value)) if isinstance(value, int | float) and value == value else 0
