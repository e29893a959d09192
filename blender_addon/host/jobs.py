"""Jobs of this Blender: made from a clip and the scene's points, run by the backend, drained by one timer."""

from pathlib import Path

import bpy

from ..core.errors import AddonError
from ..core.new_job import JobSettings, create_job, folder_name, sequence_pattern
from ..core.shot_files import file_number
from ..link.client import log_file
from ..link.job_run import JobRun, State
from ..link.lookup import Backend
from .clip import stored_path
from .layouts import table_of
from .points import has_points
from .state import clip_state, redraw

_EVERY = 0.2  # seconds between two looks at the backend
_runs: dict[int, JobRun] = {}  # by the clip's number of this session, which outlives renaming


def run_of(clip: bpy.types.MovieClip) -> JobRun | None:
    """The clip's job of this session, running or done."""
    return _runs.get(clip.session_uid)


def jobs_folder(clip: bpy.types.MovieClip, face: int) -> Path:
    """Where a clip's jobs go: beside the .blend, or in the user's folder of the extension while it is unsaved."""
    root = Path(bpy.path.abspath("//facequery")) if bpy.data.filepath else Path(user_folder()) / "jobs"
    return root / folder_name(clip.name) / f"face{face}"


def user_folder() -> str:
    """The extension's own folder of the user; in a checkout, a temporary one of this Blender."""
    package = __package__.rpartition(".")[0] if __package__ else ""
    try:
        return bpy.utils.extension_path_user(package, create=True)
    except ValueError:  # not installed as an extension
        return str(Path(bpy.app.tempdir) / "facequery")


def make_job(scene: bpy.types.Scene, clip: bpy.types.MovieClip) -> Path:
    """Write a job for a clip by its settings. Returns the job's folder; raises AddonError."""
    state = clip_state(clip)
    path = Path(bpy.path.abspath(clip.filepath))
    if not path.is_file():
        raise AddonError(f'The plate "{path}" is not there.', "Choose the clip's file again.", "FQ757")
    points = None
    if has_points(scene):
        table, groups = table_of(scene)
        points = table.document("points", groups) if len(table) else None
    frames = None
    if state.limit_frames:
        if state.first > state.last:
            raise AddonError("The range of frames ends before it begins.", "Correct First and Last.", "FQ771")
        frames = (state.first, state.last)
    wanted = {"face": state.fit_face, "skull": state.fit_skull, "jaw": state.fit_jaw}
    fits = tuple(name for name, want in wanted.items() if want)
    layouts = ("ibug68",) if state.face_layout or points is None else ()
    sequence = clip.source == "SEQUENCE"
    if sequence and frames is None:
        # The clip begins at its file; earlier files of the folder do not belong to it.
        first = (file_number(path) or 1) + clip.frame_offset
        frames = (first, first + clip.frame_duration - 1)
    settings = JobSettings(
        shot=sequence_pattern(path) if sequence else str(path),
        frames=frames,
        layouts=layouts,
        points=points,
        fits=fits,
        face=state.face,
        region=state.region.strip(),
        fps=scene.render.fps / scene.render.fps_base if sequence else None,  # files do not say theirs
    )
    return create_job(jobs_folder(clip, state.face), settings)


def start(clip: bpy.types.MovieClip, folder: Path, backend: Backend) -> JobRun:
    """Start the backend on a job's folder; returns at once. Raises AddonError."""
    running = run_of(clip)
    if running is not None and running.active:
        raise AddonError("This clip is being tracked already.", "Cancel it first.", "FQ772")
    run = JobRun(folder)
    run.start(backend, log_file(user_folder()))
    _runs[clip.session_uid] = run
    clip_state(clip).pending = stored_path(folder)
    if not bpy.app.background and not bpy.app.timers.is_registered(_tick):
        bpy.app.timers.register(_tick, first_interval=_EVERY)
    return run


def pump() -> bool:
    """Take what all backends have said; a plain function that a timer and a test may call. Whether any is at work."""
    changed = [run.pump() for run in _runs.values()]
    if any(changed):
        redraw()
    return any(run.active for run in _runs.values())


def _tick() -> float | None:
    return _EVERY if pump() else None


def unfinished(clip: bpy.types.MovieClip) -> Path | None:
    """The folder of the clip's job that was started, maybe in another session, and neither applied nor deleted."""
    pending = clip_state(clip).pending
    folder = Path(bpy.path.abspath(pending)) if pending else None
    return folder if folder is not None and (folder / "job.json").is_file() else None


def ready(clip: bpy.types.MovieClip) -> bool:
    """Whether the clip's job is done and waits to be applied."""
    run = run_of(clip)
    return run is not None and run.state is State.READY


def applied(clip: bpy.types.MovieClip) -> None:
    """Note that the clip's finished job was brought into the file."""
    _runs.pop(clip.session_uid, None)
    clip_state(clip).pending = ""


def register() -> None:
    pass


def unregister() -> None:
    # A timer that stays registered keeps Blender from ending.
    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)
    for run in _runs.values():
        run.close()
    _runs.clear()
