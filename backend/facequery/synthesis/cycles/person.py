"""People whom no model made: an identity, a smooth shape beside the model's basis, and bones at depths of their own."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from facequery.assets import asset, source_data
from facequery.head.model import HeadModel

_FAINT = 0.0003  # metres RMS over the face: an identity mode with less effect is left alone
BONES = ("cranium", "mandible")


@dataclass(frozen=True)
class Person:
    """identity (K,); tissue (S,) standard deviations of tissue depth; offsets (V, 3) canonical metres, added to every
    part of the neutral head."""

    name: str
    identity: np.ndarray
    tissue: np.ndarray
    offsets: np.ndarray

    def neutral(self, model: HeadModel) -> np.ndarray:
        """Vertices (V, 3) of the neutral head, canonical metres."""
        shape = model.vertices(self.identity, tissue=self.tissue)
        result: np.ndarray = np.asarray(shape, float) + self.offsets
        return result

    def eye_centres(self, model: HeadModel) -> np.ndarray:
        """Centres of rotation (2, 3) of the left and right eye, canonical metres."""
        shift = [self.offsets[model.parts[name].vertices].mean(0) for name in ("eye_left", "eye_right")]
        result: np.ndarray = np.asarray(model.eye_centres(self.identity), float) + shift
        return result

    def vertices(self, model: HeadModel, expression: np.ndarray, eye_rotation: np.ndarray) -> np.ndarray:
        """Vertices (F, V, 3) of all parts, canonical metres, for weights (F, 52) and eyes (F, 2, 3, 3).

        The offset of a vertex turns with the jaw as far as the vertex itself does; every eye has one offset.
        """
        moved = np.empty((len(expression), *self.offsets.shape))
        turn, _ = self.jaw_transform(model, expression)
        share = np.asarray(model.jaw_weight, float)[:, None]
        for index, weights in enumerate(expression):
            offsets = self.offsets + share * (self.offsets @ turn[index].T - self.offsets)
            moved[index] = model.vertices(self.identity, weights, eye_rotation[index], self.tissue)
            moved[index] += offsets
        return moved

    def jaw_transform(self, model: HeadModel, expression: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rotation (F, 3, 3) and translation (F, 3), canonical: neutral mandible to its place under weights (F, 52)."""
        rotation, translation = model.jaw_transform(expression, self.identity)
        return np.asarray(rotation, float), np.asarray(translation, float)


def smooth_field(rng: np.random.Generator, points: np.ndarray, scale: float, waves: int = 60) -> np.ndarray:
    """A random vector field (N, 3) of unit variance at points (N, 3), smooth over `scale` metres: random Fourier
    features of a Gaussian kernel (Rahimi and Recht 2007, section 3)."""
    frequency = rng.normal(0, 1 / scale, (waves, 3))
    phase = rng.uniform(0, 2 * np.pi, waves)
    weight = rng.normal(size=(waves, 3))
    result: np.ndarray = np.sqrt(2 / waves) * np.cos(points @ frequency.T + phase) @ weight
    return result


def _seat_eyes(model: HeadModel, field: np.ndarray) -> None:
    """Gives, in place, every eyeball one offset (of a field (V, 3)), and the lids near it the same."""
    rest, skin = np.asarray(model.rest, float), model.parts["skin"].vertices
    for name in ("eye_left", "eye_right"):
        centre = rest[model.parts[name].vertices].mean(0)
        distance = np.linalg.norm(rest[skin] - centre, axis=1)
        own = field[skin][np.argsort(distance)[:200]].mean(0)
        near = np.exp(-((distance / 0.021) ** 4))[:, None]
        field[skin] = field[skin] * (1 - near) + near * own
        field[model.parts[name].vertices] = own


