"""FaceQuery's Blender extension: place points on a head, track them through a shot, and fit the face, skull and jaw.

core/ and link/ import no bpy; host/ alone reads and writes bpy data; ops/, ui/ and prefs are thin.
"""

from . import prefs
from .host import backend, clip_drawing, clip_state, drawing, jobs, pump, state
from .ops import backend as backend_ops
from .ops import correct as correct_ops
from .ops import export as export_ops
from .ops import head as head_ops
from .ops import pick as pick_ops
from .ops import points as point_ops
from .ops import presets as preset_ops
from .ops import project as project_ops
from .ops import results as result_ops
from .ops import sampling as sampling_ops
from .ops import shot as shot_ops
from .ops import track as track_ops
from .ui import correct as correct_ui
from .ui import export as export_ui
from .ui import fit as fit_ui
from .ui import head as head_ui
from .ui import keymap, status, tool
from .ui import points as point_ui
from .ui import presets as preset_ui
from .ui import project as project_ui
from .ui import shot as shot_ui
from .ui import track as track_ui

# In the order of registration: types before what points at them.
_modules = (
    prefs,
    state,
    clip_state,
    pump,
    backend,
    jobs,
    drawing,
    clip_drawing,
    backend_ops,
    head_ops,
    point_ops,
    sampling_ops,
    shot_ops,
    result_ops,
    track_ops,
    correct_ops,
    pick_ops,
    project_ops,
    export_ops,
    preset_ops,
    preset_ui,
    head_ui,
    point_ui,
    shot_ui,
    track_ui,
    correct_ui,
    fit_ui,
    project_ui,
    export_ui,
    status,
    tool,
    keymap,
)


def register() -> None:
    for module in _modules:
        module.register()


def unregister() -> None:
    for module in reversed(_modules):
        module.unregister()
