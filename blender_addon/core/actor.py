"""An actor's file (actor.npz): the head of a person that shots have taught, read with NumPy and checked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._vendor.facequery_protocol.errors import DAMAGED
from .._vendor.facequery_protocol.layout import HEAD, SCHEMA
from .._vendor.facequery_protocol.layout import VERSION as LAYOUT_VERSION
from .._vendor.facequery_protocol.reading import check_shapes, load_arrays
from .._vendor.facequery_protocol.results import ACTOR
from .errors import AddonError
from .head_asset import HeadAsset

_VERSION = 1


@dataclass(frozen=True, eq=False)
class Actor:
    """identity (K,) of the head; tissue (S,) standard deviations of tissue depth or None; offsets (V, 3) canonical
    metres that a scan or own bones add, or None; points: the person's own, as a layout document, or None."""

    name: str
    identity: NDArray[np.float64]
    tissue: NDArray[np.float64] | None
    offsets: NDArray[np.float64] | None
    points: dict[str, Any] | None

    def shape(self, head: HeadAsset) -> NDArray[np.float64]:
        """What takes the head at rest to the actor's: displacement (V, 3), canonical metres."""
        moved = head.identity_offsets(self.identity)
        if self.tissue is not None:
            moved += head.tissue_offsets(self.tissue)
        if self.offsets is not None:
            moved += self.offsets
        return moved


def read_actor(path: Path, head: HeadAsset) -> Actor:
    """The actor of a file, checked against the head. Raises AddonError."""
    try:
        arrays = load_arrays(path)
        check_shapes(arrays, **ACTOR)
        version, name = int(arrays["version"]), str(arrays["name"])
        identity = arrays["identity"].astype(np.float64)
        tissue, offsets = (arrays[key].astype(np.float64) if key in arrays else None for key in ("tissue", "offsets"))
        points = _points(name, arrays) if "picked_positions" in arrays else None
    except DAMAGED as error:
        raise AddonError(
            f'"{path.name}" is no actor of FaceQuery ({error}).', "Choose the actor.npz of a job.", "FQ748"
        ) from None
    if version > _VERSION:
        raise AddonError(f'"{path.name}" was written by a newer FaceQuery.', "Update the extension.", "FQ753")
    if offsets is not None and offsets.shape != head.rest.shape:
        raise AddonError(
            f"The actor's head has {len(offsets)} vertices, this extension's {len(head.rest)}.",
            "Use results and extension of the same release.",
            "FQ721",
        )
    return Actor(name, identity, tissue, offsets, points)


def _points(name: str, arrays: dict[str, NDArray]) -> dict[str, Any]:
    own = {key: arrays[f"picked_{key}"].tolist() for key in ("ids", "names", "groups", "kinds", "positions")}
    anchors = {"triangles": "triangle", "barycentric": "bary", "offsets": "offset"}
    own |= {key: arrays[f"picked_{stored}"].tolist() for key, stored in anchors.items()}
    return {"schema": SCHEMA, "version": LAYOUT_VERSION, "head": HEAD, "name": name, **own}
