"""One timer turns everything that goes on in the background; in a script or a test a plain function does."""

from collections.abc import Callable

import bpy

from .state import redraw

_EVERY = 0.2  # seconds between two looks at the backend
_sources: list[Callable[[], tuple[bool, bool]]] = []


def add(source: Callable[[], tuple[bool, bool]]) -> None:
    """Have a function turned that returns whether anything changed that a panel shows, and whether it is at work."""
    _sources.append(source)


def remove(source: Callable[[], tuple[bool, bool]]) -> None:
    """No longer turn a function."""
    _sources.remove(source)


def pump() -> bool:
    """Turn all sources once. Whether any is at work."""
    states = [source() for source in _sources]
    if any(changed for changed, _ in states):
        redraw()
    return any(busy for _, busy in states)


def start() -> None:
    """Have the timer run until nothing is at work. Without a user interface there are no timers."""
    if not bpy.app.background and not bpy.app.timers.is_registered(_tick):
        bpy.app.timers.register(_tick, first_interval=_EVERY)


def _tick() -> float | None:
    return _EVERY if pump() else None


def register() -> None:
    pass


def unregister() -> None:
    # A timer that stays registered keeps Blender from ending.
    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)
