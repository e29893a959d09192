"""The user's own skull, jaw or head instead of ours: read, aligned by named landmarks, used in the fit, and written.

    {"schema": "facequery.mesh", "version": 1, "part": "skull", "file": "scan.obj", "layout": "skull",
     "landmarks": {"nasion": [12.1, 40.2, 88.0]}, "unit": 0.001, "warp": false}

`file` is an OBJ beside the document, in any pose; `landmarks` are positions on it by the names that points of `layout`
(one of ours, or a file) have. Three that do not lie on a line fix it; with `warp` and five or more it is also bent so
that all of them are met. `unit` is the length in metres of the file's unit; left out, the mesh gets our head's size.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import identity as unit
from scipy.spatial import cKDTree

from facequery.errors import UserError
from facequery.files import load_json
from facequery.fitting.freeform import FaceField
from facequery.fitting.output import JAW_PARTS, SKULL_PARTS, part_mesh
from facequery.fitting.results import ShotFit
from facequery.geometry.closest import closest_point_on_mesh
from facequery.head.actor import Actor
from facequery.head.layouts import load_layout
from facequery.head.model import HeadModel
from facequery.head.own_mesh import OwnMesh, aligned_mesh
from facequery.head.queries import QuerySet

Array = NDArray[np.float64]
PARTS = ("skull", "jaw", "head")
SCHEMA, VERSION = "facequery.mesh", 1
_REACH = 0.02  # metres from a vertex of ours within which the user's surface is taken for the same place
_ROUNDS = 6
_LOOSE = 5.0  # degrees: landmarks that miss by more, seen from their middle, do not tell how a mesh is turned


@dataclass(frozen=True, eq=False)
class MeshFile:
    """What a mesh document names: `part`, `vertices` (V, 3) and `triangles` (T, 3) as in the file, `landmarks`;
    in metres where `sized`."""

    part: str
    vertices: Array
    triangles: NDArray[np.int32]
    landmarks: dict[str, Array]
    layout: QuerySet
    warp: bool
    sized: bool

    def aligned(self, model: HeadModel, person: Actor) -> OwnMesh:
        """The mesh brought to a person's neutral head, canonical metres."""
        own = np.zeros_like(model.rest) if person.offsets is None else person.offsets
        neutral = model.vertices(person.identity) + own
        target = model.bind(self.layout.positions).moved(neutral, model.rest)
        return aligned_mesh(
            model, self.vertices, self.triangles, self.landmarks, self.layout, None, self.warp, target, not self.sized
        )


def read_mesh_file(path: Path) -> MeshFile:
    """Read a mesh document and its OBJ. Raises UserError with one sentence."""
    try:
        document = load_json(path)
    except FileNotFoundError:
        raise UserError(f'There is no file "{path}".', "Check the path.", "FQ142") from None
    except (OSError, ValueError) as error:
        raise UserError(f'"{path}" cannot be read ({error}).', code="FQ142") from None
    if not isinstance(document, dict) or document.get("schema") != SCHEMA or document.get("version") != VERSION:
        raise UserError(f'"{path}" is no mesh document.', f'It needs "schema": "{SCHEMA}", "version": 1.', "FQ142")
    if document.get("part") not in PARTS:
        raise UserError(f'"part" in "{path}" must be one of {", ".join(PARTS)}.', code="FQ142")
    given, file = document.get("landmarks"), document.get("file")
    if not isinstance(given, dict) or not isinstance(file, str):
        raise UserError(f'"{path}" needs "file" and "landmarks".', "See docs/fitting.md.", "FQ142")
    unit_length = document.get("unit", 1.0)
    if isinstance(unit_length, bool) or not isinstance(unit_length, int | float) or not 0 < unit_length < 1e6:
        raise UserError(f'"unit" in "{path}" must be a length in metres.', code="FQ142")
    landmarks: dict[str, Array] = {}
    for name, place in given.items():
        try:
            landmarks[name] = np.array(place, np.float64).reshape(3) * unit_length
        except (TypeError, ValueError):
            raise UserError(f'The landmark "{name}" in "{path}" is no position.', code="FQ142") from None
    default = {"skull": "skull", "jaw": "jaw", "head": "ibug68"}[document["part"]]
    layout = load_layout(str(document.get("layout", default)))
    vertices, triangles = read_obj(path.parent / file)
    warp = bool(document.get("warp", False))
    return MeshFile(document["part"], vertices * unit_length, triangles, landmarks, layout, warp, "unit" in document)


