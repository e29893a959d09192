"""Movie clips: which one a job belongs to, its frames, and its tracks as markers."""

import json
from pathlib import Path
from typing import Any, Final

import bpy
import numpy as np
from numpy.typing import NDArray

from .._vendor.facequery_protocol.frames import FrameMap
from ..core.errors import AddonError
from ..core.job_results import JobFolder, JobTracks, error_scale, error_weight
from ..core.plate_camera import PlateCamera
from ..core.shot_files import file_number, first_file
from .animation import set_curve
from .clip_state import FaceState

USUAL_TRACKS: Final = 500
MANY_TRACKS: Final = 2000
_LENSES: Final = {"polynomial": "POLYNOMIAL", "division": "DIVISION", "brown": "BROWN", "nuke": "NUKE"}
_COEFFICIENTS: Final = {
    "polynomial": ("k1", "k2", "k3"),
    "division": ("division_k1", "division_k2"),
    "brown": ("brown_k1", "brown_k2", "brown_k3", "brown_k4", "brown_p1", "brown_p2"),
    "nuke": ("nuke_k1", "nuke_k2"),
}
_FLIPPED: Final = ("brown_p2",)  # y goes up in Blender's pictures and down in a job's: the decentering along it


def clip_of(job: JobFolder) -> bpy.types.MovieClip:
    """The movie clip of a job's shot: the one that is open already, or a new one.

    A new clip of an image sequence begins at the scene frame of its file's number, as the trade counts.
    """
    path = first_file(job.shot, int(job.frames()[0]))
    for clip in bpy.data.movieclips:
        same = Path(bpy.path.abspath(clip.filepath))
        if same == path or (same.exists() and path.exists() and same.samefile(path)):
            return clip
    clip = bpy.data.movieclips.load(str(path))
    number = file_number(path)
    if clip.source == "SEQUENCE" and number is not None:
        clip.frame_start = number
    return clip


def frame_map(clip: bpy.types.MovieClip | None, files: NDArray[np.int64], fps: float = 24.0) -> FrameMap:
    """The four countings of a clip's frames; `files` (F,) are the job's file numbers.

    Without a clip the scene frames are the file numbers.
    """
    if clip is None:
        return FrameMap(files, fps, int(files[0]), int(files[0]))
    first = 1
    if clip.source == "SEQUENCE":
        number = file_number(Path(bpy.path.abspath(clip.filepath)))
        first = int(files[0]) if number is None else number
    return FrameMap(files, fps, first + clip.frame_offset, clip.frame_start)


def import_tracks(
    clip: bpy.types.MovieClip, face: FaceState, job: JobFolder, tracks: JobTracks, limit: int = USUAL_TRACKS
) -> int:
    """Make a tracking object of a job's points with a marker in every frame. Returns the number of tracks.

    The clip's face keeps path and hash of the job, and which track is which point.
    Hidden points and points outside the picture are muted, frames without the face too. Of more than `limit` points,
    evenly spread ones are taken. Raises AddonError when the clip has another size than the plate.
    """
    size = tuple(clip.size)
    if all(size) and size != (tracks.width, tracks.height):
        raise AddonError(
            f"The clip has {size[0]} x {size[1]} pixels, the job's plate {tracks.width} x {tracks.height}.",
            "Choose the clip that was tracked.",
            "FQ758",
        )
    frames = frame_map(clip, tracks.frames, tracks.fps)
    clip_frames = frames.convert(tracks.frames, "file", "clip")
    scene_frames = frames.convert(tracks.frames, "file", "scene")
    count = len(tracks.names)
    columns = np.arange(count) if count <= limit else np.linspace(0, count - 1, limit).round().astype(int)
    target = clip.tracking.objects.new(f"FaceQuery {job.name}"[:60])
    where = np.stack([tracks.xy[..., 0] / tracks.width, 1.0 - tracks.xy[..., 1] / tracks.height], axis=-1)
    found = np.isfinite(where).all(axis=-1)
    inside = found & (where >= 0).all(axis=-1) & (where <= 1).all(axis=-1)
    shown = inside & (tracks.visible >= 0.5)
    weight = error_weight(tracks.sigma, error_scale(tracks.xy))
    # Half a pattern; Blender's own would cover a face that is tracked at hundreds of points.
    pattern = (half := max(3.0, 0.003 * tracks.width)) / tracks.width, half / tracks.height
    names: dict[str, str] = {}
    for column in columns.tolist():
        rows = np.flatnonzero(found[:, column])
        if len(rows):
            track = _add_track(
                target, tracks.names[column], clip_frames, where[:, column], rows, shown[:, column], pattern
            )
            names[tracks.ids[column]] = track.name
            path = f'tracking.objects["{_quoted(target.name)}"].tracks["{_quoted(track.name)}"].weight'
            set_curve(clip, path, 0, scene_frames[rows], weight[rows, column])
    face.digest, face.tracking_object, face.track_names = tracks.digest, target.name, json.dumps(names)
    return len(names)