def off_basis(rng: np.random.Generator, model: HeadModel, rms: float = 0.0015, depth: float = 0.0006) -> np.ndarray:
    """Offsets (V, 3) that the identity basis cannot make: smooth, `rms` metres over the face, nothing of the basis.

    Bones get the same field, and a smooth change of tissue depth of `depth` metres RMS along the way out of the head.
    Every eyeball moves as one, and the lids near it move with it, so that they still close.
    """
    rest = np.asarray(model.rest, float)
    skin = model.parts["skin"].vertices
    field = smooth_field(rng, rest, 0.035) + 0.5 * smooth_field(rng, rest, 0.018)
    # What the basis could explain over the face, which is where a fit looks, is taken away.
    face = np.flatnonzero(model.region_mask("face"))
    basis = np.asarray(model.identity_basis, float)[:, skin][:, face].reshape(len(model.identity_basis), -1)
    # Modes that hardly move the face are damped: they would have to be huge, and tear the head apart elsewhere.
    gram = basis @ basis.T / len(face) + _FAINT**2 * np.eye(len(basis))
    coefficients = np.linalg.solve(gram, basis @ field[skin][face].ravel() / len(face))
    field = field - np.einsum("k,kvc->vc", coefficients, np.asarray(model.identity_basis, float))
    _seat_eyes(model, field)
    field *= rms / np.sqrt((field[skin][face] ** 2).sum(1).mean())
    for name in BONES:
        if name not in model.parts:
            continue
        part = model.parts[name].vertices
        outward = rest[part] - np.array([0.0, -0.01, -0.06])
        outward /= np.linalg.norm(outward, axis=1, keepdims=True)
        field[part] += depth * smooth_field(rng, rest[part], 0.05)[:, :1] * outward
    return field


def source_person(rng: np.random.Generator, model: HeadModel, spread: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
    """A person of the source's own 100 modes, of which the model keeps 80, symmetric ones: identity (K,), and offsets
    (V, 3) metres, all that those leave of the shape: asymmetry and faint modes.

    Mouth, eyes and bones take the offsets of the skin near them. Raises UserError where the source data is absent.
    """
    with np.load(source_data("head") / "ict_facekit.npz", allow_pickle=False) as data:
        modes = data["identity"]
        ranges = dict(zip(data["region_names"].tolist(), data["region_vertex_range"].tolist(), strict=True))
    with np.load(asset("head/head.npz"), allow_pickle=False) as data:
        source = data["source_vertex"]
    rest, skin = np.asarray(model.rest, float), model.parts["skin"].vertices
    coefficients = (spread * rng.normal(size=len(modes))).clip(-2.2, 2.2) * 0.01  # the source has centimetres
    every = np.tensordot(coefficients, modes.astype(np.float32), 1)
    eyes = np.stack([every[slice(*ranges[name])].mean(0) for name in ("eyeball_L", "eyeball_R")])
    # Heads of the model have their origin between the eyes.
    shape = every[source[skin]] - eyes.mean(0) * [0, 1, 1]
    basis = np.asarray(model.identity_basis, float)[:, skin].reshape(model.identity_size, -1)
    gram = basis @ basis.T / len(shape) + (0.03 * _FAINT) ** 2 * np.eye(len(basis))
    identity = np.linalg.solve(gram, basis @ shape.ravel() / len(shape))
    left = shape - (identity @ basis).reshape(-1, 3)
    offsets = np.zeros_like(rest)
    offsets[skin] = left
    inner = np.arange(skin.stop, len(rest))
    distance, index = cKDTree(rest[skin]).query(rest[inner], k=40)
    weight = 1 / (distance + 0.004)
    offsets[inner] = (left[index] * (weight / weight.sum(1, keepdims=True))[..., None]).sum(1)
    _seat_eyes(model, offsets)
    return identity, offsets


def outsider(rng: np.random.Generator, model: HeadModel, rms: float = 0.0015) -> Person:
    """A person for tests: all modes of the source, a smooth shape beside them of `rms` metres over the face, bones at
    depths of their own. Raises UserError where the source data is absent."""
    identity, offsets = source_person(rng, model)
    tissue = rng.normal(size=len(model.tissue_names)).clip(-2, 2)
    return Person("", identity, tissue, offsets + off_basis(rng, model, rms))


def stranger(seed: int, model: HeadModel, name: str = "", spread: float = 0.9) -> Person:
    """A person drawn by seed: identity about N(0, spread^2) within 2.2, offsets by `off_basis`."""
    rng = np.random.default_rng(seed)
    identity = (spread * rng.normal(size=len(model.identity_basis))).clip(-2.2, 2.2)
    tissue = rng.normal(size=len(model.tissue_names)).clip(-2, 2)
    return Person(name or f"stranger {seed}", identity, tissue, off_basis(rng, model))
