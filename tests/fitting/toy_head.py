"""A small linear head with the same interface as the real one, exactly symmetric, for fast and exact tests."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.spatial import ConvexHull

PAIRS = [
    "browDown",
    "browOuterUp",
    "cheekSquint",
    "eyeBlink",
    "eyeLookDown",
    "eyeLookIn",
    "eyeLookOut",
    "eyeLookUp",
    "eyeSquint",
    "eyeWide",
    "jaw",
    "mouth",
    "mouthDimple",
    "mouthFrown",
    "mouthLowerDown",
    "mouthPress",
    "mouthSmile",
    "mouthStretch",
    "mouthUpperUp",
    "noseSneer",
]
MIDDLE = [
    "browInnerUp",
    "cheekPuff",
    "jawForward",
    "jawOpen",
    "mouthClose",
    "mouthFunnel",
    "mouthPucker",
    "mouthRollLower",
    "mouthRollUpper",
    "mouthShrugLower",
    "mouthShrugUpper",
    "tongueOut",
]
NAMES = tuple(sorted([p + side for p in PAIRS for side in ("Left", "Right")] + MIDDLE))
MODES = 10
PIVOT = np.array([0.0, -0.01, -0.06])
FLIP = np.array([-1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Part:
    vertices: slice
    triangles: slice


@dataclass(frozen=True)
class Bound:
    indices: np.ndarray
    weights: np.ndarray

    def moved(self, vertices: np.ndarray, rest: np.ndarray) -> np.ndarray:
        return vertices[..., self.indices[:, 0], :]


@dataclass(frozen=True)
class Queries:
    positions: np.ndarray

    def __len__(self) -> int:
        return len(self.positions)


@dataclass(frozen=True)
class ToyTracks:
    xy: np.ndarray
    sigma: np.ndarray
    visible: np.ndarray
    frames: np.ndarray
    queries: Any
    width: int = 1280
    height: int = 720
    fps: float = 25.0


@dataclass(frozen=True)
class ToyActor:
    name: str
    identity: np.ndarray
    offsets: np.ndarray | None = None


def _shell(rng: np.random.Generator, half: int, centre: Any, radii: Any) -> np.ndarray:
    """Symmetric points on an ellipsoid, mirrored pairs next to each other."""
    n = rng.normal(size=(half, 3))
    n /= np.linalg.norm(n, axis=1, keepdims=True)
    n[:, 0] = np.abs(n[:, 0])
    return (np.stack([n, n * FLIP], 1).reshape(-1, 3) * radii + centre).astype(np.float64)


def _turn_x(angle: np.ndarray) -> np.ndarray:
    c, s, o, i = np.cos(angle), np.sin(angle), np.zeros_like(angle), np.ones_like(angle)
    return np.stack([np.stack([i, o, o], -1), np.stack([o, c, -s], -1), np.stack([o, s, c], -1)], -2)


def _turn_y(angle: np.ndarray) -> np.ndarray:
    c, s, o, i = np.cos(angle), np.sin(angle), np.zeros_like(angle), np.ones_like(angle)
    return np.stack([np.stack([c, o, s], -1), np.stack([o, i, o], -1), np.stack([-s, o, c], -1)], -2)


@dataclass(eq=False)
class ToyHead:
    expression_names: tuple[str, ...] = NAMES
    parts: dict[str, Part] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(7)
        skin = _shell(rng, 260, (0, -0.03, -0.03), (0.075, 0.11, 0.09))
        skin[:, 2] += 0.025 * np.exp(-((skin[:, 0] / 0.015) ** 2) - ((skin[:, 1] + 0.03) / 0.02) ** 2)
        eye = _shell(rng, 15, (0, 0, 0), (0.012, 0.012, 0.012))
        centre = np.array([0.032, 0.0, 0.0])
        blocks = {
            "skin": skin,
            "eye_left": eye + centre,
            "eye_right": eye * FLIP + centre * FLIP,
            "teeth_upper": _shell(rng, 12, (0, -0.065, 0.02), (0.025, 0.005, 0.02)),
            "teeth_lower": _shell(rng, 12, (0, -0.075, 0.02), (0.024, 0.005, 0.019)),
            "gums_tongue": _shell(rng, 6, (0, -0.07, 0.0), (0.01, 0.005, 0.01)),
            "cranium": _shell(rng, 60, (0, 0.0, -0.035), (0.068, 0.07, 0.08)),
            "mandible": _shell(rng, 40, (0, -0.085, -0.01), (0.05, 0.03, 0.05)),
        }
        at, tri, triangles = 0, 0, []
        for name, block in blocks.items():
            faces = ConvexHull(block).simplices + at
            self.parts[name] = Part(slice(at, at + len(block)), slice(tri, tri + len(faces)))
            at, tri = at + len(block), tri + len(faces)
            triangles.append(faces)
        self.rest = np.concatenate(list(blocks.values()))
        self.triangles = np.concatenate(triangles).astype(np.int32)
        self.mirror = np.arange(at).reshape(-1, 2)[:, ::-1].ravel()  # mirrored pairs are neighbours
        left, right = self.parts["eye_left"].vertices, self.parts["eye_right"].vertices
        self.mirror[left] = np.arange(right.start, right.stop)
        self.mirror[right] = np.arange(left.start, left.stop)
        self.odd = np.arange(MODES) % 3 == 2
        self.tissue_basis = np.zeros((0, at, 3))
        self.identity_basis = np.stack([self._mode(rng, bool(o)) for o in self.odd])
        self.expression_basis = self._expressions(rng)
        self.jaw_weight = np.zeros(at)
        for name in ("teeth_lower", "mandible"):
            self.jaw_weight[self.parts[name].vertices] = 1.0
        self.jaw_weight[self.parts["skin"].vertices] = 1 / (1 + np.exp((skin[:, 1] + 0.07) / 0.008))

    def _mode(self, rng: np.random.Generator, odd: bool) -> np.ndarray:
        """A smooth field, symmetric or antisymmetric under the mirror."""
        waves, phase = rng.normal(size=(4, 3)) * 14, rng.uniform(0, 6.28, 4)
        amount = rng.normal(size=(4, 3)) * 0.0016
        values = np.sin(self.rest @ waves.T + phase) @ amount
        flipped = values[self.mirror] * FLIP
        values = values - flipped if odd else values + flipped
        # eyes translate as a whole
        for name in ("eye_left", "eye_right"):
            values[self.parts[name].vertices] = values[self.parts[name].vertices].mean(0)
        return values

    def _expressions(self, rng: np.random.Generator) -> np.ndarray:
        basis = np.zeros((52, len(self.rest), 3))
        skin = self.parts["skin"].vertices
        points = self.rest[skin]

        def bump(centre: np.ndarray) -> np.ndarray:
            near = np.exp(-((points - centre) ** 2).sum(1) / (2 * 0.018**2))
            return near[:, None] * (rng.normal(size=3) * 0.006)

        front = points[(points[:, 2] > 0.01) & (points[:, 0] > 0.008)]
        for name in PAIRS:
            move = bump(front[rng.integers(len(front))])
            basis[NAMES.index(name + "Left"), skin] = move
            basis[NAMES.index(name + "Right"), skin] = move[self.mirror[skin]] * FLIP
        for name in MIDDLE:
            move = bump(front[rng.integers(len(front))])
            basis[NAMES.index(name), skin] = move + move[self.mirror[skin]] * FLIP
        return basis

    def jaw_transform(self, expression: Any, identity: Any = None) -> tuple[np.ndarray, np.ndarray]:
        e = np.asarray(expression, np.float64)
        opened, forward, left, right = (
            e[..., NAMES.index(n)] for n in ("jawOpen", "jawForward", "jawLeft", "jawRight")
        )
        side = left - right
        rotation = _turn_y(-0.08 * side) @ _turn_x(0.35 * opened)
        glide = np.stack([0.004 * side, -0.003 * opened, 0.004 * opened + 0.005 * forward], -1)
        pivot = PIVOT if identity is None else PIVOT + np.asarray(identity)[..., :1] * [0.0, 0.003, 0.002]
        return rotation, pivot + glide - np.einsum("...ij,...j->...i", rotation, pivot)

    def eye_centres(self, identity: Any = None) -> np.ndarray:
        neutral = self.vertices(identity, None)
        return np.stack([neutral[..., self.parts[n].vertices, :].mean(-2) for n in ("eye_left", "eye_right")], -2)

    def gaze(self, expression: Any) -> np.ndarray:
        e = np.asarray(expression, np.float64)
        turns = []
        for side, sign in (("Left", 1.0), ("Right", -1.0)):
            get = {n: e[..., NAMES.index(f"eyeLook{n}{side}")] for n in ("In", "Out", "Up", "Down")}
            turns.append(_turn_y(0.6 * sign * (get["Out"] - get["In"])) @ _turn_x(0.5 * (get["Down"] - get["Up"])))
        return np.stack(turns, -3)

    def vertices(self, identity: Any = None, expression: Any = None, eye_rotation: Any = None) -> np.ndarray:
        points = self.rest.copy()
        if identity is not None:
            points = points + np.tensordot(np.asarray(identity, np.float64), self.identity_basis, 1)
        if expression is None:
            return points
        e = np.asarray(expression, np.float64)
        out = points + np.tensordot(e, self.expression_basis, 1)
        rotation, translation = self.jaw_transform(e, identity)
        swung = points @ np.swapaxes(rotation, -1, -2) + translation[..., None, :] - points
        out = out + self.jaw_weight[:, None] * swung
        turn = self.gaze(e) if eye_rotation is None else np.asarray(eye_rotation, np.float64)
        for k, name in enumerate(("eye_left", "eye_right")):
            part = points[..., self.parts[name].vertices, :]
            centre = part.mean(-2, keepdims=True)
            turned = (part - centre) @ np.swapaxes(turn[..., k, :, :], -1, -2) + centre
            out[..., self.parts[name].vertices, :] = turned
        return out

    def region_mask(self, name: str) -> np.ndarray:
        points = self.rest[self.parts["skin"].vertices]
        return points[:, 2] > -0.03

    def bind(self, positions: np.ndarray) -> Bound:
        """Nearest vertex: the tests place their points on vertices."""
        gap = ((np.asarray(positions)[:, None] - self.rest[None]) ** 2).sum(-1)
        indices = np.zeros((len(positions), 8), np.int32)
        weights = np.zeros((len(positions), 8), np.float32)
        indices[:, 0], weights[:, 0] = gap.argmin(1), 1.0
        return Bound(indices, weights)
