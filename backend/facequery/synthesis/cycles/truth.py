"""The exact truth beside a rendered shot: camera, head pose, expression and every vertex, and any query's pixels."""

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from facequery.errors import UserError
from facequery.geometry.rasterize import rasterize
from facequery.head.binding import Binding
from facequery.head.model import HeadModel
from facequery.head.queries import QuerySet

RIGID_JAW = ("teeth_lower", "mandible")
DRAWN = ("skin", "eye_left", "eye_right", "teeth_upper", "teeth_lower", "gums_tongue")
_TOLERANCE = 0.002  # metres that a point may lie behind what is seen at its pixel


@dataclass(frozen=True)
class SampleTruth:
    """Truth of a shot of F frames, in HeadModel's vertex order; metres, OpenCV camera axes, pixels of the plate.

    frames (F,) file numbers; width, height, fps; fx, fy, cx, cy (F,) pixels, without distortion; rotation (F, 3, 3) and
    translation (F, 3) from canonical to camera space; neutral (V, 3) canonical; identity (K,), tissue (S,), expression
    (F, 52) the model's part of it; eye_rotation (F, 2, 3, 3) about eye_centres (2, 3); jaw_rotation (F, 3, 3) and
    jaw_translation (F, 3) canonical, of mandible and lower teeth; soft (M,) vertices that deform: those of neutral plus
    scores (F, R) times modes (R, M, 3); extra_vertices (F, E, 3) camera space and extra_triangles: what else hides.
    """

    frames: np.ndarray
    width: int
    height: int
    fps: float
    fx: np.ndarray
    fy: np.ndarray
    cx: np.ndarray
    cy: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray
    neutral: np.ndarray
    identity: np.ndarray
    tissue: np.ndarray
    expression: np.ndarray
    eye_rotation: np.ndarray
    eye_centres: np.ndarray
    jaw_rotation: np.ndarray
    jaw_translation: np.ndarray
    soft: np.ndarray
    scores: np.ndarray
    modes: np.ndarray
    extra_vertices: np.ndarray
    extra_triangles: np.ndarray

    def __len__(self) -> int:
        return len(self.frames)

    @staticmethod
    def of(
        model: HeadModel,
        neutral: np.ndarray,
        posed: np.ndarray,
        exactness: float = 5e-6,
        **rest: object,
    ) -> "SampleTruth":
        """Compress canonical posed vertices (F, V, 3) of a neutral head (V, 3), soft parts to `exactness` metres."""
        soft = np.concatenate(
            [np.arange(model.parts[n].vertices.start, model.parts[n].vertices.stop) for n in ("skin", "gums_tongue")]
        )
        shift = (posed[:, soft] - neutral[soft]).reshape(len(posed), -1)
        left, weight, right = np.linalg.svd(shift, full_matrices=False)
        rank = len(weight)
        for count in range(1, len(weight) + 1):
            error = shift - (left[:, :count] * weight[:count]) @ right[:count]
            if np.abs(error).max() < exactness:
                rank = count
                break
        # Modes in metres at full score, so that half precision keeps what matters.
        size = np.abs(right[:rank]).max(1)
        modes = (right[:rank] / size[:, None] * 0.05).astype(np.float16).reshape(rank, -1, 3)
        scores = np.linalg.lstsq(modes.reshape(rank, -1).astype(float).T, shift.T, rcond=None)[0].T
        return SampleTruth(
            neutral=neutral.astype(np.float32),
            soft=soft.astype(np.int32),
            scores=scores,
            modes=modes,
            **rest,  # type: ignore[arg-type]
        )

    def save(self, path: Path) -> None:
        """Write one compressed `.npz` with the field names of this class."""
        np.savez_compressed(path, **{item.name: np.asarray(getattr(self, item.name)) for item in fields(self)})

    @staticmethod
    def load(path: Path) -> "SampleTruth":
        """Read what `save` wrote. Raises UserError when the file cannot be read."""
        try:
            with np.load(path, allow_pickle=False) as data:
                values = {item.name: data[item.name] for item in fields(SampleTruth)}
        except (OSError, ValueError, KeyError) as error:
            raise UserError(
                f'The truth file "{path}" cannot be read ({error}).', "Install FaceQuery again.", "FQ284"
            ) from error
        scalars = {"width": int(values["width"]), "height": int(values["height"]), "fps": float(values["fps"])}
        return SampleTruth(**(values | scalars))

    def canonical(self, index: int, model: HeadModel | None = None) -> np.ndarray:
        """Posed vertices (V, 3) in canonical space at array index `index`."""
        model = model or HeadModel.load()
        points = self.neutral.astype(float)
        points[self.soft] += np.einsum("r,rmc->mc", self.scores[index], self.modes.astype(float))
        for name in RIGID_JAW:
            part = model.parts[name].vertices
            points[part] = points[part] @ self.jaw_rotation[index].T + self.jaw_translation[index]
        for eye, name in enumerate(("eye_left", "eye_right")):
            part, centre = model.parts[name].vertices, self.eye_centres[eye]
            points[part] = (points[part] - centre) @ self.eye_rotation[index, eye].T + centre
        return points

    def vertices(self, index: int, model: HeadModel | None = None) -> np.ndarray:
        """Posed vertices (V, 3) in camera space at array index `index`."""
        result: np.ndarray = self.canonical(index, model) @ self.rotation[index].T + self.translation[index]
        return result

    def skull(self) -> tuple[np.ndarray, np.ndarray]:
        """Rotation (F, 3, 3) and translation (F, 3) of the neutral cranium to camera space."""
        return self.rotation, self.translation

    def jaw(self) -> tuple[np.ndarray, np.ndarray]:
        """Rotation (F, 3, 3) and translation (F, 3) of the neutral mandible to camera space."""
        move = np.einsum("fij,fj->fi", self.rotation, self.jaw_translation) + self.translation
        return self.rotation @ self.jaw_rotation, move

    def points(self, model: HeadModel, queries: QuerySet | Binding) -> np.ndarray:
        """Camera-space positions (F, N, 3) of queries, metres."""
        binding = queries if isinstance(queries, Binding) else model.bind(queries.positions)
        rest = np.asarray(model.rest, float)
        result = np.empty((len(self), len(binding), 3))
        for index in range(len(self)):
            moved = binding.moved(self.canonical(index, model), rest)
            result[index] = moved @ self.rotation[index].T + self.translation[index]
        return result

    def project(self, points: np.ndarray) -> np.ndarray:
        """Pixels (F, N, 2) of camera-space points (F, N, 3)."""
        focal, centre = np.stack([self.fx, self.fy], -1)[:, None], np.stack([self.cx, self.cy], -1)[:, None]
        result: np.ndarray = focal * points[..., :2] / points[..., 2:] + centre
        return result

    def pixels(self, model: HeadModel, queries: QuerySet | Binding) -> np.ndarray:
        """Pixels (F, N, 2) of queries; the top-left pixel covers [0, 1)."""
        return self.project(self.points(model, queries))

    def visible(self, model: HeadModel, queries: QuerySet | Binding) -> np.ndarray:
        """Whether each query is seen, (F, N) bool: on a drawn surface, in the picture, nothing over 2 mm before it.

        Hair is not counted. Points inside the head (bones, volume) are never seen.
        """
        binding = queries if isinstance(queries, Binding) else model.bind(queries.positions)
        points = self.points(model, binding)
        pixels = self.project(points)
        drawn = max(model.parts[name].vertices.stop for name in DRAWN)
        result = np.zeros(pixels.shape[:2], bool)
        for index in range(len(self)):
            every = np.concatenate([self.vertices(index, model)[:drawn], self.extra_vertices[index].astype(float)])
            camera = tuple(float(v[index]) for v in (self.fx, self.fy, self.cx, self.cy))
            result[index] = seen(
                model,
                binding,
                every,
                self.extra_triangles,
                pixels[index],
                points[index, :, 2],
                camera,
                (self.width, self.height),
            )
        return result


