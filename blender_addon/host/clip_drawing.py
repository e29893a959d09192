"""Drawing a job's points over the plate in the Movie Clip Editor: all of them, also those that are no tracks."""

from pathlib import Path
from typing import Any

import bpy
import gpu
import numpy as np
from numpy.typing import NDArray

from ..core.errors import AddonError
from ..core.job_results import JobTracks, error_scale, open_job
from . import dots
from .clip import frame_map
from .points import PALETTE
from .state import clip_state

_handles: list[Any] = []
_read: dict[str, JobTracks | None] = {}
_BAD, _FAIR, _GOOD = (0.9, 0.05, 0.02), (0.95, 0.75, 0.05), (0.15, 0.85, 0.15)


def tracks_of(clip: bpy.types.MovieClip) -> JobTracks | None:
    """The tracks of the clip's job, read once; None when there is no job or it cannot be read."""
    stored = clip_state(clip).job
    if stored not in _read:
        _read.clear()
        try:
            job = open_job(Path(bpy.path.abspath(stored)))
            _read[stored] = job.tracks() if job.has("tracks") else None
        except AddonError:
            _read[stored] = None
    return _read[stored]


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
    if clip is None or space.view != "CLIP" or not clip_state(clip).show_points or not clip_state(clip).job:
        return
    # Dots stand on the plate as filmed: they would lie beside a picture that is shown otherwise.
    if space.clip_user.use_render_undistorted or space.show_stable:
        return
    tracks = tracks_of(clip)
    if tracks is None:
        return
    row = int(frame_map(clip, tracks.frames, tracks.fps).index(context.scene.frame_current, "scene"))
    if row < 0 or not np.isfinite(tracks.xy[row]).any():
        return
    shown = np.isfinite(tracks.xy[row]).all(axis=1)
    view = context.region.view2d
    # The view is linear: two corners say it all.
    x0, y0 = view.view_to_region(0.0, 0.0, clip=False)
    x1, y1 = view.view_to_region(1.0, 1.0, clip=False)
    place = np.zeros((int(shown.sum()), 3), np.float32)
    place[:, 0] = x0 + (x1 - x0) * tracks.xy[row, shown, 0] / tracks.width
    place[:, 1] = y1 + (y0 - y1) * tracks.xy[row, shown, 1] / tracks.height
    color = dot_colors(tracks, row, clip_state(clip).color_by == "GROUP")[shown]
    batch = dots.make_batch(place, color, np.zeros_like(color))
    matrix = gpu.matrix.get_projection_matrix() @ gpu.matrix.get_model_view_matrix()
    dots.draw(batch, matrix, clip_state(clip).point_size * context.preferences.system.ui_scale, (("NONE", 1.0),))


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
