"""Lens distortion: from the ideal picture of a pinhole camera to the picture that the lens makes, and back.

Coordinates are *normalised*: ((u - cx) / fx, (v - cy) / fy), the camera plane at z = 1, y down. "Distorted" is what the
plate shows, "undistorted" the ideal pinhole. Models and coefficients are Blender's (its library libmv), so that a
solved clip's numbers can be used as they are:

    none
    polynomial  k1, k2, k3              xd = x (1 + k1 r^2 + k2 r^4 + k3 r^6)
    division    k1, k2                  xd = x / (1 + k1 r^2 + k2 r^4)
    brown       k1, k2, k3, k4, p1, p2  xd = x (1 + k1 r^2 + ... + k4 r^8) + p1 (r^2 + 2 x^2) + p2 2 x y
                                        yd = y (1 + k1 r^2 + ... + k4 r^8) + p2 (r^2 + 2 y^2) + p1 2 x y
    nuke        k1, k2, p1, p2          x = xd / (1 + k1 rd^2 + k2 rd^4 + p1 yd^2), y likewise with p2 xd^2, where
                                        coordinates are divided by half the longer side of the picture first
    st          an ST map               looked up

(x, y) undistorted, (xd, yd) distorted, r^2 = x^2 + y^2. OpenCV's p1 and p2 are Brown's p2 and p1 here, and Blender's
Brown p2, whose y goes up, is the negative of this one.
The direction without a formula is solved by Newton's method; where it has no solution (a picture of such a lens has no
such pixel) the result is NaN.
"""

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facequery.errors import UserError

MODELS: Final = {
    "none": (),
    "polynomial": ("k1", "k2", "k3"),
    "division": ("k1", "k2"),
    "brown": ("k1", "k2", "k3", "k4", "p1", "p2"),
    "nuke": ("k1", "k2", "p1", "p2"),
    "st": (),
}
_STEPS = 60
_TOLERANCE = 1e-10  # normalised units: far below a thousandth of a pixel