def read_obj(path: Path) -> tuple[Array, NDArray[np.int32]]:
    """Vertices (V, 3) and triangles (T, 3) of an OBJ; polygons become fans. Raises UserError."""
    vertices: list[list[float]] = []
    triangles: list[tuple[int, int, int]] = []
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                words = line.split()
                if words[:1] == ["v"]:
                    vertices.append([float(word) for word in words[1:4]])
                elif words[:1] == ["f"]:
                    corners = [int(word.split("/")[0]) for word in words[1:]]
                    corners = [c - 1 if c > 0 else len(vertices) + c for c in corners]
                    triangles += [(corners[0], b, c) for b, c in pairwise(corners[1:])]
        points = np.array(vertices, np.float64).reshape(-1, 3)
        faces = np.array(triangles, np.int32).reshape(-1, 3)
    except FileNotFoundError:
        raise UserError(f'There is no mesh "{path}".', "Check the path.", "FQ143") from None
    except (OSError, ValueError, IndexError) as error:
        raise UserError(f'The mesh "{path}" cannot be read ({error}).', "Export it as OBJ.", "FQ143") from None
    if not len(points) or not len(faces) or faces.min() < 0 or faces.max() >= len(points):
        raise UserError(f'The mesh "{path}" has no surface.', "Export it as OBJ.", "FQ143")
    if not np.isfinite(points).all():
        raise UserError(f'The mesh "{path}" has vertices that are not finite.', "Export it again.", "FQ143")
    return points, faces


def person_of(model: HeadModel, name: str, mesh: MeshFile) -> Actor:
    """The person whose neutral head a mesh is: identity, then free-form, drawn to its surface. Locked."""
    person = Actor(name, np.zeros(len(model.identity_basis), np.float32), locked=True)
    field = FaceField(model, spread=0.002)
    basis = np.asarray(model.identity_basis, np.float64)[:, field.use]
    flat = basis.reshape(len(basis), -1).T
    for _ in range(_ROUNDS):
        own = mesh.aligned(model, person)
        wanted, near = _nearest(model.vertices(person.identity)[field.use], own)
        keep = np.repeat(near, 3)
        gap = (wanted - np.asarray(model.rest, np.float64)[field.use]).ravel()
        square = flat[keep].T @ flat[keep] + len(basis) * 1e-6 * np.eye(len(basis))
        person = replace(person, identity=np.linalg.solve(square, flat[keep].T @ gap[keep]).astype(np.float32))
    own = mesh.aligned(model, person)
    neutral = model.vertices(person.identity)
    wanted, near = _nearest(neutral[field.use], own)
    information = near[:, None, None] * np.eye(3) / 0.0002**2
    pull = information @ (wanted - neutral[field.use])[:, :, None]
    offsets = np.zeros_like(model.rest)
    offsets[field.use] = field.solve(unit(len(field.use)).tocsr(), information, pull[..., 0])
    return replace(person, offsets=offsets)


