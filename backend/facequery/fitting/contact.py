"""The jaw against the skull: how far it may go sideways before bone meets bone.

How far depends on the person, on how wide the jaw is open and how far it is pushed forward: the coronoid process
passes the zygomatic arch only when the mouth is open. The limit is found on the meshes, on a grid of both, once, and
only for shots in which a jaw goes sideways far enough to ask.
"""

from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator
from scipy.spatial import cKDTree

from facequery.fitting.points import JAW_NAMES
from facequery.fitting.state import State

if TYPE_CHECKING:
    from facequery.head.model import HeadModel

Array = NDArray[np.float64]
_TOUCH = 0.0003  # metres that vertices may lie in each other: meshes of this resolution touch there
_OPEN, _FORWARD = np.array([0.0, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 1.0]), np.array([0.0, 0.25, 0.5, 0.75, 1.0])
_SIDEWAYS = np.linspace(0.0, 1.0, 9)
_FREE = 0.1  # weight to either side that no jaw minds
_NEAR = 0.006  # metres beyond which vertices have nothing to do with each other
_NEIGHBOURS = 4  # of the skull's vertices a point must lie behind, all of them, to be inside


class JawContact:
    """One person's mandible and cranium; `neutral` (V, 3) canonical metres, `identity` (K,) of the head's own."""

    def __init__(self, model: "HeadModel", neutral: Array, identity: Array) -> None:
        self._model, self._identity = model, identity
        self._weights = [list(model.expression_names).index(name) for name in JAW_NAMES]
        part = model.parts["cranium"]
        triangles = np.asarray(model.triangles[part.triangles]) - part.vertices.start
        self._skull = np.asarray(neutral[part.vertices], np.float64)
        self._jaw = np.asarray(neutral[model.parts["mandible"].vertices], np.float64)
        corners = self._skull[triangles]
        faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normals = np.zeros_like(self._skull)
        for k in range(3):
            np.add.at(normals, triangles[:, k], faces)
        self._normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        self._tree = cKDTree(self._skull)

    def depth(self, opening: float, forward: float, left: float) -> float:
        """Metres by which the mandible lies in the cranium where it lies deepest; `left` is negative to the right."""
        weights = np.zeros(len(self._model.expression_names))
        weights[self._weights] = opening, forward, max(left, 0.0), max(-left, 0.0)
        turn, move = self._model.jaw_transform(weights, self._identity)
        jaw = self._jaw @ np.asarray(turn, np.float64).T + move
        distance, nearest = self._tree.query(jaw, k=_NEIGHBOURS, distance_upper_bound=_NEAR)
        close = np.isfinite(distance).all(1)
        if not close.any():
            return 0.0
        at = nearest[close]
        height = ((jaw[close, None] - self._skull[at]) * self._normals[at]).sum(2).max(1)
        return float(max(-height.min(), 0.0))

    @cached_property
    def _limits(self) -> RegularGridInterpolator:
        """Weights of jawLeft and jawRight up to which the jaw is clear, over opening and forward."""
        at_rest = max(self.depth(0.0, 0.0, 0.0), _TOUCH)  # of a mesh of the user's own, which may overlap as it came
        limits = np.ones((len(_OPEN), len(_FORWARD)))
        for i, opening in enumerate(_OPEN):
            for j, forward in enumerate(_FORWARD):
                for low, sideways in pairwise(_SIDEWAYS):
                    if max(self.depth(opening, forward, s * sideways) for s in (1.0, -1.0)) > at_rest:
                        limits[i, j] = low
                        break
        return RegularGridInterpolator((_OPEN, _FORWARD), limits)

    def upper(self, expression: Array) -> Array:
        """(F, 52) the greatest weights: 1, but for jawLeft and jawRight where bone would meet bone."""
        bounds = np.ones_like(expression)
        opening, forward, left, right = self._weights
        asked = np.abs(expression[:, left] - expression[:, right]) > _FREE
        if asked.any():
            limit = self._limits(expression[asked][:, [opening, forward]].clip(0.0, 1.0))
            bounds[np.ix_(np.flatnonzero(asked), np.array([left, right]))] = limit[:, None]
        return bounds


def clear(contact: JawContact, state: State) -> tuple[State, Array, NDArray[np.bool_]]:
    """The state with its jaw out of the skull, the bounds (F, 52) that say so, and which frames (F,) were in it."""
    bounds = contact.upper(state.expression)
    inside = (state.expression > bounds + 1e-9).any(1)
    return replace(state, expression=np.minimum(state.expression, bounds)), bounds, inside
