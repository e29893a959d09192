"""Cameras: a pinhole per frame, off-centre, with pixel aspect and lens, and where it stands."""

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facequery.errors import UserError
from facequery.geometry.lens import Lens, lens_from_dict

SCHEMA = "facequery.camera"
VERSION = 1


@dataclass(frozen=True, eq=False)
class Camera:
    """The camera of a shot over F frames (F = 1: one that never changes, for any number of frames).

    `width`, `height` of the plate and `fx`, `fy`, `cx`, `cy` (F,) are in plate pixels: squeezed, x right, y down, the
    top-left pixel covers [0, 1). Camera space has OpenCV's axes, x right, y down, z forward, in metres. `pixel_aspect`
    is a pixel's width over its height; it says how to show the plate, and where nothing else is known that
    fy = fx * pixel_aspect. `rotation` (F, 3, 3) and `translation` (F, 3) take world to camera space; None: the camera
    is the world. `frames` (F,) are file numbers, or None: row i belongs to the shot's i-th frame.

    Arrays of one value, and scalars, are taken for F values; raises UserError on anything that no camera can have.
    """

    width: int
    height: int
    fx: NDArray[np.float64]
    fy: NDArray[np.float64]
    cx: NDArray[np.float64]
    cy: NDArray[np.float64]
    pixel_aspect: float = 1.0
    lens: Lens = field(default_factory=Lens)
    rotation: NDArray[np.float64] | None = None
    translation: NDArray[np.float64] | None = None
    frames: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if not (self.width >= 1 and self.height >= 1):
            raise UserError(f"A camera's picture cannot be {self.width} x {self.height} pixels.", code="FQ120")
        if not (math.isfinite(self.pixel_aspect) and self.pixel_aspect > 0):
            raise UserError(f"A camera's pixel aspect must be above 0, not {self.pixel_aspect}.", code="FQ120")
        values: dict[str, NDArray] = {}
        for name in ("fx", "fy", "cx", "cy"):
            values[name] = np.atleast_1d(np.asarray(getattr(self, name), dtype=np.float64))
        if self.rotation is not None or self.translation is not None:
            count = len(np.reshape(self.rotation, (-1, 9))) if self.rotation is not None else 1
            rotation = np.eye(3)[None] if self.rotation is None else np.asarray(self.rotation, float)
            translation = np.zeros((count, 3)) if self.translation is None else np.asarray(self.translation, float)
            values["rotation"] = rotation.reshape(-1, 3, 3)
            values["translation"] = translation.reshape(-1, 3)
        if self.frames is not None:
            values["frames"] = np.atleast_1d(np.asarray(self.frames, dtype=np.int64))
        lengths = {len(v) for v in values.values()}
        if self.lens.coefficients.ndim == 2:
            lengths.add(len(self.lens.coefficients))
        count = max(lengths)
        if lengths - {1, count} or any(v.ndim != 1 for k, v in values.items() if k not in ("rotation", "translation")):
            raise UserError(f"The camera's values have different numbers of frames: {sorted(lengths)}.", code="FQ121")
        for name, value in values.items():
            if not np.isfinite(value).all():
                raise UserError(f"The camera's {name} has values that are not finite.", code="FQ121")
            object.__setattr__(self, name, np.broadcast_to(value, (count, *value.shape[1:])))
        if (self.fx <= 0).any() or (self.fy <= 0).any():
            raise UserError("A camera's focal lengths must be above 0.", code="FQ121")
        if self.rotation is not None:
            error = np.abs(self.rotation @ np.swapaxes(self.rotation, -1, -2) - np.eye(3)).max()
            if error > 1e-3 or (np.linalg.det(self.rotation) < 0).any():
                raise UserError("The camera's rotation is not a rotation matrix.", code="FQ121")

    def __len__(self) -> int:
        return len(self.fx)

    @staticmethod
    def pinhole(
        width: int,
        height: int,
        fx: ArrayLike,
        fy: ArrayLike | None = None,
        cx: ArrayLike | None = None,
        cy: ArrayLike | None = None,
        pixel_aspect: float = 1.0,
    ) -> "Camera":
        """A camera at the origin without a lens, scalars or (F,) in plate pixels.

        Left out, fy is fx * pixel_aspect and the principal point is the picture's middle.
        """
        return Camera(
            width=width,
            height=height,
            fx=np.atleast_1d(np.asarray(fx, dtype=np.float64)),
            fy=np.atleast_1d(np.asarray(fx if fy is None else fy, float) * (pixel_aspect if fy is None else 1.0)),
            cx=np.atleast_1d(np.asarray(width / 2 if cx is None else cx, dtype=np.float64)),
            cy=np.atleast_1d(np.asarray(height / 2 if cy is None else cy, dtype=np.float64)),
            pixel_aspect=pixel_aspect,
        )

    @property
    def half_picture(self) -> NDArray[np.float64]:
        """(F,) half of the picture's longer side in normalised coordinates, for `Lens`."""
        return 0.5 * np.maximum(self.width / self.fx, self.height / self.fy)

    @property
    def matrix(self) -> NDArray[np.float64]:
        """(F, 3, 3) K: camera space to homogeneous plate pixels, without the lens."""
        k = np.zeros((len(self), 3, 3))
        k[:, 0, 0], k[:, 1, 1], k[:, 0, 2], k[:, 1, 2], k[:, 2, 2] = self.fx, self.fy, self.cx, self.cy, 1.0
        return k

    @property
    def centres(self) -> NDArray[np.float64]:
        """(F, 3) where the camera stands in the world."""
        if self.rotation is None or self.translation is None:
            return np.zeros((len(self), 3))
        return -np.einsum("fij,fi->fj", self.rotation, self.translation)

    def select(self, indices: ArrayLike) -> "Camera":
        """The camera at the frames `indices` (G,), numbers from 0. A camera of one frame is returned as it is."""
        if len(self) == 1:
            return self
        i = np.asarray(indices)
        arrays = {name: getattr(self, name) for name in ("fx", "fy", "cx", "cy", "rotation", "translation", "frames")}
        changed: dict[str, Any] = {name: None if a is None else a[i] for name, a in arrays.items()}
        return replace(self, lens=self.lens.select(i), **changed)

    def for_frames(self, numbers: ArrayLike) -> "Camera":
        """The camera at the file numbers `numbers` (G,). Raises UserError when it does not have them all."""
        wanted = np.atleast_1d(np.asarray(numbers, dtype=np.int64))
        if len(self) == 1:
            return self
        if self.frames is None:
            if len(self) != len(wanted):
                raise UserError(f"The camera has {len(self)} frames, the shot {len(wanted)}.", code="FQ122")
            return self
        order = np.argsort(self.frames)
        place = np.clip(np.searchsorted(self.frames, wanted, sorter=order), 0, len(self) - 1)
        found = order[place]
        missing = wanted[self.frames[found] != wanted]
        if len(missing):
            raise UserError(f"The camera has no frame {missing[0]} of the shot.", code="FQ122")
        return self.select(found)

    def relative_to(self, first: "Camera") -> "Camera":
        """This camera, its pose leading from the camera space of `first` (as many frames, or one) to its own.

        What stands in the camera space of `first`, as fits do, is projected by it; without a pose for `first` itself.
        """
        if first is self or (self.rotation is None and first.rotation is None):
            return replace(self, rotation=None, translation=None)
        r0, r1 = (np.eye(3)[None] if c.rotation is None else c.rotation for c in (first, self))
        t0, t1 = (np.zeros((1, 3)) if c.translation is None else c.translation for c in (first, self))
        rotation = r1 @ np.swapaxes(r0, -1, -2)
        return replace(self, rotation=rotation, translation=t1 - np.einsum("fij,fj->fi", rotation, t0))

    def to_camera(self, points: ArrayLike) -> NDArray[np.float64]:
        """World to camera space, `points` (F, N, 3) or (N, 3). Returns (F, N, 3)."""
        p = np.asarray(points, dtype=np.float64)
        if self.rotation is None or self.translation is None:
            return p.copy() if p.ndim == 3 else np.repeat(p[None], len(self), axis=0)
        return p @ np.swapaxes(self.rotation, -1, -2) + self.translation[:, None, :]

    def to_world(self, points: ArrayLike) -> NDArray[np.float64]:
        """Camera to world space, `points` (F, N, 3). Returns (F, N, 3)."""
        p = np.asarray(points, dtype=np.float64)
        if self.rotation is None or self.translation is None:
            return p.copy()
        return (p - self.translation[:, None, :]) @ self.rotation

    def project(self, points: ArrayLike) -> NDArray[np.float64]:
        """Camera-space points (F, N, 3), metres, to plate pixels (F, N, 2), distorted. NaN at or behind the camera."""
        p = np.asarray(points, dtype=np.float64)
        z = p[..., 2:]
        normalised = p[..., :2] / np.where(z > 0, z, np.nan)
        return self._pixels(self.lens.distort(normalised, self.half_picture))

    def undistort(self, xy: ArrayLike) -> NDArray[np.float64]:
        """Plate pixels (F, N, 2) to the pixels an ideal pinhole of the same fx, fy, cx, cy would show them at.

        NaN where the lens can show no such pixel.
        """
        return self._pixels(self.lens.undistort(self._normalised(xy), self.half_picture))

    def distort(self, xy: ArrayLike) -> NDArray[np.float64]:
        """Ideal pinhole pixels (F, N, 2) to plate pixels: the inverse of `undistort`."""
        return self._pixels(self.lens.distort(self._normalised(xy), self.half_picture))

    def _normalised(self, xy: ArrayLike) -> NDArray[np.float64]:
        p = np.asarray(xy, dtype=np.float64)
        return np.stack(
            [(p[..., 0] - self.cx[:, None]) / self.fx[:, None], (p[..., 1] - self.cy[:, None]) / self.fy[:, None]],
            axis=-1,
        )

    def _pixels(self, xy: NDArray) -> NDArray[np.float64]:
        return np.stack(
            [
                xy[..., 0] * self.fx[:, None] + self.cx[:, None],
                xy[..., 1] * self.fy[:, None] + self.cy[:, None],
            ],
            axis=-1,
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, the inverse of `camera_from_dict`; values that never change are written once."""

        def short(value: NDArray) -> Any:
            return value[0].tolist() if np.ptp(value, axis=0).max() == 0 else value.tolist()

        document: dict[str, Any] = {"schema": SCHEMA, "version": VERSION, "width": self.width, "height": self.height}
        document |= {"pixel_aspect": self.pixel_aspect, "lens": self.lens.to_dict()}
        document |= {name: short(getattr(self, name)) for name in ("fx", "fy", "cx", "cy")}
        if self.rotation is not None and self.translation is not None:
            document |= {"rotation": self.rotation.tolist(), "translation": self.translation.tolist()}
        if self.frames is not None:
            document["frames"] = self.frames.tolist()
        return document

    @staticmethod
    def from_dict(document: Any, st: Lens | None = None) -> "Camera":
        """Camera from `to_dict`'s form. Raises UserError with one sentence on anything else.

        `st` is the lens made from the ST map that the document names, if it names one (see `lens_from_st_map`).
        """
        if not isinstance(document, dict) or document.get("schema", SCHEMA) != SCHEMA:
            raise UserError(
                "This is not a camera file.", f'It must be a JSON object with "schema": "{SCHEMA}".', "FQ123"
            )
        version = document.get("version", VERSION)
        if not isinstance(version, int) or version > VERSION:
            raise UserError(
                f"The camera file has version {version}, this FaceQuery reads up to {VERSION}.",
                "Update FaceQuery.",
                "FQ124",
            )
        missing = [name for name in ("width", "height", "fx") if name not in document]
        if missing:
            raise UserError(f'The camera file lacks "{missing[0]}".', code="FQ123")
        width, height = _number(document, "width"), _number(document, "height")
        aspect = _number(document, "pixel_aspect", 1.0)
        fx = _array(document, "fx", 1)
        return Camera(
            width=int(width),
            height=int(height),
            fx=fx,
            fy=_array(document, "fy", 1) if "fy" in document else fx * aspect,
            cx=_array(document, "cx", 1) if "cx" in document else np.array([width / 2]),
            cy=_array(document, "cy", 1) if "cy" in document else np.array([height / 2]),
            pixel_aspect=aspect,
            lens=lens_from_dict(document["lens"], st) if document.get("lens") is not None else Lens(),
            rotation=_array(document, "rotation", 3) if document.get("rotation") is not None else None,
            translation=_array(document, "translation", 2) if document.get("translation") is not None else None,
            frames=_array(document, "frames", 1).astype(np.int64) if document.get("frames") is not None else None,
        )


def _number(document: dict[str, Any], name: str, default: float | None = None) -> float:
    value = document.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UserError(f'"{name}" in the camera file must be a number.', code="FQ123")
    return value


def _array(document: dict[str, Any], name: str, dimensions: int) -> NDArray[np.float64]:
    try:
        value = np.array(document[name], dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise UserError(f'"{name}" in the camera file must hold numbers.', code="FQ123") from None
    if value.ndim == dimensions - 1:
        value = value[None]
    if value.ndim != dimensions or not len(value) or value.shape[1:] not in ((), (3,), (3, 3)):
        raise UserError(f'"{name}" in the camera file has the wrong shape {value.shape}.', code="FQ123")
    return value
