"""One job in a backend process of its own, from starting it to the end: a state that a panel can draw."""

from pathlib import Path
from typing import Any

from ..core.errors import AddonError
from .connection import Call, Connection, State
from .lookup import Backend

__all__ = ["JobRun", "State"]


class JobRun:
    """A job's folder being worked on. `pump` is all that moves it on; nothing waits."""

    def __init__(self, folder: Path, method: str = "job.run", **params: Any) -> None:
        self.folder = folder
        self._call = Call(method, params)
        self._connection: Connection | None = None
        self.device = ""

    @property
    def state(self) -> State:
        """What the job is doing."""
        return self._call.state

    @property
    def step(self) -> str:
        """What the backend is at, such as "Track"."""
        return self._call.step

    @property
    def done(self) -> int:
        """Pieces of the step that are done."""
        return self._call.done

    @property
    def total(self) -> int:
        """Pieces of the step."""
        return self._call.total

    @property
    def share(self) -> float:
        """How much of the present step is done, in [0, 1]."""
        return self._call.share

    @property
    def active(self) -> bool:
        """Whether the backend is at work on it."""
        return self._call.active

    @property
    def error(self) -> AddonError | None:
        """Why it failed."""
        return self._call.error

    @property
    def log(self) -> list[str]:
        """What the backend wants the artist to know."""
        result = self._call.result
        notes = result.get("notes", []) if isinstance(result, dict) else []
        return [*self._call.log, *map(str, notes)]

    def start(self, backend: Backend, log: Path) -> None:
        """Start the process. Raises AddonError when that cannot be done."""
        self._connection = Connection(backend, log)
        self._call.params["folder"] = backend.paths.to_remote(self.folder)
        self._connection.submit(self._call)

    def pump(self) -> bool:
        """Take what the backend has said. Returns whether anything changed that a panel shows."""
        if self._connection is None:
            return False
        changed = self._connection.pump()
        self.device = str(self._connection.greeting.get("device", self.device))
        if not self.active:
            self._connection.close()
            self._connection = None
            return True
        return changed

    def cancel(self) -> None:
        """Ask the backend to stop; the second time, end its process."""
        if self._connection is not None:
            self._connection.cancel(self._call)

    def close(self) -> None:
        """End the process, whatever it does."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
