"""The backend process that answers in between, kept warm between requests; jobs have processes of their own.

Results are brought into the file by a function that came with the request, as soon as they are there.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy

from ..core.errors import AddonError
from ..link import client
from ..link.connection import Call, Connection, State
from ..link.lookup import Backend
from . import pump

Apply = Callable[[Any], None]


@dataclass(eq=False)
class _Asked:
    topic: str
    call: Call
    apply: Apply
    clean_up: Callable[[], None]


_connection: Connection | None = None
_log: Path | None = None
_asked: list[_Asked] = []
_last: dict[str, Call] = {}  # by topic


def user_folder() -> Path:
    """The extension's own folder of the user; in a checkout, a temporary one of this Blender."""
    package = __package__.rpartition(".")[0] if __package__ else ""
    try:
        return Path(bpy.utils.extension_path_user(package, create=True))
    except ValueError:  # not installed as an extension
        return Path(bpy.app.tempdir) / "facequery"


@contextmanager
def shared_folder() -> Iterator[Path]:
    """The folder for what passes between this Blender and its backend: beside the .blend, or the user's.

    Raises AddonError where it cannot be written to.
    """
    folder = Path(bpy.path.abspath("//")) if bpy.data.filepath else user_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
    except OSError as error:
        raise AddonError(
            f'"{folder}" cannot be written to ({error.strerror}).', "Save the file where you may write.", "FQ770"
        ) from None


def new_log() -> Path:
    """A log file for a process about to be started; from now on it is the latest."""
    global _log
    _log = client.new_log(user_folder())
    return _log


def latest_log() -> Path | None:
    """The log of the process that was started last; None before the first."""
    return _log if _log is not None and _log.is_file() else None


def ask(
    backend: Backend,
    topic: str,
    method: str,
    params: dict[str, Any],
    apply: Apply,
    alone: bool = True,
    clean_up: Callable[[], None] = lambda: None,
) -> Call:
    """Ask the warm backend, which is started if need be, and return at once. Raises AddonError.

    `apply` gets the result when it is there, `clean_up` is called when the request is over, however it ended. `topic`
    says which panel shows how far it is; `alone`: a topic has one request at a time.
    """
    global _connection
    if alone and any(asked.topic == topic and asked.call.active for asked in _asked):
        raise AddonError("This is being done already.", "Wait for it, or cancel it.", "FQ772")
    if _connection is not None and (not _connection.open or _connection.backend != backend):
        release()
    if _connection is None:
        _connection = Connection(backend, new_log())
    call = _connection.submit(Call(method, params))
    _asked.append(_Asked(topic, call, apply, clean_up))
    _last[topic] = call
    pump.start()
    return call


def wait(call: Call, timeout: float) -> None:
    """Wait for a request and apply its result. Raises AddonError when it fails, is cancelled, or takes too long."""
    until = time.monotonic() + timeout
    while call.active or any(asked.call is call for asked in _asked):
        if time.monotonic() > until:
            release()
            raise AddonError(f"The backend was not done after {timeout:g} seconds.", "Try again.", "FQ773")
        _turn()
        time.sleep(0.01)
    if call.error is not None:
        raise call.error
    if call.state is not State.READY:
        raise AddonError("It was cancelled.", code="FQ394")


def call_of(topic: str) -> Call | None:
    """The latest request of a topic."""
    return _last.get(topic)


def cancel(topic: str) -> None:
    """Cancel a topic's request."""
    call = _last.get(topic)
    if call is not None and _connection is not None:
        _connection.cancel(call)


def release() -> bool:
    """End the warm backend, so that its memory and the GPU are free. Whether there was one."""
    global _connection
    if _connection is None:
        return False
    _connection.close()
    _connection = None
    return True


def warm() -> bool:
    """Whether a backend is kept warm."""
    return _connection is not None and _connection.open


def greeting() -> dict[str, Any]:
    """What the warm backend said of itself; empty without one."""
    return _connection.greeting if _connection is not None else {}


def _turn() -> tuple[bool, bool]:
    changed = _connection.pump() if _connection is not None else False
    for asked in [asked for asked in _asked if not asked.call.active]:
        _asked.remove(asked)
        changed = True
        if asked.call.state is State.READY:
            try:
                asked.apply(asked.call.result)
            except AddonError as error:
                asked.call.state, asked.call.error = State.FAILED, error
            except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
                asked.call.state, asked.call.error = State.FAILED, _nonsense(asked.call, error)
        asked.clean_up()
    return changed, bool(_asked)


def _nonsense(call: Call, error: Exception) -> AddonError:
    return AddonError(
        f'The backend answered "{call.method}" with something else than was asked for ({error!r}).',
        "Install the same release of backend and extension.",
        "FQ713",
    )


@bpy.app.handlers.persistent
def _other_file(*_: Any) -> None:
    """What was asked for another file is not brought into this one."""
    for asked in _asked:
        asked.clean_up()
    _asked.clear()
    _last.clear()


def register() -> None:
    pump.add(_turn)
    bpy.app.handlers.load_pre.append(_other_file)


def unregister() -> None:
    bpy.app.handlers.load_pre.remove(_other_file)
    pump.remove(_turn)
    release()
    client.wait_for_endings()
    _other_file()
