"""Visibility of tracks: from sigma at first, and from what the fitted head's own surface hides."""

import numpy as np
from numpy.typing import NDArray

from facequery.detection.tracks import TrackWriter, read_chunks
from facequery.detection.visibility import visible_from_depth, visible_from_sigma
from facequery.fitting.results import FaceFit
from facequery.geometry.cameras import Camera
from facequery.geometry.rasterize import rasterize
from facequery.head.binding import Binding
from facequery.head.model import HeadModel

_LONGEST_SIDE = 512  # of the depth picture
_SURFACE_KINDS = ("skin", "eye")  # bone, teeth and points in the tissue lie behind skin, which does not hide them


def visible_in_crop(
    xy: NDArray, sigma: NDArray, crops: NDArray, width: float = np.inf, height: float = np.inf
) -> NDArray[np.float32]:
    """(F, N) visibility from sigma alone: xy (F, N, 2) and sigma (F, N) in plate pixels, crops (F, 2, 3).

    0 outside the plate, if its size is given, and where the face was not found.
    """
    scale = np.sqrt(np.abs(np.linalg.det(np.nan_to_num(crops[..., :2], nan=1.0))))
    visible = visible_from_sigma(np.asarray(sigma) / np.maximum(scale, 1e-9)[:, None])
    if np.isinf(width) and np.isinf(height):
        return visible
    with np.errstate(invalid="ignore"):
        visible[((xy < 0) | (xy > [width, height])).any(axis=-1)] = 0
    return visible


def update_visibility(writer: TrackWriter, crops: NDArray, face: FaceFit, camera: Camera) -> None:
    """Multiply the visibility of a view's tracks by what the z-buffer of the fitted face says, and write it again.

    A point on skin or eye is as visible as its sigma says, times the probability that the face's own surface is not
    nearer at its pixel. Points on bone, teeth and in the tissue, which no picture shows, keep what sigma says: whether
    the face in front of them is seen. `camera` has the frames of the tracks.
    """
    columns = np.flatnonzero(np.isin(np.array(writer.queries.kinds), _SURFACE_KINDS))
    if not len(columns):
        return
    model = HeadModel.load()
    binding = model.bind(writer.queries.positions[columns])
    chunks = zip(*(read_chunks(writer.folder, name, writer.header()) for name in ("xy", "sigma")), strict=True)
    for index, ((start, stop), (xy, sigma)) in enumerate(zip(writer.chunks, chunks, strict=True)):
        visible = visible_in_crop(xy, sigma, crops[start:stop], writer.width, writer.height)
        for frame in range(start, stop):
            if visible[frame - start].any():
                here = camera.select([frame]) if len(camera) > 1 else camera
                visible[frame - start, columns] *= _seen(model, binding, face, frame, here)
        writer.write_one(index, "visible", visible)
    writer.finish()


def _seen(model: HeadModel, binding: Binding, face: FaceFit, frame: int, camera: Camera) -> NDArray[np.float32]:
    """(n,) probability that bound points are not hidden by the fitted face in one frame; `camera` of that frame."""
    scale = min(1.0, _LONGEST_SIDE / max(camera.width, camera.height))
    width, height = max(1, round(camera.width * scale)), max(1, round(camera.height * scale))
    surface = camera.to_camera(np.asarray(face.vertices[frame], dtype=np.float64)[None])
    xy = camera.project(surface)[0] * scale
    depth = np.where(np.isfinite(xy).all(axis=1), surface[0][:, 2], -1.0)
    _, buffer, _ = rasterize(np.nan_to_num(xy), depth, face.triangles, width, height)
    shape = model.vertices(face.identity, face.expression[frame], face.eye_rotation[frame])
    points = binding.moved(shape + face.offsets, model.rest)
    placed = camera.to_camera((points @ face.rotation[frame].T + face.translation[frame])[None])
    where = np.nan_to_num(camera.project(placed)[0] * scale, nan=-1.0)
    column, row = np.floor(where[:, 0]).astype(int), np.floor(where[:, 1]).astype(int)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    seen = np.ones(len(where), np.float32)
    seen[inside] = visible_from_depth(placed[0, inside, 2], buffer[row[inside], column[inside]])
    return seen
