"""Fitting the head to a portrait with the 478 points of MediaPipe's mesh, so that its picture can become a skin.

Identity, expression, pose and distance by Gauss-Newton with Gaussian priors; what is left over is taken up by a smooth
shift in the picture, so that the projected mesh meets the points.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facequery.geometry.rotations import axis_angle_to_matrix
from facequery.head.layouts import load_layout
from facequery.head.model import HeadModel

POINTS = 468  # of the 478: the irises turn with the gaze and are left out
DISTANCE = 1.2  # metres between camera and face: portraits do not tell, this is their usual
_TO_CAMERA = np.diag([1.0, -1.0, -1.0])  # canonical axes -> OpenCV's axes of a camera that looks at the face
_NOISE = 0.006  # standard deviation of the points, of the face's size
_EXPRESSION = 0.35  # prior standard deviation of expression weights
_REACH = 0.045  # metres on the rest head over which the free shift fades
_FAR = 0.1  # metres that the face may move along the camera's axis in a step: portraits hardly tell
_STEPS = 9


@dataclass(frozen=True)
class PortraitFit:
    """identity (K,), expression (52,); vertices (V, 3) canonical metres; screen (V, 2) picture pixels of them all, the
    free shift included; camera (V, 3) metres, camera space; rotation (3, 3) canonical -> camera; error: mean distance
    of the points before the free shift, over the face's size; millimetres: of a pixel at the face."""

    identity: NDArray[np.float32]
    expression: NDArray[np.float32]
    vertices: NDArray[np.float32]
    screen: NDArray[np.float64]
    camera: NDArray[np.float64]
    rotation: NDArray[np.float64]
    error: float
    millimetres: float

    @property
    def yaw(self) -> float:
        """Degrees that the face is turned away from the camera, to either side."""
        outwards = self.rotation[:, 2]
        return float(np.degrees(np.arctan2(abs(outwards[0]), -outwards[2])))


class PortraitFitter:
    """Fits one head model to portraits; what does not depend on the picture is prepared once."""

    def __init__(self, model: HeadModel):
        self.model = model
        binding = model.bind(load_layout("mediapipe478").positions[:POINTS])

        def at_points(basis: NDArray) -> NDArray[np.float64]:
            return np.einsum("nk,bnkc->bnc", binding.weights, basis[:, binding.indices].astype(np.float64))

        self.rest = binding.positions.astype(np.float64)
        self.basis = np.concatenate([at_points(model.identity_basis), at_points(model.expression_basis)])
        self.by_point = np.ascontiguousarray(self.basis.transpose(1, 2, 0))
        self.identities = model.identity_size
        self.spread = np.full(len(self.basis), 1.0)
        self.spread[self.identities :] = _EXPRESSION
        # The face with the mouth a little open: lips that touch at rest must be able to part.
        expression = np.zeros(len(model.expression_names), np.float32)
        expression[model.expression_names.index("jawOpen")] = 0.3
        opened = model.vertices(None, expression).astype(np.float64)
        sites = self.rest + np.einsum("nk,nkc->nc", binding.weights, (opened - model.rest)[binding.indices])
        kernel = _wendland(sites, sites) + 0.02 * np.eye(POINTS)
        self.spread_shift = _wendland(opened, sites) @ np.linalg.inv(kernel)

    def fit(self, points: NDArray, width: int, height: int) -> PortraitFit:
        """Fit to points (478, 2) in pixels of a picture of width x height."""
        points = np.asarray(points[:POINTS], np.float64)
        size = float((points.max(0) - points.min(0)).max())
        noise, count, people = _NOISE * size, len(self.basis), self.identities
        centre = np.array([width / 2, height / 2])
        rotation, translation, focal = self._start(points, centre)
        shape = np.zeros(count)
        for step in range(_STEPS):
            seen, jacobian = self._projected(shape, rotation, translation, focal, centre)
            residual = points - seen
            # Wrong points cost less: Cauchy weights, at twice the noise.
            weight = 1 / (1 + (residual**2).sum(1) / (2 * noise) ** 2) if step >= 3 else np.ones(POINTS)
            root = np.sqrt(np.repeat(weight, 2)) / noise
            jacobian, target = jacobian * root[:, None], residual.reshape(-1) * root
            normal, gradient = jacobian.T @ jacobian, jacobian.T @ target
            # The first steps place the rest head: shape follows once the pose is about right.
            prior = 1 / self.spread**2 * (100.0 if step < 3 else 1.0)
            normal[np.arange(count), np.arange(count)] += prior
            gradient[:count] -= prior * shape
            normal[-1, -1] += _FAR**-2
            delta = np.linalg.solve(normal, gradient)
            shape = shape + delta[:count]
            shape[:people], shape[people:] = shape[:people].clip(-3, 3), shape[people:].clip(0, 1)
            rotation = axis_angle_to_matrix(delta[count : count + 3]) @ rotation
            translation = translation + delta[count + 3 :]
        identity, expression = shape[:people].astype(np.float32), shape[people:].astype(np.float32)
        vertices = self.model.vertices(identity, expression)
        left = points - self._projected(shape, rotation, translation, focal, centre)[0]
        camera = vertices @ rotation.T + translation
        screen = camera[:, :2] / camera[:, 2:] * focal + centre + self.spread_shift @ left
        return PortraitFit(
            identity, expression, vertices, screen, camera, rotation,
            float(np.linalg.norm(left, axis=1).mean() / size), 1000 * float(camera[:, 2].mean()) / focal,
        )  # fmt: skip

    def _start(self, points: NDArray, centre: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
        """Rotation, translation and focal length, pixels, of the rest head laid over points (n, 2) as seen in front."""
        flat = self.rest[:, :2] * [1, -1]
        a, b = flat - flat.mean(0), points - points.mean(0)
        turn = np.arctan2((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum(), (a * b).sum())
        focal = float(np.sqrt((b**2).sum() / (a**2).sum())) * DISTANCE
        c, s = np.cos(turn), np.sin(turn)
        rotation = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]]) @ _TO_CAMERA
        middle = np.append((points.mean(0) - centre) / focal * DISTANCE, DISTANCE)
        return rotation, middle - rotation @ self.rest.mean(0), focal

    def _projected(
        self, shape: NDArray, rotation: NDArray, translation: NDArray, focal: float, centre: NDArray
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Pixels (n, 2) of the points and their derivatives (2 n, B + 6) by shape, a small turn and a small move."""
        turned = (self.rest + np.tensordot(shape, self.basis, 1)) @ rotation.T
        camera = turned + translation
        depth = camera[:, 2:]
        slope = np.zeros((POINTS, 2, 3))  # of pixels by camera position
        slope[:, 0, 0] = slope[:, 1, 1] = focal / depth[:, 0]
        slope[:, :, 2] = -camera[:, :2] / depth**2 * focal
        cross = np.zeros((POINTS, 3, 3))  # cross @ w is the turned position times w
        for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
            cross[:, k, j], cross[:, j, k] = turned[:, i], -turned[:, i]
        columns = [slope @ rotation @ self.by_point, -slope @ cross, slope]
        return camera[:, :2] / depth * focal + centre, np.concatenate(columns, -1).reshape(2 * POINTS, -1)


def _wendland(points: NDArray, sites: NDArray) -> NDArray[np.float64]:
    """Smooth bumps of compact support (P, S) (Wendland 1995, function phi 3,1)."""
    distance = np.linalg.norm(points[:, None] - sites[None], axis=-1) / _REACH
    return np.clip(1 - distance, 0, None) ** 4 * (4 * distance + 1)
