"""Exact labels of a render: where any point of the head is, how deep, and whether it can be seen."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facequery.head.binding import Binding
from facequery.head.model import HeadModel
from facequery.synthesis.kernels import seen
from facequery.synthesis.render import Render

SURFACE_CORNERS = 3  # a point bound to no more vertices than a triangle's lies on a surface
_TOLERANCE = 0.002  # metres a surface point may lie behind the z-buffer: its pixel shows a neighbour of it
_EDGE_ON = -0.15  # cosine below which a surface point faces away


@dataclass(frozen=True)
class Labels:
    """xy (N, 2) crop coordinates; depth (N,) metres along the camera's axis; visible (N,) bool."""

    xy: NDArray[np.float32]
    depth: NDArray[np.float32]
    visible: NDArray[np.bool_]


def surface_points(binding: Binding, model: HeadModel) -> NDArray[np.bool_]:
    """Which bound points lie on a surface that is drawn (skin, eyes, teeth, mouth); bones and volume do not."""
    used = binding.weights > 1e-6
    drawn = max(part.vertices.stop for name, part in model.parts.items() if name not in ("cranium", "mandible"))
    on_surface = used.sum(1) <= SURFACE_CORNERS
    return on_surface & (np.where(used, binding.indices, 0).max(1) < drawn)


def labels(render: Render, binding: Binding, model: HeadModel, surface: NDArray | None = None) -> Labels:
    """Labels of bound points (N,).

    A point is visible when it lies on a drawn surface, faces the camera, is inside the picture, and nothing opaque is
    in front of it by more than 2 mm. Points inside the head (bones, volume) are never visible; their positions are
    exact all the same. `surface`: the result of surface_points, if it is at hand.
    """
    if surface is None:
        surface = surface_points(binding, model)
    rotation, translation = render.scene.view.rotation, render.scene.view.translation
    used = binding.indices
    shift = render.vertices[used] - model.rest[used]
    points = binding.positions + np.einsum("nk,nkc->nc", binding.weights, shift)
    points = points.astype(np.float64) @ rotation.T + translation
    return labels_of_points(render, points, _normals(render, binding), surface)


def _normals(render: Render, binding: Binding) -> NDArray[np.float64]:
    index = np.minimum(binding.indices, len(render.normals) - 1)
    normals = np.einsum("nk,nkc->nc", binding.weights, render.normals[index]).astype(np.float64)
    normals = normals @ render.scene.view.rotation.T
    return normals / (np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9)


def labels_of_points(render: Render, points: NDArray, normals: NDArray, surface: NDArray) -> Labels:
    """Labels of camera-space points (N, 3) with unit normals (N, 3); see `labels`."""
    pixels = render.project(points)
    depth = points[:, 2]
    visible = np.empty(len(points), np.bool_)
    seen(pixels, points, np.asarray(normals, np.float64), surface, render.nearness, _TOLERANCE, _EDGE_ON, visible)
    xy = (pixels / render.size * 2 - 1).astype(np.float32)
    return Labels(xy, depth.astype(np.float32), visible)
