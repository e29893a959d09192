"""How operators tell the artist what went wrong."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import bpy

from ..core.errors import AddonError


def reports_errors(execute: Callable[..., set[str]]) -> Callable[..., set[str]]:
    """Report an AddonError of an operator's `execute` in the status bar and cancel the operator."""

    @wraps(execute)
    def run(self: Any, context: bpy.types.Context) -> set[str]:  # Blender counts the arguments
        try:
            return execute(self, context)
        except AddonError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}

    return run
