"""Corrections of a face: read off the markers, pinned and keyed by hand, cleared, handed to a new version of a job."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import bpy
import numpy as np

from .._vendor.facequery_protocol.errors import ProtocolError
from .._vendor.facequery_protocol.frames import FrameMap
from .._vendor.facequery_protocol.job import FILE, read_job, write_job
from ..core.corrections import Corrections, MarkerState, from_markers, shown_by_import
from ..core.errors import AddonError
from ..core.job_results import JobFolder, JobTracks, open_job
from ..core.new_job import next_version
from ..core.quality import Quality, quality_of
from ..core.space import FLIP, canonical_matrix
from .clip import frame_map
from .clip_state import FaceState, imported_face, track_names
from .jobs import jobs_folder

CORRECTIONS: Final = "corrections.json"
_LEFT_BEHIND: Final = ("*.mp4", "*.pc2", "export", "mattes*", "project*", "stmap*", CORRECTIONS)


@dataclass(frozen=True)
class Corrected:
    """The active face of a clip with what its job found."""

    clip: bpy.types.MovieClip
    face: FaceState
    job: JobFolder
    tracks: JobTracks
    frames: FrameMap

    def file_of(self, scene: bpy.types.Scene) -> int:
        """The file number of the scene's current frame. Raises AddonError outside of the shot."""
        row = int(self.frames.index(scene.frame_current, "scene"))
        if row < 0:
            raise AddonError("The shot has no such frame.", "Go to a frame of the shot.", "FQ780")
        return int(self.tracks.frames[row])


def corrected(clip: bpy.types.MovieClip) -> Corrected:
    """The clip's active face and its results. Raises AddonError."""
    face = imported_face(clip)
    job = open_job(Path(bpy.path.abspath(face.job)), face.view)
    tracks = job.tracks()
    return Corrected(clip, face, job, tracks, frame_map(clip, tracks.frames, tracks.fps))


_quality: dict[tuple[str, int, float], Quality | None] = {}


def quality(face: FaceState) -> Quality | None:
    """The quality of a face's results, read once; None when there are none."""
    if not face.job:
        return None
    folder = Path(bpy.path.abspath(face.job))
    key = (face.job, face.view, _changed(folder))
    if key not in _quality:
        _quality.clear()
        try:
            _quality[key] = quality_of(open_job(folder, face.view))
        except AddonError:
            _quality[key] = None
    return _quality[key]


def _changed(folder: Path) -> float:
    for name in ("fit.json", "tracks.json"):
        try:
            return os.stat(folder / name).st_mtime
        except OSError:
            continue
    return 0.0


def tracks_in(clip: bpy.types.MovieClip, face: FaceState) -> dict[str, bpy.types.MovieTrackingTrack | None]:
    """The face's tracks by the ids of their points, None for those that were deleted. Raises AddonError when the whole
    tracking object was."""
    target: bpy.types.MovieTrackingObject | None = clip.tracking.objects.get(face.tracking_object)
    if target is None:
        raise AddonError(
            "The tracking object of this face is gone.", "Choose its version in the Track panel again.", "FQ781"
        )
    found = {track.name: track for track in target.tracks}
    return {identifier: found.get(name) for identifier, name in track_names(face).items()}


def _marker(track: bpy.types.MovieTrackingTrack, frame: int) -> bpy.types.MovieTrackingMarker | None:
    return track.markers.find_frame(frame, exact=True)


def _pixels(marker: bpy.types.MovieTrackingMarker, tracks: JobTracks) -> tuple[float, float]:
    return float(marker.co[0]) * tracks.width, (1 - float(marker.co[1])) * tracks.height


def gathered(shown: Corrected) -> Corrections:
    """All corrections: those pinned and keyed, and what was moved, muted or deleted in the clip editor."""
    tracks = shown.tracks
    clip_frames = shown.frames.convert(tracks.frames, "file", "clip").tolist()
    markers: dict[str, list[MarkerState | None] | None] = {}
    for identifier, track in tracks_in(shown.clip, shown.face).items():
        if track is None:
            markers[identifier] = None
            continue
        states: list[MarkerState | None] = []
        for frame in clip_frames:
            marker = _marker(track, frame)
            if marker is None:
                states.append(None)
            else:
                states.append(MarkerState(_pixels(marker, tracks), marker.mute))
        markers[identifier] = states
    return Corrections.from_text(shown.face.corrections).joined(from_markers(tracks, markers))


