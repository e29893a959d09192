"""Operators that make many points at once: painted, dense between chosen ones, in the volume."""

import contextlib
import tempfile
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from bpy.props import BoolProperty, IntProperty

from ..core.errors import AddonError
from ..host import backend, sampling
from ..host import points as host_points
from ..host.head import has_head
from ..host.registration import registration
from ..host.state import scene_state
from ..prefs import chosen_backend
from .context import NeedsHead, NeedsPoints
from .reporting import reports_errors
from .waiting import FromPanel, Waits


class PaintWeights(NeedsHead):
    bl_idname = "facequery.paint_weights"
    bl_label = "Paint"
    bl_description = (
        "Paint with Blender's weight brushes where points are wanted and how densely, "
        "on the skin or on the part of the head that is active; press again to stop"
    )
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        if context.mode == "PAINT_WEIGHT":
            bpy.ops.object.mode_set(mode="OBJECT")
            return {"FINISHED"}
        if context.mode != "OBJECT":
            raise AddonError("Painting begins in Object Mode.", "Leave the current mode.", "FQ746")
        part = sampling.paintable(context.scene, context.view_layer.objects.active)
        if part.hide_viewport or part.hide_get():
            raise AddonError(f'"{part.name}" is hidden.', "Show it in the Head panel.", "FQ732")
        for obj in context.selected_objects:
            obj.select_set(False)
        part.select_set(True)
        context.view_layer.objects.active = part
        bpy.ops.object.mode_set(mode="WEIGHT_PAINT")
        return {"FINISHED"}


class PointsFromWeights(NeedsHead, FromPanel):
    bl_idname = "facequery.points_from_weights"
    bl_label = "Points from Paint"
    bl_description = "Place well-spaced points where the head is painted, the denser the stronger it is painted"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    count: IntProperty(name="Points", description="How many", default=200, min=1, max=20000, soft_max=5000)
    seed: IntProperty(name="Seed", description="Another number places them otherwise", min=0)
    symmetric: BoolProperty(name="Symmetric", description="The same on both sides of the head")

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        count = sampling.add_by_weight(context.scene, self.count, self.seed, self.symmetric)
        self.report({"INFO"}, f"{count:,} points added")
        return {"FINISHED"}

    def from_panel(self, context: bpy.types.Context) -> None:
        state = scene_state(context.scene)
        self.count, self.symmetric = state.sample_count, state.symmetric


class FillPoints(NeedsPoints, FromPanel):
    bl_idname = "facequery.fill_points"
    bl_label = "Fill Between"
    bl_description = (
        "Fill the skin between the selected points: every round triangulates them and adds the middle of each triangle"
    )
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    rounds: IntProperty(name="Rounds", description="Each about triples the number of points", default=1, min=1, max=4)
    symmetric: BoolProperty(name="Symmetric", description="Add the missing mirror images")

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        count = sampling.add_dense(context.scene, self.rounds, self.symmetric)
        self.report({"INFO"}, f"{count:,} points added")
        return {"FINISHED"}

    def from_panel(self, context: bpy.types.Context) -> None:
        state = scene_state(context.scene)
        self.rounds, self.symmetric = state.rounds, state.symmetric


class FillVolume(NeedsPoints, Waits):
    bl_idname = "facequery.fill_volume"
    bl_label = "Fill Volume"
    bl_description = (
        "Fill the soft tissue between the selected points of the skin and those of the bone, "
        "or the bone under them, through the backend"
    )
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    rounds: IntProperty(name="Rounds", description="Each adds the middles of all cells", default=1, min=1, max=4)
    symmetric: BoolProperty(name="Symmetric", description="Add the missing mirror images")

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        skin, bone = sampling.volume_seeds(host_points.read(host_points.points_of(context.scene)))
        chosen = chosen_backend(context)
        files = _Files()
        params: dict[str, Any] = {"rounds": self.rounds}
        for name, array in (("skin", skin), ("bone", bone), ("out", None)):
            params[name] = chosen.paths.to_remote(files.write(name, array))
        scene, symmetric, push = context.scene.name, self.symmetric, not self.wait
        call = backend.ask(
            chosen,
            "volume",
            "sample.volume",
            params,
            lambda _: _add_volume(scene, files, symmetric, push),
            clean_up=files.remove,
        )
        if self.wait:
            backend.wait(call, self.timeout)
        return {"FINISHED"}

    def from_panel(self, context: bpy.types.Context) -> None:
        state = scene_state(context.scene)
        self.rounds, self.symmetric = state.rounds, state.symmetric


class _Files:
    """Arrays on their way to the backend and back, in a folder that both sides see."""

    def __init__(self) -> None:
        with backend.shared_folder() as root:
            self._folder = tempfile.TemporaryDirectory(dir=root, prefix=".facequery-")

    def write(self, name: str, array: np.ndarray | None) -> Path:
        path = Path(self._folder.name) / f"{name}.npy"
        if array is not None:
            np.save(path, array)
        return path

    def read(self, name: str) -> np.ndarray:
        try:
            return np.load(Path(self._folder.name) / f"{name}.npy", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise AddonError(f"The backend's points cannot be read ({error}).", "Try again.", "FQ747") from None

    def remove(self) -> None:
        with contextlib.suppress(OSError):
            self._folder.cleanup()


def _add_volume(scene_name: str, files: _Files, symmetric: bool, push_undo: bool) -> None:
    positions = files.read("out")
    scene: bpy.types.Scene | None = bpy.data.scenes.get(scene_name)
    if scene is None or not has_head(scene):
        return  # deleted meanwhile
    if not len(positions):
        raise AddonError("There is no room between these points.", "Select points over soft tissue.", "FQ745")
    sampling.add_positions(scene, positions.astype(np.float64), "volume", symmetric)
    if push_undo:
        bpy.ops.ed.undo_push(message="Fill Volume")


register, unregister = registration(PaintWeights, PointsFromWeights, FillPoints, FillVolume)
