"""What a fit gives back, and its files: face.npz, skull.npz, jaw.npz, camera.json, fit.json."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from facequery_protocol.results import FACE, RIGID
from numpy.typing import ArrayLike, NDArray

from facequery.errors import DAMAGED, UserError
from facequery.files import check_shapes, load_arrays, load_json, save_arrays, save_text
from facequery.geometry.cameras import Camera

GOOD, DOUBTFUL, BRIDGED = "good", "doubtful", "bridged"


@dataclass(frozen=True, eq=False)
class FaceFit:
    """The face of a shot: skin, eyes, teeth and mouth of the head, without the bones.

    `vertices` (F, V, 3) camera space, metres, float32; `triangles` (T, 3); `identity` (K,); `expression` (F, 52) in
    [0, 1]; `expression_names` (52); `eye_rotation` (F, 2, 3, 3) left and right eye, canonical axes; `rotation`
    (F, 3, 3) and `translation` (F, 3) take canonical to camera space; `frames` (F,) file numbers; `offsets` (V', 3)
    metres over all vertices of the head: shape beyond the identity basis, zero where nothing was learned.
    """

    vertices: NDArray[np.float32]
    triangles: NDArray[np.int32]
    identity: NDArray[np.float32]
    expression: NDArray[np.float32]
    expression_names: tuple[str, ...]
    eye_rotation: NDArray[np.float32]
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    frames: NDArray[np.int64]
    offsets: NDArray[np.float32]

    def save(self, path: Path) -> None:
        """Write the .npz."""
        arrays = {name: getattr(self, name) for name in self.__dataclass_fields__}
        save_arrays(path, **arrays | {"expression_names": np.array(self.expression_names)})

    @staticmethod
    def load(path: Path) -> "FaceFit":
        """Read what `save` wrote. Raises UserError when the file is not one."""
        arrays = _read(path, FACE)
        names = tuple(str(name) for name in arrays.pop("expression_names"))
        return FaceFit(expression_names=names, **arrays)


@dataclass(frozen=True, eq=False)
class RigidFit:
    """A rigid part of the shot, skull or jaw: `vertices` (V, 3) canonical metres with the person's identity,
    `triangles` (T, 3), and per frame `rotation` (F, 3, 3) and `translation` (F, 3), canonical to camera space;
    `frames` (F,) file numbers."""

    vertices: NDArray[np.float32]
    triangles: NDArray[np.int32]
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    frames: NDArray[np.int64]

    def save(self, path: Path) -> None:
        """Write the .npz."""
        save_arrays(path, **{name: getattr(self, name) for name in self.__dataclass_fields__})

    @staticmethod
    def load(path: Path) -> "RigidFit":
        """Read what `save` wrote. Raises UserError when the file is not one."""
        return RigidFit(**_read(path, RIGID))

    def placed(self, frame: int) -> NDArray[np.float64]:
        """(V, 3) camera space at array index `frame`."""
        return self.vertices @ self.rotation[frame].T + self.translation[frame]


@dataclass(frozen=True, eq=False)
class FitQuality:
    """How far a fit is to be trusted.

    Per frame: `reprojection` px, root mean square over what is seen, weighted by confidence; `landmarks`, how many had
    a say; `rotation_sigma` degrees, `depth_sigma` metres and `jaw_sigma` (weight of jawOpen), standard deviations given
    the shared unknowns; `status`, "good", "doubtful" (looked at by hand, please) or "bridged" (nothing was seen;
    interpolated). `worst_frames` are file numbers, the worst first. Per view: `focal` px, `focal_interval` (2,) px that
    holds it in 19 of 20 cases, `focal_solved`, whether it was estimated at all.
    `model_error` metres: what the head model could not follow. `estimated`: what the fit found, the rest was given.
    `notes` are sentences for the user.
    """

    frames: list[int]
    reprojection: list[float]
    landmarks: list[int]
    rotation_sigma: list[float]
    depth_sigma: list[float]
    jaw_sigma: list[float]
    status: list[str]
    worst_frames: list[int]
    focal: list[float]
    focal_interval: list[list[float]]
    focal_solved: list[bool]
    model_error: float
    iterations: int
    seconds: float
    notes: list[str] = field(default_factory=list)
    estimated: list[str] = field(default_factory=list)

    @property
    def mean_reprojection(self) -> float:
        """Mean over the frames that were seen, px; NaN if there is none."""
        seen = [v for v in self.reprojection if np.isfinite(v)]
        return float(np.mean(seen)) if seen else float("nan")

    def summary(self) -> list[str]:
        """The lines for the console."""
        lines = [f"reprojection {self.mean_reprojection:.2f} px over {len(self.frames)} frames"]
        for v, solved in enumerate(self.focal_solved):
            if solved:
                low, high = self.focal_interval[v]
                lines.append(f"focal length {self.focal[v]:.0f} px ({low:.0f} to {high:.0f})")
        if self.estimated:
            lines.append(f"estimated: {', '.join(self.estimated)}")
        seen = np.array([s != BRIDGED for s in self.status])
        if seen.any():
            sigmas = np.array([self.rotation_sigma, self.depth_sigma, self.jaw_sigma])[:, seen]
            turn, depth, jaw = np.median(sigmas, axis=1)
            determined = f"rotation {turn:.2f} degrees, depth {1000 * depth:.1f} mm, jawOpen {jaw:.3f}"
            lines.append(f"typical standard deviations of a frame: {determined}")
        doubtful = [f for f, s in zip(self.frames, self.status, strict=True) if s != GOOD]
        if doubtful:
            lines.append(f"{len(doubtful)} frames to look at, the worst: {', '.join(map(str, self.worst_frames[:5]))}")
        return lines + self.notes

    def at(self, frame: int) -> str:
        """What is to be said of the frame at array index `frame`, in a few words."""
        error = self.reprojection[frame]
        return f"{error:.2f} px  {self.status[frame]}" if np.isfinite(error) else self.status[frame]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; numbers that are not finite become null."""
        return {key: _finite(value) for key, value in asdict(self).items()}

    @staticmethod
    def from_dict(document: dict[str, Any]) -> "FitQuality":
        """The inverse of `to_dict`. Raises ValueError, TypeError or KeyError on anything else."""
        known = {k: v for k, v in dict(document).items() if k in FitQuality.__dataclass_fields__}
        numbers = ("reprojection", "rotation_sigma", "depth_sigma", "jaw_sigma")
        for key in (*numbers, "focal"):
            known[key] = [float("nan") if v is None else float(v) for v in known[key]]
        if any(len(known[key]) != len(known["frames"]) for key in (*numbers, "landmarks", "status")):
            raise ValueError("it does not have one value a frame")
        return FitQuality(**known)


@dataclass(frozen=True, eq=False)
class ShotFit:
    """Everything that `fit_shot` found: one camera a view, the face, the skull, the jaw, and how good it is.

    All results stand in the camera space of the first view.
    """

    cameras: list[Camera]
    face: FaceFit
    skull: RigidFit
    jaw: RigidFit
    quality: FitQuality

    def camera(self, view: int, numbers: ArrayLike) -> Camera:
        """The camera of a view (from 0) at its file numbers (F,), its pose leading from the first view's camera space,
        in which the results stand, to its own."""
        own = self.cameras[view].for_frames(numbers)
        return own.relative_to(own if view == 0 else self.cameras[0].for_frames(self.face.frames))

    def save(self, folder: Path) -> None:
        """Write face.npz, skull.npz, jaw.npz, camera.json (camera_2.json, ... for further views) and fit.json."""
        folder.mkdir(parents=True, exist_ok=True)
        self.face.save(folder / "face.npz")
        self.skull.save(folder / "skull.npz")
        self.jaw.save(folder / "jaw.npz")
        for v, camera in enumerate(self.cameras):
            name = "camera.json" if v == 0 else f"camera_{v + 1}.json"
            save_text(folder / name, json.dumps(camera.to_dict()))
        save_text(folder / "fit.json", json.dumps(self.quality.to_dict()))

    @staticmethod
    def load(folder: Path) -> "ShotFit":
        """Read what `save` wrote. Raises UserError when a file is missing or broken."""
        cameras: list[Camera] = []
        try:
            while True:
                path = folder / ("camera.json" if not cameras else f"camera_{len(cameras) + 1}.json")
                if cameras and not path.exists():
                    break
                cameras.append(Camera.from_dict(load_json(path)))
            quality = FitQuality.from_dict(load_json(folder / "fit.json"))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UserError(f"The fit in {folder} cannot be read.", "Fit the shot again.", "FQ401") from error
        return ShotFit(
            cameras,
            FaceFit.load(folder / "face.npz"),
            RigidFit.load(folder / "skull.npz"),
            RigidFit.load(folder / "jaw.npz"),
            quality,
        )


def _read(path: Path, shapes: dict[str, str]) -> dict[str, Any]:
    try:
        arrays = load_arrays(path, shapes)
        check_shapes(arrays, **shapes)
        return arrays
    except DAMAGED as error:
        raise UserError(f"{path} is not a fit that FaceQuery wrote.", "Fit the shot again.", "FQ401") from error


def _finite(value: Any) -> Any:
    if isinstance(value, list):
        return [_finite(v) for v in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