def pin(shown: Corrected, file: int) -> int:
    """Pin the selected tracks where their markers stand in a frame. Returns how many; raises AddonError without any."""
    clip_frame = int(shown.frames.convert(file, "file", "clip"))
    pins: dict[tuple[int, str], tuple[float, float]] = {}
    for identifier, track in tracks_in(shown.clip, shown.face).items():
        marker = _marker(track, clip_frame) if track is not None and track.select else None
        if marker is not None:
            pins[file, identifier] = _pixels(marker, shown.tracks)
            marker.mute = False
    if not pins:
        raise AddonError("No track of this face is selected.", "Select tracks in the clip.", "FQ782")
    stored = Corrections.from_text(shown.face.corrections)
    shown.face.corrections = stored.joined(Corrections(pins, {})).text()
    return len(pins)


def key_pose(scene: bpy.types.Scene, shown: Corrected, file: int) -> None:
    """Key the pose of the fitted head as it stands in the scene. Raises AddonError when the head or camera is gone."""
    if shown.face.view != 1:
        raise AddonError("Poses are keyed before the camera of the first view.", "Open its clip.", "FQ783")
    head, camera = shown.face.head, shown.face.camera
    if head is None or camera is None or scene.objects.get(head.name) is not head:
        raise AddonError(
            "The fitted head is not in the scene.", "Choose its version in the Track panel again.", "FQ783"
        )
    depsgraph = bpy.context.evaluated_depsgraph_get()
    view = np.linalg.inv(np.array(camera.evaluated_get(depsgraph).matrix_world.normalized()))
    pose = FLIP @ view @ np.array(head.evaluated_get(depsgraph).matrix_world.normalized()) @ canonical_matrix()
    stored = Corrections.from_text(shown.face.corrections)
    rows = tuple(tuple(row) for row in pose[:3].tolist())
    shown.face.corrections = stored.joined(Corrections({}, {file: rows})).text()


def clear(shown: Corrected, first: int, last: int) -> int:
    """Forget all corrections from one file number to another: pins, poses, and markers moved, muted or deleted by hand.

    Returns how many frames had any.
    """
    before = gathered(shown)
    face, tracks = shown.face, shown.tracks
    cleared = {frame for frame in before.keyed if first <= frame <= last}
    face.corrections = Corrections.from_text(face.corrections).where(lambda f: not first <= f <= last).text()
    seen, columns = shown_by_import(tracks), {identifier: i for i, identifier in enumerate(tracks.ids)}
    rows = np.flatnonzero((tracks.frames >= first) & (tracks.frames <= last))
    clip_frames = shown.frames.convert(tracks.frames, "file", "clip")
    touched = {name for (frame, name) in before.pins if first <= frame <= last}
    touched |= {name for name, start, end in before.ignored if start <= last and end >= first}
    for identifier, track in tracks_in(shown.clip, face).items():
        if identifier not in touched or track is None:
            continue
        for row in rows.tolist():
            xy = tracks.xy[row, columns[identifier]]
            if not np.isfinite(xy).all():
                continue
            marker = _marker(track, int(clip_frames[row])) or track.markers.insert_frame(int(clip_frames[row]))
            marker.co = (float(xy[0]) / tracks.width, 1 - float(xy[1]) / tracks.height)
            marker.mute = not bool(seen[row, columns[identifier]])
    cleared |= {start for _, start, end in before.ignored if start <= last and end >= first}
    return len(cleared)


def next_job(shown: Corrected, corrections: Corrections) -> Path:
    """A new version of the face's job with the same tracks, into which the corrected fit goes. Returns its folder."""
    root = jobs_folder(shown.clip, shown.face)
    folder = next_version(root)
    try:
        shutil.copytree(shown.job.folder, folder, ignore=shutil.ignore_patterns(*_LEFT_BEHIND))
        (folder / FILE).unlink()
        write_job(folder, read_job(shown.job.folder))  # its relative paths, as seen from the new folder
        text = json.dumps(corrections.document(shown.face.view))
        (folder / CORRECTIONS).write_text(text, encoding="utf-8")
    except ProtocolError as error:
        raise AddonError(error.cause, error.next_step, error.code) from None
    except (OSError, shutil.Error) as error:
        raise AddonError(f'"{folder}" cannot be written ({error}).', "Free some space.", "FQ770") from None
    return folder
