"""The canonical head: a linear model of skin, eyes, teeth, mouth and bones with a rigid jaw and turning eyes."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from facequery.assets import asset
from facequery.errors import UserError
from facequery.geometry.rotations import axis_angle_to_matrix
from facequery.head.asset import Part, expression_basis, joined_parts, read_arrays, unfolded
from facequery.head.binding import Binding, bind_positions

if TYPE_CHECKING:
    from facequery.head.queries import QuerySet

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False, repr=False)
class HeadModel:
    """A head of V vertices in canonical space (metres, +x the subject's left, +y up, +z out of the face).

    Parts, in the order of the arrays: skin, eye_left, eye_right, teeth_upper, teeth_lower, gums_tongue (the mouth's
    inside), and, unless the bones are missing, cranium and mandible. Left is the subject's left, +x.

    rest (V, 3); triangles (T, 3) counter-clockwise from outside; quads (Q, 4), triangles ending with -1, of all
    parts but the bones; uv (U, 2), v up, with triangles_uv (T, 3) and quads_uv (Q, 4): one atlas without overlaps for
    the skin, each other part in a [0, 1] square of its own, bones all at index 0; symmetry (V,) mirrored vertex or -1.
    identity_basis (K, V, 3): coefficients are N(0, 1). expression_basis (52, V, 3): ARKit weights 0..1; the part of the
    motion that is not the rigid jaw's, which jaw_weight (V,) scales.
    eye_centres_rest (2, 3) left and right. scale: metres times it are network units (the head is about +-1).
    tissue_basis (S, V, 3): one standard deviation of tissue depth per site, tissue_names; zero but for bones.
    """

    parts: dict[str, Part]
    rest: Array
    triangles: NDArray[np.int32]
    quads: NDArray[np.int32]
    uv: Array
    triangles_uv: NDArray[np.int32]
    quads_uv: NDArray[np.int32]
    symmetry: NDArray[np.int32]
    identity_basis: Array
    expression_basis: Array
    expression_names: tuple[str, ...]
    tissue_basis: Array
    tissue_names: tuple[str, ...]
    jaw_weight: Array
    jaw_turn: Array
    jaw_move: Array
    jaw_pivot: Array
    jaw_pivot_basis: Array
    eye_centres_rest: Array
    eye_centres_basis: Array
    limbus_angle: float
    gaze_degrees: dict[str, float]
    regions: dict[str, NDArray[np.bool_]]
    loops: dict[str, NDArray[np.int32]]
    teeth: dict[str, slice]
    normalisation_vertices: NDArray[np.int32]
    source_origin: NDArray[np.float64]
    scale: float

    @staticmethod
    def load(path: Path | None = None, bones: bool = True) -> "HeadModel":
        """The head at `path` (a head.npz), by default the one that ships, read once per process.

        A bones.npz beside it is read too, unless `bones` is False or it is missing: then cranium and mandible are
        missing from `parts`. Raises UserError when the file cannot be read.
        """
        return _load(Path(path) if path is not None else asset("head/head.npz"), bones)

    # ---- shape

    @property
    def identity_size(self) -> int:
        """Number of identity coefficients."""
        return len(self.identity_basis)

    def vertices(
        self,
        identity: NDArray | None = None,
        expression: NDArray | None = None,
        eye_rotation: NDArray | None = None,
        tissue: NDArray | None = None,
    ) -> Array:
        """All vertices (..., V, 3) in metres.

        identity (..., K), expression (..., 52), eye_rotation (..., 2, 3, 3) left and right about the eyeball centres
        (default: the gaze of the eyeLook weights), tissue (..., S) standard deviations of tissue depth under which
        the bones lie. Leading dimensions broadcast. Skin is linear; upper teeth and cranium stay under expression;
        lower teeth, lower gums, tongue and mandible follow jaw_transform.
        """
        points = self._shaped(identity, tissue)
        if expression is not None:
            weights = _floats(expression, len(self.expression_names), "expression")
            turn, move = self.jaw_transform(weights, identity)
            swung = []
            for run in self._jaw_runs:
                jaw = points[..., run, :]
                moved = jaw @ np.swapaxes(turn, -1, -2)
                moved += move[..., None, :]
                moved -= jaw
                moved *= self.jaw_weight[run, None]
                swung.append(moved)
            points = self._expressed(points, weights)
            for run, moved in zip(self._jaw_runs, swung, strict=True):
                points[..., run, :] += moved
            if eye_rotation is None:
                eye_rotation = self.gaze(weights)
        if eye_rotation is not None:
            rotation = np.asarray(eye_rotation, np.float32)
            lead = np.broadcast_shapes(points.shape[:-2], rotation.shape[:-3])
            if points.shape[:-2] != lead:
                points = np.broadcast_to(points, (*lead, *points.shape[-2:])).copy()
            centres = self.eye_centres(identity)
            for eye, name in enumerate(("eye_left", "eye_right")):
                part, centre = self.parts[name].vertices, centres[..., eye, None, :]
                turned = (points[..., part, :] - centre) @ np.swapaxes(rotation[..., eye, :, :], -1, -2) + centre
                points[..., part, :] = turned
        return points

    @cached_property
    def _jaw_runs(self) -> list[slice]:
        """The parts of the head that follow the jaw, as runs of vertices: slices are faster than lists of vertices."""
        return [part.vertices for part in self.parts.values() if self.jaw_weight[part.vertices].any()]

    @cached_property
    def _expressive_runs(self) -> list[slice]:
        """The parts that expressions move beside the jaw: teeth, eyeballs and bones mostly do not."""
        return [part.vertices for part in self.parts.values() if self.expression_basis[:, part.vertices].any()]

    def _expressed(self, points: Array, weights: Array) -> Array:
        """points (..., V, 3), written over where the shapes allow it, with the expression basis added."""
        lead = np.broadcast_shapes(points.shape[:-2], weights.shape[:-1])
        if points.shape[:-2] != lead:
            points = np.broadcast_to(points, (*lead, *points.shape[-2:])).copy()
        for run in self._expressive_runs:
            points[..., run, :] += _combined(weights, self.expression_basis[:, run])
        return points

    def _shaped(self, identity: NDArray | None, tissue: NDArray | None) -> Array:
        points = self.rest
        if identity is not None:
            points = _combined(_floats(identity, self.identity_size, "identity"), self.identity_basis)
            points += self.rest
        if tissue is not None:
            points = points + _combined(_floats(tissue, len(self.tissue_names), "tissue"), self.tissue_basis)
        return points if points is not self.rest else points.copy()

    def jaw_transform(self, expression: NDArray, identity: NDArray | None = None) -> tuple[Array, Array]:
        """Rigid motion of the mandible: rotation (..., 3, 3) and translation (..., 3) in canonical space.

        jawOpen, jawForward, jawLeft and jawRight each bring a rotation vector about the mean of the lower teeth and a
        translation of it, which add up. At jawOpen = 1 the jaw has turned by 25.3 degrees and the condyles have glided
        about 9 mm forward and down.
        """
        weights = _floats(expression, len(self.expression_names), "expression")
        turn = np.asarray(axis_angle_to_matrix(weights @ self.jaw_turn), np.float32)
        pivot = self.jaw_pivot
        if identity is not None:
            pivot = pivot + _floats(identity, self.identity_size, "identity") @ self.jaw_pivot_basis
        move = pivot + weights @ self.jaw_move - np.einsum("...ij,...j->...i", turn, pivot)
        return turn, move.astype(np.float32)

    def eye_centres(self, identity: NDArray | None = None) -> Array:
        """Centres (..., 2, 3) of the left and the right eyeball."""
        if identity is None:
            return self.eye_centres_rest.copy()
        return self.eye_centres_rest + _combined(
            _floats(identity, self.identity_size, "identity"), self.eye_centres_basis
        )

    def gaze(self, expression: NDArray) -> Array:
        """Rotations (..., 2, 3, 3) of the left and the right eye that the eyeLook weights mean.

        Full weight is 35 degrees sideways, 25 up, 30 down.
        """
        weights = _floats(expression, len(self.expression_names), "expression")
        look = {
            name[len("eyeLook") :]: weights[..., k] for k, name in enumerate(self.expression_names) if "Look" in name
        }
        degrees = self.gaze_degrees
        vectors = []
        for side, outward in (("Left", 1.0), ("Right", -1.0)):
            yaw = outward * (look["Out" + side] * degrees["Out"] - look["In" + side] * degrees["In"])
            pitch = look["Down" + side] * degrees["Down"] - look["Up" + side] * degrees["Up"]
            vectors.append(np.radians(np.stack([pitch, yaw, np.zeros_like(yaw)], -1)))
        return np.asarray(axis_angle_to_matrix(np.stack(vectors, -2)), np.float32)

    # ---- points on and in the head

    def bind(self, positions: NDArray) -> Binding:
        """Tie canonical rest positions (N, 3) to vertices, so that they move with them; see facequery.head.binding."""
        return bind_positions(self, positions)

    def points(
        self,
        queries: "QuerySet | Binding",
        identity: NDArray | None = None,
        expression: NDArray | None = None,
        eye_rotation: NDArray | None = None,
        tissue: NDArray | None = None,
    ) -> Array:
        """Where queries are on a head of this identity and expression: (..., N, 3) metres; arguments as vertices()."""
        binding = queries if isinstance(queries, Binding) else self.bind(queries.positions)
        return binding.moved(self.vertices(identity, expression, eye_rotation, tissue), self.rest)

    def normalisation_points(self, identity: NDArray | None = None, expression: NDArray | None = None) -> Array:
        """The four points of face normalisation (..., 4, 3): right eye, left eye, right and left mouth corner.

        An eye is the middle of its two corners on the skin.
        """
        index = self.normalisation_vertices
        corners = self.rest[index]
        if identity is not None:
            corners = corners + _combined(
                _floats(identity, self.identity_size, "identity"), self.identity_basis[:, index]
            )
        if expression is not None:
            weights = _floats(expression, len(self.expression_names), "expression")
            corners = corners + _combined(weights, self.expression_basis[:, index])
        eyes = 0.5 * (corners[..., [0, 2], :] + corners[..., [1, 3], :])
        return np.concatenate([eyes, corners[..., 4:, :]], -2)

    def region_mask(self, name: str) -> NDArray[np.bool_]:
        """Mask over the skin's vertices of a region: face, rigid, lips, nose, eye_left, brow_right, scalp, neck, ..."""
        if name not in self.regions:
            raise UserError(f'The head has no region "{name}".', f"Regions: {', '.join(self.regions)}.", "FQ102")
        return self.regions[name]

    @property
    def rigid_mask(self) -> NDArray[np.bool_]:
        """Mask over the skin's vertices that expressions hardly move (forehead, nose bridge)."""
        return self.region_mask("rigid")

    def part_triangles(self, name: str) -> NDArray[np.int32]:
        """Triangles (T, 3) of a part, counted from the part's own first vertex."""
        part = self.parts[name]
        return self.triangles[part.triangles] - np.int32(part.vertices.start)


def _floats(values: NDArray, size: int, what: str) -> Array:
    out = np.asarray(values, np.float32)
    if out.shape[-1:] != (size,):
        raise ValueError(f"{what} must be (..., {size}), not {out.shape}")
    return out


def _combined(weights: Array, basis: Array) -> Array:
    flat = weights.reshape(-1, weights.shape[-1]) @ basis.reshape(len(basis), -1)
    return flat.reshape(*weights.shape[:-1], *basis.shape[1:])


@lru_cache(maxsize=4)
def _load(path: Path, with_bones: bool) -> HeadModel:
    head = read_arrays(path)
    if int(head.get("version", -1)) != 1:
        raise UserError(
            f'The head file "{path}" has another version than this FaceQuery.', "Install it again.", "FQ101"
        )
    bones_path = path.with_name("bones.npz")
    bones = read_arrays(bones_path) if with_bones and bones_path.exists() else None
    count = len(head["rest"])
    identity = unfolded(head["identity"], head["half"], head["symmetry"], float(head["step"]))
    rest, triangles, symmetry = head["rest"], head["triangles"], head["symmetry"]
    triangles_uv, jaw_weight = head["triangles_uv"], head["jaw_weight"]
    tissue = np.zeros((0, count, 3), np.float32)
    tissue_names: tuple[str, ...] = ()
    parts = joined_parts(head, bones)
    if bones is not None:
        own = unfolded(bones["identity"], bones["half"], bones["symmetry"], float(bones["step"]))
        identity = np.concatenate([identity, own], 1)
        own_tissue = bones["tissue"].astype(np.float32) * np.float32(bones["step"])
        tissue = np.concatenate([np.zeros((len(own_tissue), count, 3), np.float32), own_tissue], 1)
        tissue_names = tuple(str(n) for n in bones["tissue_names"])
        rest = np.concatenate([rest, bones["rest"]])
        triangles = np.concatenate([triangles, bones["triangles"] + np.int32(count)])
        triangles_uv = np.concatenate([triangles_uv, np.zeros_like(bones["triangles"])])
        symmetry = np.concatenate([symmetry, bones["symmetry"] + np.int32(count)])
        jaw_weight = np.concatenate([jaw_weight, np.zeros(len(bones["rest"]), np.float32)])
        jaw_weight[parts["mandible"].vertices] = 1
    bits, loop_end = head["region_bits"], np.cumsum(head["loop_size"])
    return HeadModel(
        parts=parts,
        rest=rest,
        triangles=triangles,
        quads=head["quads"],
        uv=head["uv"],
        triangles_uv=triangles_uv,
        quads_uv=head["quads_uv"],
        symmetry=symmetry,
        identity_basis=identity,
        expression_basis=expression_basis(head, len(rest)),
        expression_names=tuple(str(n) for n in head["expression_names"]),
        tissue_basis=tissue,
        tissue_names=tissue_names,
        jaw_weight=jaw_weight,
        jaw_turn=head["jaw_turn"].astype(np.float32),
        jaw_move=head["jaw_move"].astype(np.float32),
        jaw_pivot=head["jaw_pivot"].astype(np.float32),
        jaw_pivot_basis=head["jaw_pivot_basis"].astype(np.float32),
        eye_centres_rest=head["eye_centres"].astype(np.float32),
        eye_centres_basis=head["eye_centres_basis"].astype(np.float32),
        limbus_angle=float(head["limbus_angle"]),
        gaze_degrees={str(n): float(d) for n, d in zip(head["gaze_names"], head["gaze_degrees"], strict=True)},
        regions={str(n): (bits >> np.uint32(k)) & 1 > 0 for k, n in enumerate(head["region_names"])},
        loops={
            str(n): head["loop_vertices"][end - size : end]
            for n, size, end in zip(head["loop_names"], head["loop_size"], loop_end, strict=True)
        },
        teeth={
            str(n): slice(int(a), int(b)) for n, (a, b) in zip(head["tooth_names"], head["tooth_vertices"], strict=True)
        },
        normalisation_vertices=head["normalisation_vertices"],
        source_origin=head["source_origin"],
        scale=float(head["scale"]),
    )