def _add_track(
    target: bpy.types.MovieTrackingObject,
    name: str,
    frames: NDArray[np.int64],
    where: NDArray,
    rows: NDArray[np.int64],
    shown: NDArray[np.bool_],
    pattern: tuple[float, float],
) -> bpy.types.MovieTrackingTrack:
    # The marker that a new track brings stands where the first one is wanted anyway.
    track = target.tracks.new(name=name, frame=int(frames[rows[0]]))
    first = track.markers[0]
    x, y = pattern
    first.pattern_corners = ((-x, -y), (x, -y), (x, y), (-x, y))  # later markers take it over
    for row in rows.tolist():
        _add_marker(track, int(frames[row]), where[row], not shown[row], pattern)
    # After the last marker of a run the track would stay where it was: a muted marker ends it.
    ends = rows[np.flatnonzero(np.diff(np.r_[rows, len(frames)]) > 1)]
    for row in ends.tolist():
        _add_marker(track, int(frames[row + 1]), where[row], True, pattern)
    return track


def _add_marker(
    track: bpy.types.MovieTrackingTrack, frame: int, where: NDArray, mute: bool, pattern: tuple[float, float]
) -> None:
    marker = track.markers.insert_frame(frame)
    x, y = pattern
    marker.search_min, marker.search_max = (-3 * x, -3 * y), (3 * x, 3 * y)
    marker.co = where.tolist()  # insert_frame would clamp it to the picture
    marker.mute = mute


def set_lens(clip: bpy.types.MovieClip, camera: PlateCamera) -> bool:
    """Give a clip without a lens of its own that of a camera, so that it can be shown undistorted.

    Returns whether the clip now has a lens. A lens that changes, and one by ST map, is more than a clip can hold.
    """
    own = clip.tracking.camera
    if any(getattr(own, name) for names in _COEFFICIENTS.values() for name in names):
        return True
    coefficients = camera.lens_coefficients
    if camera.lens_model not in _LENSES or coefficients.ndim != 1 or not coefficients.any():
        return False
    if camera.lens_model == "nuke" and coefficients[2:].any():
        return False  # Blender's has no tangential part
    own.sensor_width = 36.0
    own.pixel_aspect = camera.pixel_aspect
    own.units = "PIXELS"
    own.focal_length_pixels = float(camera.fx[0])
    own.principal_point_pixels = (float(camera.cx[0]), float(camera.height - camera.cy[0]))
    own.distortion_model = _LENSES[camera.lens_model]  # type: ignore[assignment]
    for name, value in zip(_COEFFICIENTS[camera.lens_model], coefficients.tolist(), strict=False):
        setattr(own, name, -value if name in _FLIPPED else value)
    return True


def lens_document(clip: bpy.types.MovieClip) -> dict[str, Any] | None:
    """The lens that a clip was given, as a camera document names it; None without distortion."""
    own = clip.tracking.camera
    model = next(name for name, blender in _LENSES.items() if blender == own.distortion_model)
    coefficients = [float(getattr(own, name)) * (-1 if name in _FLIPPED else 1) for name in _COEFFICIENTS[model]]
    return {"model": model, "coefficients": coefficients} if any(coefficients) else None


def stored_path(path: Path) -> str:
    """A path relative to the .blend, where there is one and it can be."""
    try:
        return bpy.path.relpath(str(path)) if bpy.data.filepath else str(path)
    except ValueError:  # another drive
        return str(path)


def _quoted(name: str) -> str:
    return bpy.utils.escape_identifier(name)
