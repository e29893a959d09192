"""What Cycles is asked to render: geometry, materials, light and camera of a few frames, as files on disk.

A take is written by NumPy code and read inside Blender, so it holds no project types: arrays in one `.npz`, the rest in
one `.json`. All geometry is in camera space (OpenCV axes: x right, y down, z forward), metres.
"""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class TakeMesh:
    """One mesh that moves.

    vertices (F, V, 3) camera space, metres. faces (N, 4) int32, the last index is -1 for a triangle. uv (N, 4, 2) the
    corners' texture coordinates, v up, or None. material: a key of `Take.materials`. tint (V, 3) numbers by vertex that
    materials read as they say, or None. rest (V, 3): where procedural detail sticks; None for the first frame.
    """

    name: str
    vertices: np.ndarray
    faces: np.ndarray
    material: str
    uv: np.ndarray | None = None
    tint: np.ndarray | None = None
    rest: np.ndarray | None = None
    smooth: bool = True
    casts_shadow: bool = True


@dataclass(frozen=True)
class TakeStrands:
    """Hair strands: points (F, S, P, 3) camera space in metres, from root to tip; radius (S, P) metres."""

    name: str
    points: np.ndarray
    radius: np.ndarray
    material: str


@dataclass(frozen=True)
class TakeCamera:
    """A pinhole in pixels: one fx, fy, cx, cy per frame (F,); depth of field by f-number at `focus` metres."""

    width: int
    height: int
    fx: np.ndarray
    fy: np.ndarray
    cx: np.ndarray
    cy: np.ndarray
    f_number: float = 0.0
    focus: float = 1.0

    @staticmethod
    def fixed(width: int, height: int, fx: float, fy: float, cx: float, cy: float, frames: int = 1) -> "TakeCamera":
        """A camera that stays as it is over a number of frames."""
        a, b, c, d = (np.full(frames, value) for value in (fx, fy, cx, cy))
        return TakeCamera(width, height, a, b, c, d)


@dataclass(frozen=True)
class Take:
    """Frames to render. `frames` are the numbers in the file names; `velocity` is by central differences at `fps`.

    materials: name -> {"kind": one of blender_materials.KINDS, ...parameters; values that end in .png/.jpg are paths}.
    lights: list of {"position": camera space, "target", "size", "power" watts, "color"}. environment: {"light": path,
    "background": path or None, "rotation": radians about the up axis, or "matrix" (3, 3): Blender's world to the map,
    "strength", "backdrop_strength"}.
    output: {"samples", "min_samples", "threshold", "denoise", "bounces", "shutter" in frames, "exposure", "look",
    "view", "threads", "seed", "only": frame numbers to render, none for all}.
    """

    frames: np.ndarray
    camera: TakeCamera
    meshes: list[TakeMesh]
    strands: list[TakeStrands] = field(default_factory=list)
    materials: dict[str, dict[str, Any]] = field(default_factory=dict)
    lights: list[dict[str, Any]] = field(default_factory=list)
    environment: dict[str, Any] = field(default_factory=dict)
    output: dict[str, Any] = field(default_factory=dict)
    fps: float = 24.0

    def save(self, folder: Path) -> None:
        """Write `take.npz` and `take.json` into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, np.ndarray] = {"frames": np.asarray(self.frames, np.int64)}
        document: dict[str, Any] = {
            "materials": self.materials,
            "lights": self.lights,
            "environment": self.environment,
            "output": self.output,
            "fps": self.fps,
            "meshes": [],
            "strands": [],
            "camera": {},
        }
        for item in dataclasses.fields(TakeCamera):
            value = getattr(self.camera, item.name)
            if isinstance(value, np.ndarray):
                arrays[f"camera.{item.name}"] = value
            else:
                document["camera"][item.name] = value
        groups: tuple[tuple[str, Sequence[TakeMesh | TakeStrands]], ...] = (
            ("meshes", self.meshes),
            ("strands", self.strands),
        )
        for kind, group in groups:
            for index, thing in enumerate(group):
                entry: dict[str, Any] = {}
                for item in dataclasses.fields(thing):
                    value = getattr(thing, item.name)
                    if isinstance(value, np.ndarray):
                        arrays[f"{kind}.{index}.{item.name}"] = value
                    else:
                        entry[item.name] = value
                document[kind].append(entry)
        np.savez(folder / "take.npz", **arrays)
        (folder / "take.json").write_text(json.dumps(document, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Take":
        """Read what `save` wrote."""
        document = json.loads((folder / "take.json").read_text(encoding="utf-8"))
        with np.load(folder / "take.npz", allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}

        def gather(prefix: str, entry: dict[str, Any]) -> dict[str, Any]:
            found = {name[len(prefix) :]: value for name, value in arrays.items() if name.startswith(prefix)}
            return entry | found

        return cls(
            frames=arrays["frames"],
            camera=TakeCamera(**gather("camera.", document["camera"])),
            meshes=[TakeMesh(**gather(f"meshes.{i}.", entry)) for i, entry in enumerate(document["meshes"])],
            strands=[TakeStrands(**gather(f"strands.{i}.", entry)) for i, entry in enumerate(document["strands"])],
            materials=document["materials"],
            lights=document["lights"],
            environment=document["environment"],
            output=document["output"],
            fps=document["fps"],
        )
