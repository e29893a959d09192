"""Operators of the connection: check it, read its log, copy a report, let it go."""

import platform
import secrets
import tempfile
from pathlib import Path
from typing import Any

import bpy
from bpy.props import StringProperty

from ..core.assets import extension_version
from ..core.errors import AddonError
from ..host import backend, jobs
from ..host.clip_state import active_face
from ..host.registration import registration
from ..link.lookup import Backend, same_release
from ..prefs import chosen_backend, preferences
from .context import edited_clip
from .reporting import reports_errors
from .waiting import Waits

_LOG_LINES = 60


class CheckBackend(Waits):
    bl_idname = "facequery.check_backend"
    bl_label = "Check"
    bl_description = (
        "Start the backend; show its version, its device, its weights and their licence; "
        "prove that it sees the files of this computer"
    )

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        prefs = preferences(context)
        if prefs:
            prefs.checked = prefs.problem = ""
        try:
            chosen = chosen_backend(context)
            nonce = _Nonce()
            asked: dict[str, Any] = {"nonce": chosen.paths.to_remote(nonce.path)}
            clip = edited_clip(context)
            plate = Path(bpy.path.abspath(clip.filepath)) if clip is not None else None
            if plate is not None and plate.is_file():
                asked["shot"] = chosen.paths.to_remote(plate)
            backend.release()  # a check is of a process that starts anew
            call = backend.ask(
                chosen,
                "check",
                "hello",
                asked,
                lambda answer: _greeted(chosen, nonce, answer),
                clean_up=nonce.remove,
            )
            if not self.wait:
                return {"FINISHED"}
            backend.wait(call, self.timeout)
            about = backend.call_of("about")
            if about is not None:
                backend.wait(about, self.timeout)
        except AddonError as error:
            if prefs:
                prefs.problem = str(error)
            raise
        self.report({"INFO"}, _said[-1].replace("\n", "; "))
        return {"FINISHED"}


_said: list[str] = []
_FOUND = {"preference": "as set here", "registry": "as install.py wrote down", "PATH": "on the PATH"}


def _greeted(chosen: Backend, nonce: "_Nonce", answer: dict[str, Any]) -> None:
    """The backend is there. Takes nothing of the operator, which is gone when the answer comes."""
    version, own = str(answer.get("facequery")), extension_version()
    if not same_release(version, own):
        raise AddonError(
            f"The backend has version {version}, the extension {own}.",
            "Install the same release of both.",
            "FQ715",
        )
    if answer.get("nonce") != nonce.text:
        raise AddonError(
            "The backend reads other files under the paths of this computer.",
            "Check the rows of folders in the preferences.",
            "FQ398",
        )
    lines = [f"FaceQuery {version}, {_FOUND[chosen.source]}: {chosen.line}"]
    if "shot" in answer:
        lines.append("It reads the plate: {width} x {height}".format(**answer["shot"]))
    backend.ask(chosen, "about", "about", {}, lambda about: _tell([*lines, *_about_lines(about)]))


def _tell(lines: list[str]) -> None:
    _said[:] = ["\n".join(lines)]
    prefs = preferences(bpy.context)
    if prefs:
        prefs.checked = _said[0]


def _about_lines(about: dict[str, Any]) -> list[str]:
    lines = [f"It computes on {about.get('device_title')} ({about.get('device')}), PyTorch {about.get('torch')}"]
    for card in about.get("weights", []):
        lines.append(f"Weights {card.get('name')}: {card.get('licence')}")
    return lines


class _Nonce:
    """A small file that the backend must be able to read, so that its paths are known to be right."""

    def __init__(self) -> None:
        self.text = secrets.token_hex(16)
        with backend.shared_folder() as root:
            self._folder = tempfile.TemporaryDirectory(dir=root, prefix=".facequery-")
            self.path = Path(self._folder.name) / "nonce"
            self.path.write_text(self.text, encoding="utf-8")

    def remove(self) -> None:
        self._folder.cleanup()


class OpenLog(bpy.types.Operator):
    bl_idname = "facequery.open_log"
    bl_label = "Open Log"
    bl_description = "Show what the backend wrote while it worked"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if backend.latest_log() is None:
            cls.poll_message_set("The backend was not started yet")
            return False
        return True

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        return bpy.ops.wm.path_open(filepath=str(backend.latest_log()))


class CopyReport(bpy.types.Operator):
    bl_idname = "facequery.copy_report"
    bl_label = "Copy Report"
    bl_description = "Copy what the developers need to know about an error: versions, system, the last lines of the log"

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        context.window_manager.clipboard = report_text(context)
        self.report({"INFO"}, "The report is in the clipboard")
        return {"FINISHED"}


def report_text(context: bpy.types.Context) -> str:
    """The report on this Blender and its backend, as text."""
    prefs, clip = preferences(context), edited_clip(context)
    lines = [
        f"FaceQuery {extension_version()} in Blender {bpy.app.version_string}",
        f"System: {platform.platform()}, Python {platform.python_version()}",
        f"Backend: {prefs.backend if prefs and prefs.backend else 'automatic'}",
    ]
    if _said:
        lines += _said[0].splitlines()
    if prefs and prefs.problem:
        lines.append(f"Error: {prefs.problem}")
    run = jobs.run_of(clip) if clip is not None and active_face(clip) else None
    if run is not None:
        lines.append(f"Job: {run.state.value} {run.step} {run.done}/{run.total}")
        if run.error is not None:
            lines.append(f"Error: {run.error}")
        lines += run.log[-_LOG_LINES:]
    log = backend.latest_log()
    if log is not None:
        lines += ["Log:", *log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]]
    return "\n".join(lines)


class ReleaseBackend(bpy.types.Operator):
    bl_idname = "facequery.release_backend"
    bl_label = "Release GPU"
    bl_description = "End the backend that is kept ready, so that its memory and the GPU are free; it starts by itself"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not backend.warm():
            cls.poll_message_set("No backend is kept ready")
            return False
        return True

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        backend.release()
        return {"FINISHED"}


class CancelCall(bpy.types.Operator):
    bl_idname = "facequery.cancel_call"
    bl_label = "Cancel"
    bl_description = "Stop what the backend does for this panel; the second time ends it at once"

    topic: StringProperty(name="Topic", options={"SKIP_SAVE"})

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        backend.cancel(self.topic)
        return {"FINISHED"}


register, unregister = registration(CancelCall, CheckBackend, OpenLog, CopyReport, ReleaseBackend)
