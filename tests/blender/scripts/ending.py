"""How a script ends."""

import os
import sys

import bpy


def end() -> None:
    """End a script that went well. bpy 4.2 as a module crashes at exit once any property had an update function."""
    if bpy.app.version < (4, 3, 0):
        sys.stdout.flush()
        os._exit(0)
