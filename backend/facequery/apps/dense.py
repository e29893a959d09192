"""Dense landmarks: every vertex of the head in a picture, with a depth for each, without a 3D fit of the shot.

The network says where each vertex is (CLD, sections 4.3 and 4.4). It says nothing of depth, which only the order of
surfaces needs: a weak-perspective head is laid under the landmarks of the single picture for that.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facequery.detection.detector import Detector, to_pixels
from facequery.geometry.crops import apply_affine, invert_affine
from facequery.geometry.rasterize import rasterize
from facequery.geometry.rotations import project_to_so3
from facequery.head.model import HeadModel
from facequery.head.sampling import farthest_points
from facequery.models.landmarks import LandmarkNet

SHOWN_PARTS = ("skin", "eye_left", "eye_right", "teeth_upper", "teeth_lower", "gums_tongue")
_ANCHORS = 500  # vertices that the depth rests on
_IDENTITY_MODES = 40
_ERROR = 0.15  # crop units; of one anchor, counted as if the errors of all anchors were independent
_EXPRESSION_SPREAD = 0.35
_AWAY = 1.0  # metres from the camera at which the weak-perspective head is placed


@dataclass(frozen=True, eq=False)
class DenseFace:
    """A head in one picture: of its V vertices that a picture can show (all parts but the bones, in the model's order)
    `xy` (V, 2) plate pixels, `sigma` (V,) standard deviation per axis in plate pixels, `depth` (V,) metres along the
    viewing direction, positive, of which only differences mean anything; `crop` (2, 3), crop coordinates to pixels."""

    xy: NDArray[np.float32]
    sigma: NDArray[np.float32]
    depth: NDArray[np.float32]
    crop: NDArray[np.float64]

    @property
    def scale(self) -> float:
        """Plate pixels per crop unit, the mean of both axes."""
        return float(np.sqrt(abs(np.linalg.det(self.crop[:, :2]))))


@dataclass(frozen=True, eq=False)
class Sight:
    """What the network saw of B pictures: `views`, each descriptors (B, d), of the pictures and, where the detector
    takes the mean with it, of their mirror images."""

    views: tuple[Tensor, ...]

    def __len__(self) -> int:
        return len(self.views[0])

    def repeated(self, times: int) -> "Sight":
        """Every picture `times` times in a row."""
        return Sight(tuple(view.repeat_interleave(times, 0) for view in self.views))

    def decoded(self, network: LandmarkNet, queries: Tensor) -> tuple[Tensor, Tensor]:
        """xy (B, N, 2) and variance per axis (B, N), crop coordinates, for queries (N, 3) or (B, N, 3) in network
        units; differentiable. As Detector.look."""
        places, variances = [], []
        for descriptors, side in zip(self.views, (1.0, -1.0), strict=False):
            mirror = torch.tensor([side, 1.0, 1.0], device=queries.device)  # the rest head is symmetric
            xy, log_sigma = network.decode(descriptors, queries * mirror)
            places.append(xy * mirror[:2])
            variances.append((2 * log_sigma).exp())
        return torch.stack(places).mean(0), torch.stack(variances).mean(0)


class DenseHead:
    """Reads dense faces out of pictures: `head.faces(head.see(pictures), crops)`."""

    def __init__(self, detector: Detector, model: HeadModel | None = None) -> None:
        self.detector = detector
        self.model = model or HeadModel.load()
        self.count = max(self.model.parts[name].vertices.stop for name in SHOWN_PARTS)
        self.triangles = np.ascontiguousarray(
            self.model.triangles[: max(self.model.parts[name].triangles.stop for name in SHOWN_PARTS)]
        )
        self.positions = self.model.rest[: self.count]

    def see(self, pictures: NDArray[np.uint8]) -> Sight:
        """Face crops (B, S, S, 3), RGB, as the detector takes them."""
        views = [self.detector.encode(pictures)]
        if self.detector.mirror:
            views.append(self.detector.encode(np.ascontiguousarray(pictures[:, :, ::-1])))
        return Sight(tuple(v.detach().clone() for v in views))  # tensors of inference mode take no part in gradients

    def landmarks(self, sight: Sight, positions: NDArray) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """xy (B, N, 2) and sigma (B, N) in crop coordinates of canonical positions (N, 3), metres."""
        unit = np.float32(self.detector.units_per_metre)
        queries = torch.from_numpy(np.asarray(positions, np.float32) * unit).to(sight.views[0].device)
        with torch.inference_mode():
            xy, variance = sight.decoded(self.detector.network, queries)
        return xy.float().cpu().numpy(), variance.sqrt().float().cpu().numpy()

    def faces(self, sight: Sight, crops: NDArray) -> list[DenseFace]:
        """Dense faces of pictures that were cut by `crops` (B, 2, 3), crop coordinates to plate pixels."""
        inside, sigma = self.landmarks(sight, self.positions)
        xy, spread = to_pixels(inside, sigma, crops)
        anchors, faces = self.under.anchors, []
        for i in range(len(inside)):
            _, depth = self.under.of(inside[i, anchors], sigma[i, anchors])
            faces.append(DenseFace(xy[i], spread[i], depth, np.asarray(crops[i], np.float64)))
        return faces

    def sketches(self, sight: Sight, crops: NDArray) -> list[DenseFace]:
        """As `faces`, twenty times quicker: the network is asked for a few hundred vertices only, and the rest is where
        a head laid under those has them; `sigma` is the mean of theirs."""
        inside, sigma = self.landmarks(sight, self.positions[self.under.anchors])
        faces = []
        for i in range(len(inside)):
            laid, depth = self.under.of(inside[i], sigma[i])
            mean = np.full((1, self.count), sigma[i].mean(), np.float32)
            xy, spread = to_pixels(laid[None], mean, np.asarray(crops[i])[None])
            faces.append(DenseFace(xy[0], spread[0], depth, np.asarray(crops[i], np.float64)))
        return faces

    @cached_property
    def under(self) -> "HeadUnderLandmarks":
        """The head that is laid under landmarks of a picture."""
        return HeadUnderLandmarks(self.model, self.count)


class HeadUnderLandmarks:
    """A scaled-orthographic head with identity and expression, solved for in turn under landmarks of one picture at the
    vertices `anchors` (n,)."""

    def __init__(self, model: HeadModel, count: int, anchors: int = _ANCHORS) -> None:
        self.model, self.count = model, count
        face = np.flatnonzero(model.region_mask("face"))
        around = np.flatnonzero(model.region_mask("ear_left") | model.region_mask("ear_right"))
        skin = np.concatenate([face, around])
        self.anchors = skin[farthest_points(model.rest[skin], anchors)]
        self.base = model.rest[self.anchors].astype(np.float64)
        one_each = model.vertices(expression=np.eye(len(model.expression_names), dtype=np.float32))
        expression = one_each[:, self.anchors] - model.rest[self.anchors]
        identity = model.identity_basis[:_IDENTITY_MODES, self.anchors]
        self.modes = np.ascontiguousarray(np.concatenate([identity, expression]), np.float64)  # (M, n, 3)
        spread = np.ones(len(self.modes))
        spread[_IDENTITY_MODES:] = _EXPRESSION_SPREAD
        self.stiffness = np.diag(1 / spread**2)

    def of(self, xy: NDArray, sigma: NDArray) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Crop coordinates (V, 2) and depth (V,) of the head under its anchors' crop coordinates (n, 2), sigma (n,)."""
        target, doubt = xy.astype(np.float64), np.maximum(sigma, 0.02).astype(np.float64)
        weight = (doubt.min() / doubt) ** 2
        weights = np.zeros(len(self.modes))
        for _ in range(4):
            shape = self.base + (weights @ self.modes.reshape(len(weights), -1)).reshape(-1, 3)
            scale, rotation, shift = _pose(shape, target, weight)
            flat = (self.modes.reshape(-1, 3) @ (scale * rotation[:2].T)).reshape(len(weights), -1, 2)
            rest = target - shift - scale * self.base @ rotation[:2].T
            pull = np.sqrt(weight)[:, None] / _ERROR
            rows = (flat * pull).reshape(len(flat), -1)
            weights = np.linalg.solve(rows @ rows.T + self.stiffness, rows @ (rest * pull).ravel())
            weights[_IDENTITY_MODES:] = np.clip(weights[_IDENTITY_MODES:], 0, 1)
        identity = np.zeros(self.model.identity_size, np.float32)
        identity[:_IDENTITY_MODES] = np.clip(weights[:_IDENTITY_MODES], -3, 3)
        vertices = self.model.vertices(identity, weights[_IDENTITY_MODES:].astype(np.float32))[: self.count]
        placed = vertices @ rotation.T.astype(np.float32)
        return (scale * placed[:, :2] + shift).astype(np.float32), placed[:, 2] + np.float32(_AWAY)


def _pose(shape: NDArray, target: NDArray, weight: NDArray) -> tuple[float, NDArray, NDArray]:
    """Scaled-orthographic pose: scale, rotation (3, 3) and shift (2,) with target = scale * rotation[:2] shape + shift.

    The affine least-squares camera, its two rows made orthonormal.
    """
    w = weight[:, None]
    middle, centre = (shape * w).sum(0) / w.sum(), (target * w).sum(0) / w.sum()
    a, b = shape - middle, target - centre
    rows = np.linalg.solve((a * w).T @ a + 1e-9 * np.eye(3), (a * w).T @ b).T  # (2, 3)
    scale = float(np.sqrt(np.linalg.norm(rows[0]) * np.linalg.norm(rows[1]))) or 1.0
    rotation = project_to_so3(np.stack([rows[0], rows[1], np.cross(rows[0], rows[1]) / scale]) / scale)
    return scale, rotation, centre - scale * rotation[:2] @ middle


def facing(xy: NDArray, triangles: NDArray) -> NDArray[np.bool_]:
    """(T,) which triangles turn their outside to the camera, by their winding at plate pixels xy (V, 2)."""
    a, b, c = (xy[triangles[:, k]] for k in range(3))
    return (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) < (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])


