"""An actor: what shots teach about a person, kept in one file and used over all shots of that person."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from facequery_protocol.results import ACTOR
from numpy.typing import NDArray

from facequery.errors import DAMAGED, UserError
from facequery.files import check_shapes, load_arrays, save_arrays
from facequery.head.model import HeadModel
from facequery.head.queries import QuerySet

VERSION = 1
_QUERY_ARRAYS = ("positions", "triangle", "bary", "offset")
_QUERY_TEXTS = ("ids", "names", "groups", "kinds")


@dataclass(frozen=True, eq=False)
class Actor:
    """A person's head.

    name; identity (K,) coefficients of the head model; tissue (S,) standard deviations of tissue depth, or None;
    offsets (V, 3) metres that take the model's vertices to the person's own shape (a scan, own bones), or None;
    picked: the person's own points, such as optimised marker queries, or None; locked: shots must not change identity.
    """

    name: str
    identity: NDArray[np.float32]
    tissue: NDArray[np.float32] | None = None
    offsets: NDArray[np.float32] | None = None
    picked: QuerySet | None = None
    locked: bool = False

    def vertices(
        self, model: HeadModel, expression: NDArray | None = None, eye_rotation: NDArray | None = None
    ) -> NDArray[np.float32]:
        """The person's head (..., V, 3) under an expression; own offsets go along, turned only by the jaw."""
        points = model.vertices(self.identity, expression, eye_rotation, self.tissue)
        if self.offsets is None:
            return points
        if expression is None:
            return points + self.offsets
        turn, _ = model.jaw_transform(expression, self.identity)
        turned = self.offsets @ np.swapaxes(turn, -1, -2)
        weight = model.jaw_weight[:, None]
        return np.asarray(points + (1 - weight) * self.offsets + weight * turned, np.float32)

    def save(self, path: Path | str) -> None:
        """Write the actor as .npz (plain arrays, no pickles), through a temporary file."""
        arrays: dict[str, NDArray] = {
            "version": np.array(VERSION, np.int32),
            "name": np.array(self.name),
            "identity": self.identity.astype(np.float32),
            "locked": np.array(self.locked),
        }
        if self.tissue is not None:
            arrays["tissue"] = self.tissue.astype(np.float32)
        if self.offsets is not None:
            arrays["offsets"] = self.offsets.astype(np.float32)
        if self.picked is not None:
            arrays |= {f"picked_{k}": getattr(self.picked, k) for k in _QUERY_ARRAYS}
            arrays |= {f"picked_{k}": np.array(getattr(self.picked, k), dtype=str) for k in _QUERY_TEXTS}
        save_arrays(Path(path), compressed=True, **arrays)

    @staticmethod
    def load(path: Path | str) -> "Actor":
        """Read an actor file. Raises UserError when it is missing, malformed or newer than this code."""
        try:
            arrays = load_arrays(path)
            check_shapes(arrays, **ACTOR)
        except FileNotFoundError as error:
            raise UserError(f'There is no actor file "{path}".', "", "FQ131") from error
        except DAMAGED as error:
            raise UserError(f'The actor file "{path}" cannot be read ({error}).', "", "FQ131") from error
        if not {"version", "name", "identity"} <= arrays.keys():
            raise UserError(f'"{path}" is not an actor file.', "", "FQ131")
        if int(arrays["version"]) > VERSION:
            raise UserError(f'The actor file "{path}" was written by a newer FaceQuery.', "Update FaceQuery.", "FQ131")
        picked = None
        if "picked_positions" in arrays:
            picked = QuerySet(
                name="picked",
                **_picked_fields(arrays),
            )
        return Actor(
            name=str(arrays["name"]),
            identity=arrays["identity"],
            tissue=arrays.get("tissue"),
            offsets=arrays.get("offsets"),
            picked=picked,
            locked=bool(arrays.get("locked", False)),
        )


def _picked_fields(arrays: dict[str, NDArray]) -> dict[str, Any]:
    texts = {k: tuple(str(t) for t in arrays[f"picked_{k}"]) for k in _QUERY_TEXTS}
    return {k: arrays[f"picked_{k}"] for k in _QUERY_ARRAYS} | texts
