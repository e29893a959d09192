"""Shape that the identity basis cannot follow: smooth modes over the head, learned by nobody, found by a fit.

A person differs from the statistical head by a millimetre or two, smoothly. That difference is a Gaussian process in
space; its first eigenfunctions, for each axis, are further shape modes whose coefficients are N(0, 1), solved together
with identity and camera. So dense landmarks find the person's own shape, few landmarks leave it at zero, and a focal
length knows that the shape is not certain (Luethi et al., Gaussian Process Morphable Models, PAMI 2018, sections 3-4).
"""

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from facequery.head.model import HeadModel

Array = NDArray[np.float64]
_SCALES = ((0.6, 0.030), (0.4, 0.014))  # share of the variance, correlation length in metres
_CENTRES = 400
FUNCTIONS = 48  # eigenfunctions; three modes each


@lru_cache(maxsize=4)
def smooth_functions(model: "HeadModel") -> NDArray[np.float32]:
    """Scalar eigenfunctions (V, M) over the head's vertices at rest, of unit variance together on the face.

    They are centred on the skin of the face and fade away from it. Eyeballs move as a whole.
    """
    rest = np.asarray(model.rest, np.float64)
    skin = np.arange(len(rest))[model.parts["skin"].vertices]
    face = rest[skin[np.asarray(model.region_mask("face"))]]
    chosen = [0]
    nearest = np.full(len(face), np.inf)
    while len(chosen) < min(_CENTRES, len(face)):
        nearest = np.minimum(nearest, ((face - face[chosen[-1]]) ** 2).sum(1))
        chosen.append(int(nearest.argmax()))
    centres = face[chosen]
    values, vectors = np.linalg.eigh(_kernel(centres, centres))
    order = np.argsort(values)[::-1][:FUNCTIONS]
    weights = vectors[:, order] / np.sqrt(np.maximum(values[order], 1e-12))
    functions = _kernel(rest.astype(np.float32), centres.astype(np.float32)) @ weights.astype(np.float32)
    for name in ("eye_left", "eye_right"):
        part = model.parts[name].vertices
        functions[part] = functions[part].mean(0)
    return functions


def _kernel(one: NDArray[Any], two: NDArray[Any]) -> NDArray[Any]:
    square = ((one**2).sum(1)[:, None] + (two**2).sum(1)[None] - 2.0 * one @ two.T).clip(0)
    out = np.zeros_like(square)
    for share, length in _SCALES:
        out += np.exp(square * np.asarray(-0.5 / length**2, square.dtype)) * np.asarray(share, square.dtype)
    return out


def shape_modes(model: "HeadModel", spread: float) -> NDArray[np.float32]:
    """Modes (3 M + S, V, 3): every function along x, y and z, and the depths of tissue over the bones at S sites.

    The functions together are `spread` metres root mean square on the face; the coefficients of all modes are N(0, 1).
    """
    functions = smooth_functions(model).T * np.float32(spread / np.sqrt(3.0))
    modes = np.zeros((len(functions), 3, functions.shape[1], 3), np.float32)
    for axis in range(3):
        modes[:, axis, :, axis] = functions
    return np.concatenate([modes.reshape(-1, functions.shape[1], 3), np.asarray(model.tissue_basis, np.float32)])
