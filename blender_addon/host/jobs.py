"""Jobs of this Blender: made from a clip, one of its faces and the scene's points; run by the backend; brought back."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ..core.errors import AddonError
from ..core.new_job import JobSettings, backend_space, create_job, folder_name, region_texts, sequence_pattern
from ..core.shot_files import file_number
from ..link.client import wait_for_endings
from ..link.job_run import JobRun, State
from ..link.lookup import Backend
from . import pump
from .backend import new_log, user_folder
from .camera_file import camera_document
from .clip import frame_map, stored_path
from .clip_state import FaceState, active_face, clip_state, face_of_number, the_face
from .compat import existing_fcurves
from .layouts import table_of
from .points import has_points


@dataclass(eq=False)
class Started:
    """A job that was started in this session. Clip and face may be gone by now, and so may the file."""

    run: JobRun
    clip: int  # the clip's number of this session, which outlives renaming
    face: int
    file: int  # which of the files that were open in this session
    tried: bool = False  # whether it was applied by itself, or could not be


_started: list[Started] = []
_file = 0


def run_of(clip: bpy.types.MovieClip, face: FaceState | None = None) -> JobRun | None:
    """The job of a clip's face, the active one if none is given: running or done, in this session."""
    face = face or active_face(clip)
    if face is None:
        return None
    folder = _pending(face)
    for started in reversed(_started):
        if (started.clip, started.face) == (clip.session_uid, face.number) and started.file == _file:
            return started.run
        if folder is not None and started.run.folder == folder:
            return started.run
    return None


def _pending(face: FaceState) -> Path | None:
    return Path(bpy.path.abspath(face.pending)) if face.pending else None


def jobs_folder(clip: bpy.types.MovieClip, face: FaceState) -> Path:
    """Where the jobs of a face go: beside the .blend, or in the user's folder of the extension while it is unsaved."""
    root = Path(bpy.path.abspath("//facequery")) if bpy.data.filepath else user_folder() / "jobs"
    return root / folder_name(clip.name) / f"face{face.number}"


def make_job(scene: bpy.types.Scene, clip: bpy.types.MovieClip, backend: Backend, root: Path | None = None) -> Path:
    """Write a job for the active face of a clip, in the face's folder or in `root`. Returns the job's folder.

    Raises AddonError.
    """
    state, face = clip_state(clip), the_face(clip)
    clips = [clip, *(view.clip for view in state.views if view.clip is not None)]
    points = None
    if has_points(scene):
        table, groups = table_of(scene)
        points = table.document("points", groups) if len(table) else None
    frames = clip_files(clip)
    if state.limit_frames:
        if state.first > state.last:
            raise AddonError("The range of frames ends before it begins.", "Correct First and Last.", "FQ771")
        frames = (state.first, state.last)
    wanted = {"face": state.fit_face, "skull": state.fit_skull, "jaw": state.fit_jaw}
    sequence = clip.source == "SEQUENCE"
    space: Any = clip.colorspace_settings
    settings = JobSettings(
        shots=tuple(_shot(one) for one in clips),
        frames=frames,
        layouts=("ibug68",) if state.face_layout or points is None else (),
        points=points,
        fits=tuple(name for name, want in wanted.items() if want),
        face=face.which,
        regions=regions_of(scene, clip, face, frames) if face.use_region else (),
        cameras=_cameras(scene, clips, frames),
        colorspace=backend_space(space.name),
        exposure=state.exposure,
        allow_gaps=state.allow_gaps,
        fps=scene.render.fps / scene.render.fps_base if sequence else None,  # files do not say theirs
        actor=bpy.path.abspath(face.actor) if face.actor else "",
    )
    return create_job(root or jobs_folder(clip, face), settings, backend.paths)


def _shot(clip: bpy.types.MovieClip) -> str:
    path = Path(bpy.path.abspath(clip.filepath))
    if not path.is_file():
        raise AddonError(f'The plate "{path}" is not there.', "Choose the clip's file again.", "FQ757")
    return sequence_pattern(path) if clip.source == "SEQUENCE" else str(path)


def clip_files(clip: bpy.types.MovieClip) -> tuple[int, int] | None:
    """First and last file number of a sequence; None for video, which counts from 1 and knows its end."""
    if clip.source != "SEQUENCE":
        return None
    # The clip begins at its file; earlier files of the folder do not belong to it.
    first = (file_number(Path(bpy.path.abspath(clip.filepath))) or 1) + clip.frame_offset
    return first, first + clip.frame_duration - 1


def _numbers(clip: bpy.types.MovieClip, frames: tuple[int, int] | None) -> tuple[list[int], list[int]]:
    """File numbers and scene frames of a range of a clip."""
    first, last = frames or (1, max(1, clip.frame_duration))
    files = np.arange(first, last + 1)
    return files.tolist(), frame_map(clip, files).convert(files, "file", "scene").tolist()


def regions_of(
    scene: bpy.types.Scene, clip: bpy.types.MovieClip, face: FaceState, frames: tuple[int, int] | None
) -> tuple[str, ...]:
    """The regions that a job is given for a face whose region may be animated. Raises AddonError for an empty one."""
    files, scene_frames = _numbers(clip, frames)
    boxes = [region_at(clip, face, frame) for frame in scene_frames]
    if any(box[2] <= 0 or box[3] <= 0 for box in boxes):
        raise AddonError("The face's region is empty.", "Draw it over the face, or switch it off.", "FQ778")
    return region_texts(files, boxes)


