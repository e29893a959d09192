"""Drawing a job's points over the plate in the Movie Clip Editor: all of them, also those that are no tracks."""

from pathlib import Path
from typing import Any

import bpy
import gpu
import numpy as np
from gpu_extras.batch import batch_for_shader
from numpy.typing import NDArray

from ..core.errors import AddonError
from ..core.job_results import JobTracks, error_scale, open_job
from . import dots
from .clip import frame_map
from .clip_state import FaceState, active_face, clip_state
from .jobs import region_at
from .points import PALETTE

_handles: list[Any] = []
_read: dict[str, JobTracks | None] = {}
_BOX = (1.0, 0.75, 0.1)
_BAD, _FAIR, _GOOD = (0.9, 0.05, 0.02), (0.95, 0.75, 0.05), (0.15, 0.85, 0.15)


def tracks_of(face: FaceState) -> JobTracks | None:
    """The tracks of a face's job, read once; None when there is no job or it cannot be read."""
    stored = face.job
    if not stored:
        return None
    key = f"{stored} {face.view}"
    if key not in _read:
        try:
            job = open_job(Path(bpy.path.abspath(stored)), face.view)
            _read[key] = job.tracks() if job.has("tracks") else None
        except AddonError:
            _read[key] = None
    return _read[key]


def forget() -> None:
    """Read the job anew at the next redraw."""
    _read.clear()


def dot_colors(tracks: JobTracks, row: int, by_group: bool) -> NDArray[np.float32]:
    """Colors (N, 4) of the points in frame `row`: green over yellow to red by error, or by group; hidden ones faint."""
    if by_group:
        names = list(dict.fromkeys(tracks.groups))
        index = np.array([names.index(group) for group in tracks.groups])
        color = np.array(PALETTE)[index % len(PALETTE)]
    else:
        error = np.nan_to_num(tracks.sigma[row] / error_scale(tracks.xy), nan=1.0)[:, None].clip(0, 1)
        good, fair, bad = np.array(_GOOD), np.array(_FAIR), np.array(_BAD)
        color = np.where(error < 0.5, good + (fair - good) * 2 * error, fair + (bad - fair) * (2 * error - 1))
    alpha = np.where(tracks.visible[row] >= 0.5, 1.0, 0.25)
    return np.concatenate([color, alpha[:, None]], axis=1).astype(np.float32)


def _draw() -> None:
    context = bpy.context
    space = context.space_data
    assert isinstance(space, bpy.types.SpaceClipEditor)
    clip = space.clip
    if clip is None or space.view != "CLIP":
        return
    # Dots and boxes stand on the plate as filmed: they would lie beside a picture that is shown otherwise.
    if space.clip_user.use_render_undistorted or space.show_stable:
        return
    state, view = clip_state(clip), context.region.view2d
    # The view is linear: two corners say it all.
    x0, y0 = view.view_to_region(0.0, 0.0, clip=False)
    x1, y1 = view.view_to_region(1.0, 1.0, clip=False)
    to_screen = np.array([[x1 - x0, y0 - y1], [x0, y1]], np.float64)
    for face in state.faces:
        if state.show_points:
            _draw_points(context, clip, face, to_screen)
        if face.use_region and all(clip.size):
            box = region_at(clip, face, context.scene.frame_current)
            draw_box(box, tuple(clip.size), to_screen, active=face == active_face(clip))


def _draw_points(context: bpy.types.Context, clip: bpy.types.MovieClip, face: FaceState, to_screen: NDArray) -> None:
    tracks = tracks_of(face)
    if tracks is None:
        return
    row = int(frame_map(clip, tracks.frames, tracks.fps).index(context.scene.frame_current, "scene"))
    if row < 0 or not np.isfinite(tracks.xy[row]).any():
        return
    state = clip_state(clip)
    shown = np.isfinite(tracks.xy[row]).all(axis=1)
    place = np.zeros((int(shown.sum()), 3), np.float32)
    place[:, :2] = tracks.xy[row, shown] / (tracks.width, tracks.height) * to_screen[0] + to_screen[1]
    color = dot_colors(tracks, row, state.color_by == "GROUP")[shown]
    batch = dots.make_batch(place, color, np.zeros_like(color))
    matrix = gpu.matrix.get_projection_matrix() @ gpu.matrix.get_model_view_matrix()
    dots.draw(batch, matrix, state.point_size * context.preferences.system.ui_scale, (("NONE", 1.0),))


def draw_box(
    box: tuple[float, float, float, float], size: tuple[int, ...], to_screen: NDArray, active: bool = True
) -> None:
    """Draw a region x, y, width, height of plate pixels as a frame; `to_screen` (2, 2) is scale and shift."""
    x, y, width, height = box
    corners = np.array([(x, y), (x + width, y), (x + width, y + height), (x, y + height), (x, y)])
    corners = corners / size[:2] * to_screen[0] + to_screen[1]
    shader = gpu.shader.from_builtin("POLYLINE_UNIFORM_COLOR")
    viewport: Any = gpu.state.viewport_get
    shader.uniform_float("viewportSize", viewport()[2:])
    shader.uniform_float("lineWidth", 2.0 if active else 1.0)
    shader.uniform_float("color", (*_BOX, 1.0 if active else 0.5))
    gpu.state.blend_set("ALPHA")
    batch_for_shader(shader, "LINE_STRIP", {"pos": [(px, py, 0.0) for px, py in corners.tolist()]}).draw(shader)
    gpu.state.blend_set("NONE")


@bpy.app.handlers.persistent
def _after_load(*_: Any) -> None:
    forget()


def register() -> None:
    bpy.app.handlers.load_post.append(_after_load)
    if not bpy.app.background:
        _handles.append(bpy.types.SpaceClipEditor.draw_handler_add(_draw, (), "WINDOW", "POST_PIXEL"))


def unregister() -> None:
    while _handles:
        bpy.types.SpaceClipEditor.draw_handler_remove(_handles.pop(), "WINDOW")
    bpy.app.handlers.load_post.remove(_after_load)
    forget()