def seen(
    model: HeadModel,
    binding: Binding,
    vertices: np.ndarray,
    extra_triangles: np.ndarray | None,
    pixels: np.ndarray,
    depth: np.ndarray,
    camera: tuple[float, ...],
    size: tuple[int, int],
) -> np.ndarray:
    """Which bound points (N,) are seen: on a drawn surface, inside the picture, nothing more than 2 mm before them.

    vertices (V, 3) camera space: the drawn parts of the head, then those of `extra_triangles`, counted from their own
    first; pixels (N, 2) and depth (N,) of the points; camera fx, fy, cx, cy; size: width, height.
    """
    used = binding.weights > 1e-6
    drawn = max(model.parts[name].vertices.stop for name in DRAWN)
    surface = (used.sum(1) <= 3) & (np.where(used, binding.indices, 0).max(1) < drawn)
    triangles = np.concatenate([model.triangles[model.parts[name].triangles] for name in DRAWN])
    if extra_triangles is not None:
        triangles = np.concatenate([triangles, extra_triangles + drawn])
    fx, fy, cx, cy = camera
    xy = 2 * (np.array([fx, fy]) * vertices[:, :2] / vertices[:, 2:] + np.array([cx, cy]))
    flat = vertices[:, 2].astype(np.float32)
    buffer = rasterize(xy.astype(np.float32), flat, triangles.astype(np.int32), 2 * size[0], 2 * size[1])[1]
    result: np.ndarray = surface & _unhidden(2 * pixels, depth, buffer)
    return result


def _unhidden(fine: np.ndarray, depth: np.ndarray, buffer: np.ndarray) -> np.ndarray:
    """Points at pixels `fine` (N, 2) of a z-buffer (H, W) with `depth` (N,) that are at most the tolerance behind it.

    The farthest of the four samples round a point counts: pixels of a steep surface show nearer parts of it.
    """
    height, width = buffer.shape
    inside = (fine > 0).all(1) & (fine[:, 0] < width) & (fine[:, 1] < height)
    low = np.floor(np.where(inside[:, None], fine, 0.5) - 0.5).astype(int)
    shown = np.zeros(len(fine))
    for dx in (0, 1):
        for dy in (0, 1):
            near = buffer[np.clip(low[:, 1] + dy, 0, height - 1), np.clip(low[:, 0] + dx, 0, width - 1)]
            shown = np.maximum(shown, np.where(np.isfinite(near), near, 1e6))
    result: np.ndarray = inside & (depth - shown < _TOLERANCE)
    return result