def hits(
    face: DenseFace, triangles: NDArray, points: NDArray, resolution: int = 384
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Which triangle of a dense face, in front of all others, a plate pixel (N, 2) shows, and where on it.

    Returns triangle (N,), -1 where the point is off the head, and bary (N, 3). Drawn at `resolution` pixels a crop.
    """
    to_crop = invert_affine(face.crop)
    place = (apply_affine(to_crop, face.xy) + 1.5) * (resolution / 3)
    front = np.flatnonzero(facing(face.xy, triangles))
    drawn, _, bary = rasterize(place, face.depth, triangles[front], resolution, resolution)
    drawn = np.where(drawn >= 0, front[np.maximum(drawn, 0)], -1)
    at = (apply_affine(to_crop, np.asarray(points, np.float64)) + 1.5) * (resolution / 3)
    column, row = np.floor(at[:, 0]).astype(int), np.floor(at[:, 1]).astype(int)
    inside = (column >= 0) & (column < resolution) & (row >= 0) & (row < resolution)
    triangle, where = np.full(len(at), -1, np.int64), np.zeros((len(at), 3))
    triangle[inside] = drawn[row[inside], column[inside]]
    where[inside] = bary[row[inside], column[inside]]
    return triangle, where


def nearest(face: DenseFace, triangles: NDArray, points: NDArray, resolution: int = 384) -> NDArray[np.float64]:
    """(N,) depth of the surface in front of all others at plate pixels (N, 2), inf off the head. `triangles` are those
    to draw."""
    to_crop = invert_affine(face.crop)
    place = (apply_affine(to_crop, face.xy) + 1.5) * (resolution / 3)
    _, depth, _ = rasterize(place, face.depth, triangles, resolution, resolution)
    at = np.floor((apply_affine(to_crop, np.asarray(points, np.float64)) + 1.5) * (resolution / 3)).astype(int)
    inside = ((at >= 0) & (at < resolution)).all(1)
    found = np.full(len(at), np.inf)
    found[inside] = depth[at[inside, 1], at[inside, 0]]
    return found