@dataclass(frozen=True, eq=False)
class StGrid:
    """An ST map in normalised units: `distorted` (H, W, 2) at the undistorted points origin + step * (column, row)."""

    distorted: NDArray[np.float64]
    origin: NDArray[np.float64]
    step: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Lens:
    """A distortion model and its coefficients (K,), or (F, K) for a lens that changes over F frames.

    Missing trailing coefficients are 0. `st` holds the map of model "st" (see `lens_from_st_map`), `st_file` the path
    it is stored under in documents.
    """

    model: str = "none"
    coefficients: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    st: StGrid | None = None
    st_file: str | None = None

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise UserError(f'"{self.model}" is no lens model.', f"Use one of {', '.join(MODELS)}.", "FQ150")
        given = np.asarray(self.coefficients, dtype=np.float64)
        wanted = len(MODELS[self.model])
        if given.ndim not in (1, 2) or given.shape[-1] > wanted or not np.isfinite(given).all():
            names = ", ".join(MODELS[self.model]) or "none"
            raise UserError(
                f'The lens model "{self.model}" takes {wanted} finite coefficients ({names}), not an array of shape '
                f"{given.shape}.",
                code="FQ151",
            )
        if self.model == "st" and self.st is None:
            raise UserError('The lens model "st" needs an ST map.', code="FQ152")
        padding = np.zeros((*given.shape[:-1], wanted - given.shape[-1]))
        object.__setattr__(self, "coefficients", np.concatenate([given, padding], axis=-1))

    @property
    def is_none(self) -> bool:
        """Whether the lens leaves every point where it is."""
        return self.model != "st" and not self.coefficients.any()

    def select(self, indices: ArrayLike) -> "Lens":
        """The lens at some of its frames, `indices` into F. A lens that does not change is returned as it is."""
        if self.coefficients.ndim == 1:
            return self
        return Lens(self.model, self.coefficients[np.asarray(indices)], self.st, self.st_file)

    def distort(self, xy: ArrayLike, half_picture: ArrayLike = 1.0) -> NDArray[np.float64]:
        """Undistorted to distorted normalised coordinates, `xy` (..., 2); (F, ..., 2) if the coefficients are (F, K).

        `half_picture`, scalar or (F,): half of the picture's longer side in normalised units; only "nuke" needs it.
        Beyond its fold a polynomial maps points back into the picture: keep to points inside the field of view.
        """
        points = np.asarray(xy, dtype=np.float64)
        if self.is_none:
            return points.copy()
        if self.model == "nuke":
            return self._solve(points, half_picture)
        return self._forward(points, half_picture)[0]

    def undistort(self, xy: ArrayLike, half_picture: ArrayLike = 1.0) -> NDArray[np.float64]:
        """Distorted to undistorted normalised coordinates, `xy` (..., 2); the inverse of `distort`."""
        points = np.asarray(xy, dtype=np.float64)
        if self.is_none:
            return points.copy()
        if self.model == "nuke":
            return self._forward(points, half_picture)[0]
        return self._solve(points, half_picture)

    def _forward(self, points: NDArray, half_picture: ArrayLike) -> tuple[NDArray, NDArray]:
        """The model's explicit direction: mapped points (..., 2) and Jacobian (..., 2, 2)."""
        if self.model == "st":
            assert self.st is not None
            return _look_up(self.st, points)
        c = self.coefficients
        if c.ndim == 2:  # frames lead, points follow
            c = c.reshape(c.shape[0], *[1] * (points.ndim - 2), c.shape[1])
        x, y = points[..., 0], points[..., 1]
        if self.model == "polynomial":
            return _radial_tangential(x, y, c[..., 0], c[..., 1], c[..., 2], 0.0, 0.0, 0.0)
        if self.model == "brown":
            return _radial_tangential(x, y, *np.moveaxis(c, -1, 0))
        if self.model == "division":
            return _division(x, y, c[..., 0], c[..., 1], 0.0, 0.0)
        half = np.asarray(half_picture, dtype=np.float64)
        half = half.reshape(half.shape + (1,) * (points.ndim - 1 - half.ndim)) if half.ndim else half
        mapped, jacobian = _division(x / half, y / half, *np.moveaxis(c, -1, 0))
        return mapped * half[..., None], jacobian

    def _solve(self, target: NDArray, half_picture: ArrayLike) -> NDArray[np.float64]:
        """Newton's method for the implicit direction. Steps are halved while they do not bring the point nearer."""
        guess = target.copy()
        with np.errstate(all="ignore"):
            mapped, jacobian = self._forward(guess, half_picture)
            error = mapped - target
            size = np.linalg.norm(error, axis=-1)
            for _ in range(_STEPS):
                if not np.any(size > _TOLERANCE):
                    break
                determinant = jacobian[..., 0, 0] * jacobian[..., 1, 1] - jacobian[..., 0, 1] * jacobian[..., 1, 0]
                step = np.stack(
                    [
                        jacobian[..., 1, 1] * error[..., 0] - jacobian[..., 0, 1] * error[..., 1],
                        jacobian[..., 0, 0] * error[..., 1] - jacobian[..., 1, 0] * error[..., 0],
                    ],
                    axis=-1,
                )
                step = np.where(determinant[..., None] > 1e-6, step / determinant[..., None], error)
                for _ in range(12):
                    trial = guess - step
                    mapped, jacobian = self._forward(trial, half_picture)
                    error = mapped - target
                    trial_size = np.linalg.norm(error, axis=-1)
                    worse = ~(trial_size <= size) & (size > _TOLERANCE)
                    if not worse.any():
                        break
                    step = np.where(worse[..., None], 0.5 * step, step)
                guess, size = trial, trial_size
            determinant = jacobian[..., 0, 0] * jacobian[..., 1, 1] - jacobian[..., 0, 1] * jacobian[..., 1, 0]
            # A solution past the fold (negative determinant) is a mirror image, not what the lens shows.
            good = (size < 1e-7) & (determinant > 0)
        return np.where(good[..., None], guess, np.nan)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form. An ST map is stored by its path; raises UserError when it has none."""
        if self.model == "st":
            if self.st_file is None:
                raise UserError("This ST map is not stored in a file, so the camera cannot be saved.", code="FQ153")
            return {"model": "st", "file": self.st_file}
        return {"model": self.model, "coefficients": self.coefficients.tolist()}


def lens_from_st_map(
    st_map: ArrayLike, fx: float, fy: float, cx: float, cy: float, width: int, height: int, st_file: str | None = None
) -> Lens:
    """Lens from an undistorting ST map, as Nuke's STMap node takes it to undistort a plate.

    `st_map` (H, W, 2): for each pixel of the undistorted picture the place in the plate that it shows, (u, v) in
    [0, 1] over the plate, u right, v up. `fx` ... `cy` in plate pixels and the plate's size tie it to a camera; the
    map may have another resolution than the plate and then covers the same field of view.
    """
    st = np.asarray(st_map, dtype=np.float64)
    if st.ndim != 3 or st.shape[2] < 2 or min(st.shape[:2]) < 2:
        raise UserError(f"An ST map must be a picture with two channels, this one has shape {st.shape}.", code="FQ152")
    if not np.isfinite(st[..., :2]).all():
        raise UserError("The ST map has pixels that are not numbers.", code="FQ152")
    scale = np.array([fx, fy])
    plate = np.stack([st[..., 0] * width, (1.0 - st[..., 1]) * height], axis=-1)
    pixel = np.array([width / st.shape[1], height / st.shape[0]])  # one map pixel in plate pixels
    centre = np.array([cx, cy])
    grid = StGrid((plate - centre) / scale, (0.5 * pixel - centre) / scale, pixel / scale)
    return Lens("st", np.zeros(0), grid, st_file)


def lens_from_dict(document: Any, st: Lens | None = None) -> Lens:
    """Lens from `Lens.to_dict`'s form; for model "st" pass the lens made from the map. Raises UserError."""
    if not isinstance(document, dict) or not isinstance(document.get("model"), str):
        raise UserError('The camera\'s lens must have a "model".', f"Use one of {', '.join(MODELS)}.", "FQ150")
    if document["model"] == "st":
        if st is None or st.st is None:
            raise UserError(f'The ST map "{document.get("file")}" of the camera\'s lens was not read.', code="FQ152")
        return st
    try:
        coefficients = np.array(document.get("coefficients", []), dtype=np.float64)
    except (TypeError, ValueError):
        raise UserError("The lens coefficients must be numbers.", code="FQ151") from None
    return Lens(document["model"], coefficients)