def with_bones(model: HeadModel, person: Actor, meshes: Sequence[MeshFile]) -> Actor:
    """The person with our bones drawn to the surfaces of the user's, so that a fit's points on bone lie on them."""
    offsets = np.zeros_like(model.rest) if person.offsets is None else person.offsets.copy()
    for mesh in meshes:
        if mesh.part == "head":
            continue
        vertices, _ = part_mesh(model, SKULL_PARTS if mesh.part == "skull" else JAW_PARTS)
        own, neutral = mesh.aligned(model, person), model.vertices(person.identity)[vertices]
        _, around = cKDTree(neutral).query(neutral, k=12)
        for _ in range(_ROUNDS):
            here = neutral + offsets[vertices]
            wanted, near = _nearest(here, own)
            moved = np.where(near[:, None], wanted - here, 0.0)
            # Every vertex goes as its neighbourhood does, so that our surface is not torn where the user's has gaps.
            offsets[vertices] += moved[around].mean(1).astype(np.float32)
    return replace(person, offsets=offsets, locked=True)


def in_place_of_ours(
    model: HeadModel, fit: ShotFit, meshes: Sequence[MeshFile]
) -> tuple[ShotFit, NDArray[np.float32] | None, NDArray[np.int32] | None]:
    """The fit with the user's skull and jaw for ours, moving as ours did; and their head (F, V, 3) with its triangles,
    None without one."""
    person = Actor("", fit.face.identity, offsets=fit.face.offsets)
    head, triangles = None, None
    for mesh in meshes:
        own = mesh.aligned(model, person)
        said = how_aligned(mesh, own)
        if said not in fit.quality.notes:
            fit.quality.notes.append(said)
        if mesh.part == "skull":
            fit = replace(fit, skull=replace(fit.skull, vertices=own.vertices, triangles=own.triangles))
        elif mesh.part == "jaw":
            fit = replace(fit, jaw=replace(fit.jaw, vertices=own.vertices, triangles=own.triangles))
        else:
            head, triangles = animated_head(model, fit, own), own.triangles
    return fit, head, triangles


def how_aligned(mesh: MeshFile, own: OwnMesh) -> str:
    """How well the landmarks of a mesh fix it, for the user."""
    missed = float(np.sqrt(np.mean(np.square(list(own.residual.values())))))
    said = f"Your {mesh.part} is aligned by {len(own.residual)} landmarks, which it misses by {1000 * missed:.1f} mm"
    if mesh.warp:
        return said + " before it is bent."
    worst = max(own.residual, key=lambda name: own.residual[name])
    marked = np.array([mesh.landmarks[name] for name in own.residual])
    wide = np.linalg.svd(marked - marked.mean(0), compute_uv=False)[1] / len(marked) ** 0.5
    wide *= np.sqrt(own.vertices.var(0).sum() / mesh.vertices.var(0).sum())  # now in metres
    if np.degrees(np.arctan2(missed, wide)) > _LOOSE:
        return said + f': too much for how near each other they are. Look at "{worst}", and mark some farther apart.'
    return said + f', "{worst}" most.'


def animated_head(model: HeadModel, fit: ShotFit, own: OwnMesh) -> NDArray[np.float32]:
    """The user's head (F, V, 3) in camera space, following the face that was fitted: its vertices hang on ours."""
    neutral = model.vertices(fit.face.identity) + fit.face.offsets
    binding = replace(model, rest=neutral.astype(np.float32)).bind(own.vertices)
    out = np.empty((len(fit.face.frames), len(own.vertices), 3), np.float32)
    person = Actor("", fit.face.identity, offsets=fit.face.offsets)
    for f in range(len(out)):
        posed = person.vertices(model, fit.face.expression[f], fit.face.eye_rotation[f])
        moved = binding.moved(posed, neutral)
        out[f] = moved @ fit.face.rotation[f].T + fit.face.translation[f]
    return out


def _nearest(points: NDArray, own: OwnMesh) -> tuple[Array, NDArray[np.bool_]]:
    """The points of a mesh nearest to points (n, 3), and which of them are near enough to be the same place."""
    triangle, bary, distance = closest_point_on_mesh(points, own.vertices, own.triangles)
    found = (own.vertices[own.triangles[triangle]] * bary[..., None]).sum(1)
    return np.asarray(found, np.float64), np.asarray(distance) < _REACH