def region_at(clip: bpy.types.MovieClip, face: FaceState, scene_frame: float) -> tuple[float, float, float, float]:
    """The region of a face in a scene frame, by its f-curves where it has some."""
    box = list(face.region)
    path = face.path_from_id("region")
    for curve in existing_fcurves(clip):
        if curve.data_path == path and not curve.is_empty:
            box[curve.array_index] = curve.evaluate(scene_frame)
    return box[0], box[1], box[2], box[3]


def _cameras(
    scene: bpy.types.Scene, clips: list[bpy.types.MovieClip], frames: tuple[int, int] | None
) -> tuple[dict[str, Any], ...]:
    cameras = [clip_state(clip).camera for clip in clips]
    if not any(cameras):
        return ()
    if not all(cameras):
        raise AddonError(
            "Some of the clips have a camera and others have none.", "Choose one for every clip, or for none.", "FQ777"
        )
    documents = []
    for camera, clip in zip(cameras, clips, strict=True):
        files, scene_frames = _numbers(clip, frames)
        documents.append(camera_document(scene, camera, clip, files, scene_frames))
    return tuple(documents)


def start(clip: bpy.types.MovieClip, folder: Path, backend: Backend, method: str = "job.run", **params: Any) -> JobRun:
    """Start the backend on a job's folder; returns at once. Raises AddonError."""
    face, running = the_face(clip), run_of(clip)
    if running is not None and running.active:
        raise AddonError("This face is being tracked already.", "Cancel it first.", "FQ772")
    if running is not None and running.folder == folder:
        wait_for_endings()  # a job has one process at a time: that of before may still be on its way out
    run = JobRun(folder, method, **params)
    run.start(backend, new_log())
    _started[:] = [one for one in _started if one.run is not running]
    _started.append(Started(run, clip.session_uid, face.number, _file))
    face.pending = stored_path(folder)
    pump.start()
    return run


def _turn() -> tuple[bool, bool]:
    changed = [one.run.pump() for one in _started]
    if any(changed):
        apply_by_itself()
    return any(changed), any(one.run.active for one in _started)


def target_of(started: Started) -> tuple[bpy.types.MovieClip, FaceState] | None:
    """The clip and the face that a job was started for; None when one of them, or the file, is gone."""
    if started.file != _file:
        return None
    for clip in bpy.data.movieclips:
        face = face_of_number(clip, started.face)
        if clip.session_uid == started.clip and face is not None:
            return clip, face
    return None


def orphans() -> list[JobRun]:
    """Jobs of this session that are done but whose clip or face is gone; their results are in their folders."""
    return [one.run for one in _started if one.run.state is State.READY and target_of(one) is None]


def apply_by_itself() -> int:
    """Bring finished jobs into the file whose artist cannot be disturbed by it. Returns how many.

    That is: Object Mode, no render running, the file that the job was started from, and the artist wants it.
    """
    running: Any = bpy.app.is_job_running
    if not wanted() or bpy.context.mode != "OBJECT" or any(running(kind) for kind in ("RENDER", "OBJECT_BAKE")):
        return 0
    count = 0
    for one in list(_started):
        target = target_of(one)
        if one.run.state is not State.READY or target is None or one.tried:
            continue
        one.tried = True
        # True: an undo step, as if the artist had pressed the button. What cannot be applied waits for that button.
        with contextlib.suppress(RuntimeError):
            bpy.ops.facequery.apply_results("EXEC_DEFAULT", True, clip=target[0].name, face=one.face)  # type: ignore[attr-defined]
            count += 1
    return count


def _never() -> bool:
    return False


wanted: Callable[[], bool] = _never  # whether the artist wants results to be applied by themselves


def apply_when(asked: Callable[[], bool] | None) -> None:
    """Have results applied by themselves while a function says so; None: never."""
    global wanted
    wanted = asked or _never


def unfinished(clip: bpy.types.MovieClip) -> Path | None:
    """The folder of the face's job that was started, maybe in another session, and neither applied nor deleted."""
    face = active_face(clip)
    folder = _pending(face) if face is not None else None
    return folder if folder is not None and (folder / "job.json").is_file() else None


def ready(clip: bpy.types.MovieClip) -> bool:
    """Whether the job of the active face is done and waits to be applied."""
    run = run_of(clip)
    return run is not None and run.state is State.READY


def waits(run: JobRun) -> bool:
    """Whether a job's results were not applied yet."""
    return any(one.run is run for one in _started)


def applied(run: JobRun, face: FaceState | None) -> None:
    """Note that a finished job was brought into the file."""
    _started[:] = [one for one in _started if one.run is not run]
    if face is not None:
        face.pending = ""


def versions(clip: bpy.types.MovieClip, face: FaceState) -> list[Path]:
    """The folders of a face's jobs that have results, the newest first."""
    found = jobs_folder(clip, face).glob("v[0-9][0-9][0-9]")
    done = ("tracks.json", "view1/tracks.json", "face.npz")
    return sorted((path for path in found if any((path / name).is_file() for name in done)), reverse=True)


@bpy.app.handlers.persistent
def _count_files(*_: Any) -> None:
    global _file
    _file += 1


def register() -> None:
    pump.add(_turn)
    bpy.app.handlers.load_post.append(_count_files)


def unregister() -> None:
    bpy.app.handlers.load_post.remove(_count_files)
    pump.remove(_turn)
    for one in _started:
        one.run.close()
    _started.clear()
