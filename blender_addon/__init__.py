"""FaceQuery's Blender extension: place points on a head, track them through a shot, and fit the face, skull and jaw.

core/ and link/ import no bpy; host/ alone reads and writes bpy data; ops/, ui/ and prefs are thin.
"""

from . import prefs
from .host import state
from .ops import head as head_ops
from .ui import head as head_ui
from .ui import status

# In the order of registration: types before what points at them.
_modules = (prefs, state, head_ops, head_ui, status)


def register() -> None:
    for module in _modules:
        module.register()


def unregister() -> None:
    for module in reversed(_modules):
        module.unregister()
