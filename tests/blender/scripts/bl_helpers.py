"""What the scripts share: a registered extension, a scene without anything in it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import bpy
import numpy as np

import blender_addon
from blender_addon.core.space import canonical_to_blender


@contextmanager
def session() -> Iterator[None]:
    """The extension, registered for the time of a test."""
    blender_addon.register()
    try:
        yield
    finally:
        blender_addon.unregister()


def fresh_scene() -> None:
    """An empty file."""
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)


def canonical(points: np.ndarray) -> np.ndarray:
    """From Blender to canonical space."""
    return canonical_to_blender(points, inverse=True)


def refused(operator: Callable[..., set[str]], **arguments: object) -> str:
    """The sentence with which an operator refuses."""
    try:
        operator(**arguments)
    except RuntimeError as error:
        return str(error)
    raise AssertionError(f"{operator} was not refused")
