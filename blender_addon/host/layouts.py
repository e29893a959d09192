"""Layouts: from and to JSON files, those that ship and the artist's own."""

from pathlib import Path
from typing import Any

import bpy
import numpy as np

from .._vendor.facequery_protocol.layout import KINDS, LayoutError, read_layout, write_layout
from ..core.assets import asset
from ..core.errors import AddonError
from ..core.head_asset import load_head
from ..core.points import Anchors, PointTable
from . import points as host_points
from .surface import anchor


def shipped_layouts() -> list[str]:
    """Names of the layouts that ship, sorted."""
    return sorted(path.stem for path in asset("layouts").glob("*.json"))


def shipped_path(name: str) -> Path:
    """File of a layout that ships. Raises AddonError when there is none of that name."""
    if name not in shipped_layouts():
        raise AddonError(f'There is no layout "{name}".', f"Layouts: {', '.join(shipped_layouts())}.", "FQ740")
    return asset("layouts") / f"{name}.json"


def load(scene: bpy.types.Scene, path: Path, replace: bool = False) -> int:
    """Add the points of a layout file to the scene's. Returns how many. Raises AddonError when it cannot be used."""
    try:
        document = read_layout(path)
    except LayoutError as error:
        raise AddonError(str(error), "Choose a layout that FaceQuery saved.", "FQ741") from None
    return add(scene, document, replace)


def add(scene: bpy.types.Scene, document: dict[str, Any], replace: bool = False) -> int:
    """Add the points of a layout document to the scene's, or put them in their place. Returns how many."""
    positions = np.array(document["positions"], np.float64).reshape(-1, 3)
    anchors = _anchors(document, positions)
    obj = host_points.points_of(scene, create=True)
    table = host_points.read(obj)
    if replace:
        table = table.rows(np.zeros(len(table), bool))
    # A layout without groups becomes one, so that it has a color and can be hidden.
    names = [group or document["name"] for group in document["groups"]]
    index = {name: host_points.group_index(obj, name) for name in dict.fromkeys(names)}
    groups = np.array([index[name] for name in names], np.int32)
    host_points.write(obj, table.appended(positions, anchors, groups, document["ids"], document["names"]))
    return len(positions)


def _anchors(document: dict, positions: np.ndarray) -> Anchors:
    """The document's own anchors where it has them for this head, else the nearest ones."""
    triangles = np.array(document.get("triangles", ()), np.int32)
    if len(triangles) != len(positions) or triangles.max(initial=-1) >= len(load_head().triangles):
        return anchor(positions).checked()
    return Anchors(
        triangles,
        np.array(document["barycentric"]),
        np.array(document["offsets"]),
        np.array([KINDS.index(kind) for kind in document["kinds"]], np.int32),
        np.zeros(len(positions)),
    )


def table_of(scene: bpy.types.Scene) -> tuple[PointTable, list[str]]:
    """The scene's points and the names of their groups. Raises AddonError when there are none."""
    obj = host_points.points_of(scene)
    return host_points.read(obj), host_points.group_names(obj)


def save(scene: bpy.types.Scene, path: Path) -> None:
    """Write the scene's points as a layout file, named after the file. Raises AddonError when it cannot be written."""
    table, groups = table_of(scene)
    try:
        write_layout(path, table.document(path.stem, groups))
    except (LayoutError, OSError) as error:
        cause = error.strerror if isinstance(error, OSError) else str(error)
        raise AddonError(
            f'The layout "{path.name}" cannot be written: {cause}.', "Choose another place.", "FQ742"
        ) from None
