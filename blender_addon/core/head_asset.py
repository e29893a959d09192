"""The canonical head's files, head.npz (skin, eyes, teeth, mouth) and bones.npz (cranium, mandible), read with NumPy.

All parts lie in one vertex array, in the order of the files. Canonical space: metres, +x the subject's left, +y up,
+z out of the face, origin between the eyeballs' centres.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .assets import asset
from .errors import AddonError

_READABLE_VERSION = 1
# By ARKit's eyeLook names: the axis that the eye turns about (canonical), and its sign for the left eye and the right.
_GAZE = {"In": (1, -1, 1), "Out": (1, 1, -1), "Up": (0, -1, -1), "Down": (0, 1, 1)}


@dataclass(frozen=True, eq=False)
class Part:
    """One object of the head: its rows of the vertex and triangle arrays and its polygons.

    `polygons` (Q, 4) index the head's vertices, `polygons_uv` (Q, 4) its `uv`; a last corner of -1 marks a triangle.
    """

    name: str
    vertices: slice
    triangles: slice
    polygons: NDArray[np.int32]
    polygons_uv: NDArray[np.int32]
    kind: str  # of points on it: "skin", "eye", "tooth", "bone", or "volume" for the mouth's inside


@dataclass(frozen=True, eq=False)
class HeadAsset:
    """The head at rest: `rest` (V, 3), `triangles` (T, 3), `uv` (U, 2) with v up, `symmetry` (V,) -1 without partner.

    `triangles_uv` (T', 3) index `uv` for the triangles of all parts but the bones, which come last.
    `identity_basis` (K, V, 3), `tissue_basis` (S, B, 3) of the last B vertices, which are the bones', and `expressions`
    (52 names to the vertices that move and by how much) are in metres.
    """

    rest: NDArray[np.float64]
    triangles: NDArray[np.int32]
    uv: NDArray[np.float32]
    triangles_uv: NDArray[np.int32]
    symmetry: NDArray[np.int32]
    parts: dict[str, Part]
    identity_basis: NDArray[np.float32]
    tissue_basis: NDArray[np.float32]
    expressions: dict[str, tuple[NDArray[np.int32], NDArray[np.float64]]]
    jaw_weight: NDArray[np.float64]
    jaw_turn: NDArray[np.float64]
    jaw_move: NDArray[np.float64]
    jaw_pivot: NDArray[np.float64]
    eye_centres: NDArray[np.float64]
    limbus_angle: float
    gaze_degrees: dict[str, float]

    def part_of_triangle(self, triangle: int) -> Part:
        """The part that the triangle of this number belongs to."""
        return next(p for p in self.parts.values() if p.triangles.start <= triangle < p.triangles.stop)

    def identity_offsets(self, identity: NDArray) -> NDArray[np.float64]:
        """Displacement (V, 3) of the rest vertices by identity coefficients (K,)."""
        coefficients = np.asarray(identity, dtype=np.float32)
        if coefficients.shape != (len(self.identity_basis),):
            raise AddonError(
                f"The identity has {coefficients.size} values, this head {len(self.identity_basis)}.",
                "Use results and extension of the same release.",
                "FQ721",
            )
        return np.tensordot(coefficients, self.identity_basis, 1).astype(np.float64)

    def tissue_offsets(self, tissue: NDArray) -> NDArray[np.float64]:
        """Displacement (V, 3) of the rest vertices, the bones', by standard deviations (S,) of tissue depth."""
        if np.shape(tissue) != (len(self.tissue_basis),):
            raise AddonError(
                f"The tissue has {np.size(tissue)} values, this head {len(self.tissue_basis)}.",
                "Use results and extension of the same release.",
                "FQ721",
            )
        moved = np.zeros_like(self.rest)
        bones = self.tissue_basis.shape[1]
        moved[len(moved) - bones :] = np.tensordot(np.asarray(tissue, np.float32), self.tissue_basis, 1)
        return moved

    def shape_keys(self, part: Part) -> dict[str, NDArray[np.float64]]:
        """The expressions that move a part: displacement (v, 3) of its vertices at weight 1, canonical metres.

        The parts of the jaw take the jaw's motion at full weight, eyeballs the gaze; both turn in fact, so that a
        shape key is a chord of their arc.
        """
        keys: dict[str, NDArray[np.float64]] = {}
        rest = self.rest[part.vertices]
        for k, (name, (moved, offset)) in enumerate(self.expressions.items()):
            delta = np.zeros_like(rest)
            inside = (moved >= part.vertices.start) & (moved < part.vertices.stop)
            delta[moved[inside] - part.vertices.start] = offset[inside]
            weight = self.jaw_weight[part.vertices, None]
            if weight.any() and (self.jaw_turn[k].any() or self.jaw_move[k].any()):
                turned = (rest - self.jaw_pivot) @ rotation_matrix(self.jaw_turn[k]).T
                delta += weight * (turned + self.jaw_pivot + self.jaw_move[k] - rest)
            if part.kind == "eye" and name.startswith("eyeLook"):
                delta += self._gaze(name, part, rest)
            if np.abs(delta).max() > 1e-6:
                keys[name] = delta
        return keys

    def _gaze(self, name: str, part: Part, rest: NDArray) -> NDArray[np.float64]:
        side = 0 if name.endswith("Left") else 1
        if part.name != ("eye_left", "eye_right")[side]:
            return np.zeros_like(rest)
        direction = name.removeprefix("eyeLook").removesuffix("Left").removesuffix("Right")
        axis, *signs = _GAZE[direction]
        vector = np.zeros(3)
        vector[axis] = signs[side] * np.radians(self.gaze_degrees[direction])
        from_centre = rest - self.eye_centres[side]
        return from_centre @ rotation_matrix(vector).T - from_centre


def rotation_matrix(vector: NDArray) -> NDArray[np.float64]:
    """Rotation (3, 3) about `vector` (3,) by its length in radians (Rodrigues)."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = np.asarray(vector) / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


@cache
def load_head(folder: Path | None = None) -> HeadAsset:
    """The head of the assets, or of a `folder` with head.npz and perhaps bones.npz. Raises AddonError."""
    head_file = (folder / "head.npz") if folder else asset("head/head.npz")
    head = _read(head_file)
    bones_file = head_file.with_name("bones.npz")
    bones = _read(bones_file) if bones_file.is_file() else None

    count = len(head["rest"])
    rest, triangles, symmetry = [head["rest"]], [head["triangles"]], [head["symmetry"]]
    identity = [_identity(head)]
    jaw_weight = [head["jaw_weight"]]
    parts = _parts(head, 0, 0)
    tissue = np.zeros((0, 0, 3), np.float32)
    if bones is not None:
        rest.append(bones["rest"])
        triangles.append(bones["triangles"] + count)
        symmetry.append(np.where(bones["symmetry"] < 0, -1, bones["symmetry"] + count))
        identity.append(_identity(bones))
        more = _parts(bones, count, len(head["triangles"]))
        weight = np.zeros(len(bones["rest"]))
        mandible = more["mandible"].vertices
        weight[mandible.start - count : mandible.stop - count] = 1.0
        jaw_weight.append(weight)
        parts |= more
        tissue = bones["tissue"].astype(np.float32) * np.float32(bones["step"])

    step, ends = float(head["step"]), np.cumsum(head["expression_count"])
    expressions = {
        str(name): (head["expression_vertex"][end - n : end], head["expression"][end - n : end] * step)
        for name, n, end in zip(head["expression_names"], head["expression_count"], ends, strict=True)
    }
    return HeadAsset(
        rest=np.concatenate(rest).astype(np.float64),
        triangles=np.concatenate(triangles).astype(np.int32),
        uv=head["uv"],
        triangles_uv=head["triangles_uv"],
        symmetry=np.concatenate(symmetry),
        parts=parts,
        identity_basis=np.concatenate(identity, axis=1),
        tissue_basis=tissue,
        expressions=expressions,
        jaw_weight=np.concatenate(jaw_weight).astype(np.float64),
        jaw_turn=head["jaw_turn"],
        jaw_move=head["jaw_move"],
        jaw_pivot=head["jaw_pivot"],
        eye_centres=head["eye_centres"],
        limbus_angle=float(head["limbus_angle"]),
        gaze_degrees=dict(zip(map(str, head["gaze_names"]), head["gaze_degrees"].tolist(), strict=True)),
    )


def _read(path: Path) -> dict[str, NDArray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        version = int(arrays["version"])
    except (OSError, ValueError, KeyError):
        raise AddonError(
            f'"{path.name}" is not a head of FaceQuery.', "Install the FaceQuery extension again from its zip.", "FQ702"
        ) from None
    if version > _READABLE_VERSION:
        raise AddonError(f'"{path.name}" is newer than this extension.', "Update the extension.", "FQ703")
    return arrays


def _parts(arrays: dict[str, NDArray], first_vertex: int, first_triangle: int) -> dict[str, Part]:
    """The parts of a file whose vertices and triangles begin at these numbers of the whole head."""
    parts = {}
    for i, name in enumerate(map(str, arrays["part_names"])):
        v, t = arrays["part_vertices"][i] + first_vertex, arrays["part_triangles"][i] + first_triangle
        if "quads" in arrays:
            rows = slice(*arrays["part_quads"][i])
            polygons, polygons_uv = arrays["quads"][rows], arrays["quads_uv"][rows]
        else:  # bones are triangles without a texture
            rows = slice(*arrays["part_triangles"][i])
            polygons = np.pad(arrays["triangles"][rows], ((0, 0), (0, 1)), constant_values=-1)
            polygons_uv = np.full_like(polygons, -1)
        polygons = np.where(polygons < 0, -1, polygons + first_vertex)
        parts[name] = Part(name, slice(*v.tolist()), slice(*t.tolist()), polygons, polygons_uv, _kind(name))
    return parts


def _kind(part: str) -> str:
    if part.startswith("eye"):
        return "eye"
    if part.startswith("teeth"):
        return "tooth"
    return {"skin": "skin", "cranium": "bone", "mandible": "bone"}.get(part, "volume")


def _identity(arrays: dict[str, NDArray]) -> NDArray[np.float32]:
    """Identity basis (K, V, 3) in metres; a file stores one half of the symmetric head, and the other mirrors it."""
    step, half, symmetry = np.float32(arrays["step"]), arrays["half"], arrays["symmetry"]
    stored = arrays["identity"].astype(np.float32) * step
    basis = np.zeros((len(stored), len(arrays["rest"]), 3), np.float32)
    partner = symmetry[half]
    mirrored = partner >= 0
    basis[:, partner[mirrored]] = stored[:, mirrored] * np.array([-1, 1, 1], np.float32)
    basis[:, half] = stored
    return basis
