"""How a module of the extension makes its classes known to Blender."""

from collections.abc import Callable
from typing import Any

import bpy


def registration(*classes: type) -> tuple[Callable[[], None], Callable[[], None]]:
    """The functions `register` and `unregister` of a module that has these classes and nothing else to set up."""
    factory: Any = bpy.utils.register_classes_factory
    return factory(classes)