def _radial_tangential(
    x: NDArray, y: NDArray, k1: Any, k2: Any, k3: Any, k4: Any, p1: Any, p2: Any
) -> tuple[NDArray, NDArray]:
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * (k3 + r2 * k4)))
    slope = 2 * (k1 + r2 * (2 * k2 + r2 * (3 * k3 + r2 * 4 * k4)))  # d radial / d x, divided by x
    xd = x * radial + p1 * (r2 + 2 * x * x) + p2 * 2 * x * y
    yd = y * radial + p2 * (r2 + 2 * y * y) + p1 * 2 * x * y
    cross = x * y * slope + p1 * 2 * y + p2 * 2 * x
    jacobian = _matrix(
        radial + x * x * slope + p1 * 6 * x + p2 * 2 * y, cross, cross, radial + y * y * slope + p2 * 6 * y + p1 * 2 * x
    )
    return np.stack([xd, yd], axis=-1), jacobian


def _division(x: NDArray, y: NDArray, k1: Any, k2: Any, p1: Any, p2: Any) -> tuple[NDArray, NDArray]:
    r2 = x * x + y * y
    common = 1 + r2 * (k1 + r2 * k2)
    slope = 2 * (k1 + 2 * k2 * r2)  # d common / d x, divided by x
    a, b = common + p1 * y * y, common + p2 * x * x
    jacobian = _matrix(
        1 / a - x * x * slope / a**2,
        -x * y * (slope + 2 * p1) / a**2,
        -x * y * (slope + 2 * p2) / b**2,
        1 / b - y * y * slope / b**2,
    )
    return np.stack([x / a, y / b], axis=-1), jacobian


def _matrix(a: NDArray, b: NDArray, c: NDArray, d: NDArray) -> NDArray[np.float64]:
    return np.stack([np.stack([a, b], axis=-1), np.stack([c, d], axis=-1)], axis=-2)


def _look_up(grid: StGrid, points: NDArray) -> tuple[NDArray, NDArray]:
    """Bilinear look-up in an ST map, continued linearly beyond its border."""
    rows, columns = grid.distorted.shape[:2]
    place = (points - grid.origin) / grid.step
    finite = np.where(np.isfinite(place), place, 0.0)
    column = np.clip(np.floor(finite[..., 0]).astype(int), 0, columns - 2)
    row = np.clip(np.floor(finite[..., 1]).astype(int), 0, rows - 2)
    s, t = (place[..., 0] - column)[..., None], (place[..., 1] - row)[..., None]
    a, b = grid.distorted[row, column], grid.distorted[row, column + 1]
    c, d = grid.distorted[row + 1, column], grid.distorted[row + 1, column + 1]
    mapped = (1 - t) * ((1 - s) * a + s * b) + t * ((1 - s) * c + s * d)
    along_x = ((1 - t) * (b - a) + t * (d - c)) / grid.step[0]
    along_y = ((1 - s) * (c - a) + s * (d - b)) / grid.step[1]
    return mapped, np.stack([along_x, along_y], axis=-1)
