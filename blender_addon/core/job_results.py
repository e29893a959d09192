"""What a job's folder holds: tracks, camera, face, skull and jaw, read with NumPy and checked."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._vendor.facequery_protocol.errors import DAMAGED, ProtocolError
from .._vendor.facequery_protocol.job import read_job
from .._vendor.facequery_protocol.reading import check_shapes, load_arrays, load_json, map_array
from .._vendor.facequery_protocol.results import FACE, RIGID, TRACKS_VERSION, is_header
from .errors import AddonError
from .plate_camera import PlateCamera, read_camera


@dataclass(frozen=True, eq=False)
class JobTracks:
    """N points over F frames: xy (F, N, 2) plate pixels, sigma (F, N) pixels per axis, visible (F, N) probability.

    frames (F,) file numbers; ids, names, groups (N,); queries (N, 3) canonical metres. Frames without the face hold
    NaN. digest names the file that was read.
    """

    xy: NDArray[np.float32]
    sigma: NDArray[np.float32]
    visible: NDArray[np.float32]
    frames: NDArray[np.int64]
    ids: list[str]
    names: list[str]
    groups: list[str]
    queries: NDArray[np.float64]
    width: int
    height: int
    fps: float
    pixel_aspect: float
    digest: str


@dataclass(frozen=True, eq=False)
class JobFace:
    """The fitted face: vertices (F, V, 3) camera space of all parts but the bones, identity (K,), expression (F, 52),
    eye_rotation (F, 2, 3, 3), pose canonical to camera, offsets (V', 3) over the head's vertices or None."""

    vertices: NDArray[np.float32]
    triangles: NDArray[np.int32]
    identity: NDArray[np.float64]
    expression: NDArray[np.float64]
    expression_names: list[str]
    eye_rotation: NDArray[np.float64]
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    offsets: NDArray[np.float64] | None
    frames: NDArray[np.int64] | None


@dataclass(frozen=True, eq=False)
class JobRigid:
    """Skull or jaw: vertices (V, 3) canonical, triangles (T, 3), pose (F, 3, 3) and (F, 3) canonical to camera."""

    vertices: NDArray[np.float64]
    triangles: NDArray[np.int32]
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    frames: NDArray[np.int64] | None


@dataclass(frozen=True)
class JobFolder:
    """A job's folder and what is finished in it. `view` counts from 1 when the job has several."""

    folder: Path
    request: dict[str, Any]
    view: int = 1

    @property
    def name(self) -> str:
        """What the job's objects are called: its folder, with the parent's name when it is v001 and so on."""
        parent = self.folder.parent.name
        versioned = len(self.folder.name) == 4 and self.folder.name[0] == "v" and self.folder.name[1:].isdigit()
        return f"{parent} {self.folder.name}" if versioned and parent else self.folder.name

    @property
    def track_folder(self) -> Path:
        """Where the view's tracks lie."""
        own = self.folder / f"view{self.view}"
        return own if own.is_dir() else self.folder

    @property
    def shot(self) -> str:
        """The view's shot, as a path with its pattern."""
        return str(self.request["shots"][self.view - 1])

    def has(self, name: str) -> bool:
        """Whether a result is finished: "tracks", "camera", "face", "skull", "jaw"."""
        if name == "tracks":
            return (self.track_folder / "tracks.json").is_file()
        return self._camera_file().is_file() if name == "camera" else (self.folder / f"{name}.npz").is_file()

    def _camera_file(self) -> Path:
        return self.folder / ("camera.json" if self.view == 1 else f"camera_{self.view}.json")

    def camera(self) -> PlateCamera:
        """The view's camera."""
        return read_camera(self._camera_file())

    def tracks(self) -> JobTracks:
        """The view's tracks, chunks joined."""
        return _read_tracks(self.track_folder)

    def face(self) -> JobFace:
        """The fitted face. Raises AddonError when the file is missing or broken."""
        a = _arrays(self.folder / "face.npz", FACE)
        return JobFace(
            vertices=a["vertices"],
            triangles=a["triangles"],
            identity=a["identity"].astype(np.float64),
            expression=a["expression"].astype(np.float64),
            expression_names=[str(name) for name in a["expression_names"]],
            eye_rotation=a["eye_rotation"].astype(np.float64),
            rotation=a["rotation"].astype(np.float64),
            translation=a["translation"].astype(np.float64),
            offsets=a["offsets"].astype(np.float64) if "offsets" in a else None,
            frames=a.get("frames"),
        )

    def rigid(self, name: str) -> JobRigid:
        """The fitted "skull" or "jaw". Raises AddonError when the file is missing or broken."""
        a = _arrays(self.folder / f"{name}.npz", RIGID)
        poses = [a[key].astype(np.float64) for key in ("vertices", "rotation", "translation")]
        return JobRigid(poses[0], a["triangles"], poses[1], poses[2], a.get("frames"))

    def frames(self) -> NDArray[np.int64]:
        """File numbers (F,) of the shot's frames, from whichever result is there."""
        if self.has("tracks"):
            return np.array(_header(self.track_folder)["frames"], np.int64)
        for name in ("face", "skull", "jaw"):
            if self.has(name):
                arrays = _arrays(self.folder / f"{name}.npz", FACE if name == "face" else RIGID)
                if "frames" in arrays:
                    return arrays["frames"].astype(np.int64)
        raise AddonError(f'"{self.folder}" has no finished results.', "Track the shot first.", "FQ750")


def open_job(path: Path, view: int = 1) -> JobFolder:
    """A job by its folder, or by a file in it. Raises AddonError when it is none, or has no such view."""
    folder = path if path.is_dir() else path.parent
    try:
        request = read_job(folder)["request"]
    except ProtocolError as error:
        raise AddonError(error.cause, error.next_step or "Choose the folder of a job.", error.code) from None
    if not 1 <= view <= len(request["shots"]):
        raise AddonError(f"The job has {len(request['shots'])} views, not {view}.", code="FQ754")
    return JobFolder(folder, request, view)


def _arrays(path: Path, shapes: Mapping[str, str]) -> dict[str, NDArray]:
    """The arrays of a fit's file, which has all of those that are named, but for frames and offsets perhaps."""
    try:
        arrays = load_arrays(path)
        check_shapes(arrays, **shapes)
    except DAMAGED as error:
        raise AddonError(f'"{path}" cannot be read ({error}).', "Fit the shot again.", "FQ755") from None
    missing = [name for name in shapes if name not in arrays and name not in ("frames", "offsets")]
    if missing:
        raise AddonError(f'"{path}" lacks "{missing[0]}".', "Fit the shot again.", "FQ755")
    return arrays


def _header(folder: Path) -> dict[str, Any]:
    path = folder / "tracks.json"
    try:
        header: Any = load_json(path)
    except (OSError, ValueError) as error:
        raise AddonError(f'"{path}" cannot be read ({error}).', "Track the shot again.", "FQ756") from None
    if not is_header(header):
        raise _no_tracks(folder)
    if header["version"] > TRACKS_VERSION:
        raise AddonError(f'"{path}" was written by a newer FaceQuery.', "Update the extension.", "FQ753")
    return header


def _no_tracks(folder: Path) -> AddonError:
    path = folder / "tracks.json"
    return AddonError(f'"{path}" is not a track file of FaceQuery.', "Track the shot again.", "FQ756")


def _read_tracks(folder: Path) -> JobTracks:
    header = _header(folder)
    total, chunk, count = len(header["frames"]), header["chunk"], len(header["names"])
    arrays: dict[str, NDArray] = {}
    for name in ("xy", "sigma", "visible"):
        parts = []
        for index, start in enumerate(range(0, total, chunk)):
            path = folder / "tracks" / f"{name}_{index:04d}.npy"
            try:
                part = map_array(path)
            except DAMAGED as error:
                raise AddonError(f'"{path}" cannot be read ({error}).', "Track the shot again.", "FQ756") from None
            if part.shape != (min(chunk, total - start), count, 2)[: 3 if name == "xy" else 2] or part.dtype != "f4":
                raise AddonError(f'"{path}" does not belong to its tracks.json.', "Track the shot again.", "FQ756")
            parts.append(part)
        arrays[name] = np.concatenate(parts)
    ids, groups = (_texts(header, key, header["names"] if key == "ids" else [""] * count) for key in ("ids", "groups"))
    try:
        queries = np.array(header["queries"], np.float64).reshape(count, 3)
    except (TypeError, ValueError, OverflowError):
        raise _no_tracks(folder) from None
    return JobTracks(
        frames=np.array(header["frames"], np.int64),
        ids=ids,
        names=header["names"],
        groups=groups,
        queries=queries,
        width=header["width"],
        height=header["height"],
        fps=float(header["fps"]),
        pixel_aspect=float(header["pixel_aspect"]),
        digest=hashlib.sha256((folder / "tracks.json").read_bytes()).hexdigest(),
        **arrays,
    )


def _texts(header: dict[str, Any], key: str, otherwise: list[str]) -> list[str]:
    """The texts of a column of the header, one a point; `otherwise` where there is no such column."""
    values = header.get(key, otherwise)
    if not isinstance(values, list) or len(values) != len(otherwise):
        return otherwise
    return [str(value) for value in values]


def error_scale(xy: NDArray) -> float:
    """The error, in pixels, that is shown as bad: 5 % of the face's median size in xy (F, N, 2); 1 without a face.

    The backend's previews color by the same scale.
    """
    found = np.isfinite(xy).all(axis=(1, 2))
    if not found.any():
        return 1.0
    return max(0.05 * float(np.median(np.linalg.norm(np.ptp(xy[found], axis=1), axis=1))), 0.1)


def error_weight(sigma: NDArray, scale: float) -> NDArray[np.float64]:
    """Weight in (0, 1] that Blender shows for an error of sigma pixels: 1 / (1 + (2 sigma / scale)^2), 0 without one.

    The one function from sigma to anything that is shown as confidence; `scale` is `error_scale`'s.
    """
    weight = 1.0 / (1.0 + (2.0 * np.asarray(sigma, np.float64) / scale) ** 2)
    return np.where(np.isfinite(weight), weight, 0.0)
