"""What operators have in common that let the backend write files into a job's folder."""

from typing import Any

import bpy
from bpy.props import BoolProperty

from ..host import backend, correcting
from ..prefs import chosen_backend
from .context import NeedsResults, edited_clip
from .reporting import reports_errors
from .waiting import Waits

_THERE = ("FQ501", "FQ620")  # the backend's numbers for files that are there already


def _expect_files(answer: Any) -> None:
    if not isinstance(answer["files"], list):
        raise TypeError("no list of files")


class WritesFiles(NeedsResults, Waits):
    """An operator that has the backend write files into the job's folder."""

    topic = ""
    method = ""

    overwrite: BoolProperty(name="Overwrite", description="Replace what was written before")

    def params(self, context: bpy.types.Context, shown: correcting.Corrected) -> dict[str, Any]:
        """What the backend is asked for besides the folder. Raises AddonError."""
        raise NotImplementedError

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        chosen, shown = chosen_backend(context), correcting.corrected(edited_clip(context))
        asked = {**self.params(context, shown), "folder": chosen.paths.to_remote(shown.job.folder)}
        call = backend.ask(chosen, self.topic, self.method, {**asked, "overwrite": self.overwrite}, _expect_files)
        if self.wait:
            backend.wait(call, self.timeout)
            for note in call.result.get("notes", []):
                self.report({"WARNING"}, str(note))
            self.report({"INFO"}, f"{len(call.result['files'])} files written")
        return {"FINISHED"}

    def panel_settings(self, context: bpy.types.Context) -> None:
        """Take over the settings of the panel, all but whether to replace files."""

    def from_panel(self, context: bpy.types.Context) -> None:
        self.panel_settings(context)
        call = backend.call_of(self.topic)
        # Pressed again after it was refused because of what is there, the artist means it.
        refused = call is not None and call.error is not None and call.error.code in _THERE
        self.overwrite = refused and call is not None and call.params.get("format") == getattr(self, "format", None)
