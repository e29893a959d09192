"""Free-form shape of the face: smooth offsets of every vertex, beyond identity and the smooth modes.

Offsets are a Gaussian field on the skin of the face, with a Laplacian for its precision (Sorkine et al., Laplacian
Surface Editing, SGP 2004, section 3, is the same energy): where landmarks are dense they follow them, elsewhere they
are zero. Detectors are wrong in much the same way in every frame, so frames count as in `statistics`.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix, csr_matrix, diags, identity, kron
from scipy.sparse.linalg import splu

from facequery.fitting.points import jaw_motion
from facequery.fitting.problem import Problem
from facequery.fitting.state import State

if TYPE_CHECKING:
    from facequery.head.binding import Binding
    from facequery.head.model import HeadModel

Array = NDArray[np.float64]
DENSE = 2000  # landmarks from which on there is something to gain
_SPREAD = 0.0005  # metres, root mean square per axis
_LENGTH = 0.006  # metres over which offsets are alike
_BLUR = 0.5  # share of the model's error that offsets cannot explain


class FaceField:
    """Offsets of the vertices of the face region of a head: `use` (n,) their indices."""

    def __init__(self, model: "HeadModel", spread: float = _SPREAD, length: float = _LENGTH) -> None:
        part = model.parts["skin"]
        skin = np.asarray(model.triangles[part.triangles], np.int64) - part.vertices.start
        self.use = np.flatnonzero(np.asarray(model.region_mask("face"))) + part.vertices.start
        rest = np.asarray(model.rest, np.float64)[part.vertices]
        edges = np.unique(np.sort(np.concatenate([skin[:, [0, 1]], skin[:, [1, 2]], skin[:, [2, 0]]]), axis=1), axis=0)
        ends = np.concatenate([edges, edges[:, ::-1]])
        neighbours = csr_matrix((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(len(rest), len(rest)))
        count = np.maximum(np.asarray(neighbours.sum(1)).ravel(), 1.0)
        step = float(np.median(np.linalg.norm(rest[edges[:, 0]] - rest[edges[:, 1]], axis=1)))
        laplacian = (identity(len(rest)) - diags(1.0 / count) @ neighbours) * (4.0 / step**2)
        inside = laplacian.tocsc()[:, self.use - part.vertices.start]  # the rest of the skin stays
        alike = 2.0 * np.pi * (length / step) ** 2  # vertices that move together
        scalar = (identity(len(self.use)) + length**4 * (inside.T @ inside)) / (spread**2 * alike)
        self._precision = kron(scalar, identity(3)).tocsc()

    def solve(self, weights: csr_matrix, information: Array, pull: Array) -> Array:
        """Offsets (n, 3) most probable under N observations of moved points.

        weights (N, n): how much of each vertex' offset a point gets; information (N, 3, 3) in 1 / m^2; pull (N, 3):
        information times the wanted movement.
        """
        n = len(information)
        at = 3 * np.arange(n)[:, None, None]
        rows = np.broadcast_to(at + np.arange(3)[:, None], (n, 3, 3)).ravel()
        columns = np.broadcast_to(at + np.arange(3)[None], (n, 3, 3)).ravel()
        blocks = csc_matrix((information.ravel(), (rows, columns)), shape=(3 * n, 3 * n))
        wide = kron(weights, identity(3)).tocsc()
        matrix = (wide.T @ blocks @ wide + self._precision).tocsc()
        solution: Array = splu(matrix).solve(wide.T @ pull.ravel())
        return solution.reshape(-1, 3)


def observed(problem: Problem, state: State, jaw_weight: Array) -> tuple[Array, Array]:
    """What all frames and views say of each landmark's place on the head: information (N, 3, 3) and pull (N, 3).

    `jaw_weight` (N,): how far a landmark is carried by the jaw. Canonical metres at rest.
    """
    count = len(problem.basis.rest)
    information, pull = np.zeros((count, 3, 3)), np.zeros((count, 3))
    points = problem.canonical(state)
    gaps, depths = problem.gaps(state)
    jaw = jaw_motion(problem.model, state.identity, state.expression, derivatives=False).rotation
    for v, view in enumerate(problem.views):
        rotation, translation = problem.to_camera(state, v)
        gap = -gaps[v]
        blur = _BLUR * problem.model_error * view.fy[:, None] * state.focal[v] / np.maximum(depths[v], 0.05)
        inverse = 1.0 / (view.sigma**2 + blur**2)
        c2 = problem.settings.robust**2
        weight = problem.data_weight * view.weight * inverse * (c2 / (c2 + (gap**2).sum(-1) * inverse)) ** 2
        for f in range(problem.frames):
            world = points[f] @ state.rotation[f].T + state.translation[f]
            seen = world @ rotation[f].T + translation[f]
            z = np.maximum(seen[:, 2], 1e-3)
            lens = np.zeros((count, 2, 3))
            lens[:, 0, 0], lens[:, 1, 1] = view.fx[f] * state.focal[v] / z, view.fy[f] * state.focal[v] / z
            lens[:, :, 2] = -lens[:, [0, 1], [0, 1]] * seen[:, :2] / z[:, None]
            head = rotation[f] @ state.rotation[f]
            turn = head + jaw_weight[:, None, None] * (head @ (jaw[f] - np.eye(3)))
            rows = lens @ turn
            weighted = rows * weight[f][:, None, None]
            information += np.swapaxes(weighted, 1, 2) @ rows
            pull += (np.swapaxes(weighted, 1, 2) @ gap[f][:, :, None])[..., 0]
    return information / problem.identity_weight, pull / problem.identity_weight


def free_form(problem: Problem, state: State, binding: "Binding") -> tuple[Array, Array]:
    """Offsets of all vertices (V, 3), and those of the landmarks (N, 3) that hang on them, canonical metres at rest."""
    model = problem.model
    field = FaceField(model)
    place = np.full(len(model.rest), -1)
    place[field.use] = np.arange(len(field.use))
    indices, own = np.asarray(binding.indices), np.asarray(binding.weights, np.float64)
    there = place[indices] >= 0
    rows = np.repeat(np.arange(len(indices)), indices.shape[1])[there.ravel()]
    shape = (len(indices), len(field.use))
    weights = csr_matrix((own[there], (rows, place[indices][there])), shape=shape)
    carried = (own * np.asarray(model.jaw_weight, np.float64)[indices]).sum(1)
    information, pull = observed(problem, state, carried)
    offsets = field.solve(weights, information, pull)
    every = np.zeros((len(model.rest), 3))
    every[field.use] = offsets
    return every, np.asarray(weights @ offsets)
