"""Reading the source data of the head: ICT-FaceKit, symmetrised, and rotated into principal identity modes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tools.head_eyes import RADIUS, follow

# The 52 names of ARKit's blend shapes, in Apple's spelling. The source has 53 shapes: it splits browInnerUp and
# cheekPuff into two sides and has no tongueOut.
ARKIT_NAMES = [
    "browDownLeft",
    "browDownRight",
    "browInnerUp",
    "browOuterUpLeft",
    "browOuterUpRight",
    "cheekPuff",
    "cheekSquintLeft",
    "cheekSquintRight",
    "eyeBlinkLeft",
    "eyeBlinkRight",
    "eyeLookDownLeft",
    "eyeLookDownRight",
    "eyeLookInLeft",
    "eyeLookInRight",
    "eyeLookOutLeft",
    "eyeLookOutRight",
    "eyeLookUpLeft",
    "eyeLookUpRight",
    "eyeSquintLeft",
    "eyeSquintRight",
    "eyeWideLeft",
    "eyeWideRight",
    "jawForward",
    "jawLeft",
    "jawOpen",
    "jawRight",
    "mouthClose",
    "mouthDimpleLeft",
    "mouthDimpleRight",
    "mouthFrownLeft",
    "mouthFrownRight",
    "mouthFunnel",
    "mouthLeft",
    "mouthLowerDownLeft",
    "mouthLowerDownRight",
    "mouthPressLeft",
    "mouthPressRight",
    "mouthPucker",
    "mouthRight",
    "mouthRollLower",
    "mouthRollUpper",
    "mouthShrugLower",
    "mouthShrugUpper",
    "mouthSmileLeft",
    "mouthSmileRight",
    "mouthStretchLeft",
    "mouthStretchRight",
    "mouthUpperUpLeft",
    "mouthUpperUpRight",
    "noseSneerLeft",
    "noseSneerRight",
    "tongueOut",
]

SOURCE_RADIUS = 0.0150  # metres, of the source's eyeballs
IDENTITY_DEVIATION = 0.9  # source identities look natural at coefficients of about N(0, 0.9^2)
MODES = 80
BLINK_GAIN = 0.17  # the source's blink leaves a slit of a millimetre in the middle of the lid


def mirrored_name(name: str) -> str:
    """ARKit name of the mirrored expression (jawLeft <-> jawRight, browDownLeft <-> browDownRight)."""
    for a, b in (("Left", "Right"), ("Right", "Left")):
        if name.endswith(a):
            return name[: -len(a)] + b
    return name


@dataclass(frozen=True)
class Source:
    """The source head in canonical metres: its own vertex numbering, symmetrised, identity as N(0, 1) modes.

    neutral (V, 3), faces (F, 4) with -1 at the end of triangles, faces_uv (F, 4) into uv (U, 2) whose integer part
    is the tile, identity (K, V, 3), expression (52, V, 3), mirror (V,) (-1 where a vertex has no partner),
    vertex_range and face_range by region name, eye_centres (2, 3) of our own eyeballs, left and right,
    origin (3,) source centimetres of the canonical origin, landmarks68 (68,), modes_used (K,) share of the variance.
    """

    neutral: NDArray[np.float64]
    faces: NDArray[np.int32]
    faces_uv: NDArray[np.int32]
    uv: NDArray[np.float64]
    identity: NDArray[np.float64]
    expression: NDArray[np.float64]
    mirror: NDArray[np.int64]
    vertex_range: dict[str, tuple[int, int]]
    face_range: dict[str, tuple[int, int]]
    eye_centres: NDArray[np.float64]
    origin: NDArray[np.float64]
    landmarks68: NDArray[np.int32]
    modes_used: NDArray[np.float64]

    def region(self, name: str) -> NDArray[np.int64]:
        """Vertex indices of a region."""
        return np.arange(*self.vertex_range[name])


def _mirror_map(points: NDArray, ranges: dict[str, tuple[int, int]]) -> NDArray[np.int64]:
    mirror = np.full(len(points), -1)
    names = ["face", "head_neck", "mouth_socket", "gums_tongue", "teeth"]
    spans = [(np.arange(*ranges[n]), np.arange(*ranges[n])) for n in names]
    left, right = np.arange(*ranges["eyeball_L"]), np.arange(*ranges["eyeball_R"])
    spans += [(left, right), (right, left)]
    for here, there in spans:
        distance, index = cKDTree(points[there]).query(points[here] * [-1, 1, 1])
        mirror[here] = np.where(distance < 0.03, there[index], -1)
    good = (mirror >= 0) & (mirror[np.maximum(mirror, 0)] == np.arange(len(points)))
    return np.where(good, mirror, -1)


def _symmetric(values: NDArray, mirrored: NDArray, mirror: NDArray) -> NDArray:
    """Mean of `values` (..., V, 3) and the mirror image of `mirrored`; vertices without a partner keep their value."""
    image = mirrored[..., np.maximum(mirror, 0), :] * [-1.0, 1.0, 1.0]
    return np.where((mirror >= 0)[:, None], 0.5 * (values + image), values)


def _expressions(raw: NDArray, names: list[str], vertices: int) -> NDArray:
    by_name = dict(zip(names, raw, strict=True))
    out = np.zeros((len(ARKIT_NAMES), vertices, 3))
    for i, name in enumerate(ARKIT_NAMES):
        plain = name.removesuffix("Left").removesuffix("Right")
        side = name[len(plain) :][:1]
        if name in by_name:  # jawLeft, mouthRight, jawOpen: spelled the same in both
            out[i] = by_name[name]
        elif side:
            out[i] = by_name[f"{plain}_{side}"]
        elif f"{name}_L" in by_name:
            out[i] = by_name[f"{name}_L"] + by_name[f"{name}_R"]
        elif name != "tongueOut":
            raise ValueError(f"the source data has no shape for {name}")
    return out


def _area_weights(neutral: NDArray, faces: NDArray, ranges: dict[str, tuple[int, int]]) -> NDArray:
    """Root weights (Vskin,) of the identity PCA: surface area, the face counting five times the back and the neck."""
    corner = np.where(faces < 0, faces[:, 2:3], faces)
    diagonal = np.cross(neutral[corner[:, 2]] - neutral[corner[:, 0]], neutral[corner[:, 3]] - neutral[corner[:, 1]])
    skin = ranges["head_neck"][1]
    area = np.bincount(corner.ravel(), np.repeat(0.125 * np.linalg.norm(diagonal, axis=1), 4), skin)[:skin]
    weight = np.full(skin, 0.2)
    weight[: ranges["narrow_face"][1]] = 1.0
    return np.sqrt(area * weight)


def read_source(path: Path) -> Source:
    """Read ict_facekit.npz and return it in canonical metres (origin midway between the eyeball centres)."""
    with np.load(path) as data:
        regions = [str(n) for n in data["region_names"]]
        ranges = {n: (int(a), int(b)) for n, (a, b) in zip(regions, data["region_vertex_range"], strict=True)}
        face_ranges = {n: (int(a), int(b)) for n, (a, b) in zip(regions, data["region_face_range"], strict=True)}
        points = data["neutral"].astype(np.float64)
        identity = data["identity"].astype(np.float64)
        raw = data["expression"].astype(np.float64)
        names = [str(n) for n in data["expression_names"]]
        faces, faces_uv, uv = data["faces"], data["faces_uv"], data["uv"].astype(np.float64)
        landmarks68 = data["landmarks68"]

    mirror = _mirror_map(points, ranges)
    points = _symmetric(points, points, mirror)
    identity = _symmetric(identity, identity, mirror)
    expression = _expressions(raw, names, len(points))
    partner = [ARKIT_NAMES.index(mirrored_name(n)) for n in ARKIT_NAMES]
    expression = _symmetric(expression, expression[partner], mirror)

    for name in ("eyeBlinkLeft", "eyeBlinkRight"):
        blink = expression[ARKIT_NAMES.index(name)]
        reach = np.linalg.norm(blink, axis=1, keepdims=True)
        blink *= 1 + BLINK_GAIN * (reach / reach.max()) ** 0.7

    # The centre of an eyeball: midway between the extremes of its sclera across, up and back to the widest circle.
    def eye_centre(name: str) -> NDArray:
        p = points[slice(*ranges[name])]
        low, high = p.min(0), p.max(0)
        radius = 0.25 * (high[0] - low[0] + high[1] - low[1])
        return np.array([0.5 * (low[0] + high[0]), 0.5 * (low[1] + high[1]), low[2] + radius])

    # Ours is smaller and lies forward in it, so that both front poles touch.
    forward = np.array([0, 0, (SOURCE_RADIUS - RADIUS) * 100])
    centres = np.stack([eye_centre("eyeball_L"), eye_centre("eyeball_R")]) + forward
    origin = centres.mean(0) * [0, 1, 1]

    # Each head of the family keeps its own origin between its eyes.
    left, _ = follow(points[slice(*ranges["eyeball_L"])], identity[:, slice(*ranges["eyeball_L"])], centres[0])
    identity -= left[:, None] * [0, 1, 1]

    skin = ranges["head_neck"][1]
    weighted = (
        IDENTITY_DEVIATION
        * identity[:, :skin]
        * _area_weights(points, faces[: face_ranges["head_neck"][1]], ranges)[:, None]
    )
    turn, spread, _ = np.linalg.svd(weighted.reshape(len(identity), -1), full_matrices=False)
    turn = turn[:, :MODES] * np.sign(turn[np.abs(turn).argmax(0), np.arange(turn.shape[1])])[:MODES]
    modes = IDENTITY_DEVIATION * np.einsum("km,kvc->mvc", turn, identity)
    return Source(
        neutral=(points - origin) * 0.01,
        faces=faces,
        faces_uv=faces_uv,
        uv=uv,
        identity=modes * 0.01,
        expression=expression * 0.01,
        mirror=mirror,
        vertex_range=ranges,
        face_range=face_ranges,
        eye_centres=(centres - origin) * 0.01,
        origin=origin,
        landmarks68=landmarks68,
        modes_used=spread[:MODES] ** 2 / (spread**2).sum(),
    )
