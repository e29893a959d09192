"""The layout document: a named set of 3D points on the canonical head, as JSON.

    {"schema": "facequery.layout", "version": 1, "head": "facequery-1", "name": "ibug68",
     "description": "...", "origin": "...", "licence": "...",
     "ids": [...], "names": [...], "groups": [...], "kinds": [...],
     "positions": [[x, y, z], ...], "triangles": [...], "barycentric": [[a, b, c], ...], "offsets": [[x, y, z], ...]}

Positions are canonical metres on the rest mesh (+x the subject's left, +y up, +z out of the face, origin between the
eyeball centres) and are what counts; triangle, barycentric and offset say where on the mesh `head` a point is tied
(triangle -1: not on a surface) and may be left out. Only schema, version, name and positions are required.

An optional extension with a version of its own lets points slide as the head turns (a contour that is the silhouette):

    "slide": {"version": 1, "indices": [0, 1, ...], "yaws": [-60, ..., 60], "positions": [[[x, y, z], ...], ...]}

the numbers of the points, yaws in degrees (ascending, positive to the subject's left) and, for each yaw, the points'
positions; "tilts", one [x, y, z] for each point, may add how far it moves with every degree of pitch (up). Who does not
know it uses `positions` alone.
"""

import json
from collections import Counter
from collections.abc import Callable
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

SCHEMA = "facequery.layout"
VERSION = 1
SLIDE_VERSION = 1
HEAD = "facequery-1"
KINDS = ("skin", "bone", "tooth", "eye", "volume")
LARGEST = 200_000_000  # bytes of a file
LIMIT = 1.0  # metres: a coordinate beyond this is not in metres

# From version n to n + 1: a function from document to document.
UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}


class LayoutError(ValueError):
    """A layout document that cannot be used; the message is one sentence."""


def _strings(document: dict[str, Any], key: str, count: int, default: list[str]) -> list[str]:
    values = document.get(key, default)
    if not isinstance(values, list) or not all(isinstance(v, str) for v in values):
        raise LayoutError(f'"{key}" must be a list of strings')
    if len(values) != count:
        raise LayoutError(f'"{key}" has {len(values)} entries for {count} positions')
    return values


def _triples(document: dict[str, Any], key: str, count: int, default: list[list[float]] | None) -> list[list[float]]:
    values = document.get(key, default)
    if not isinstance(values, list) or len(values) != count:
        raise LayoutError(f'"{key}" must be a list of {count} triples of numbers')
    if _are_triples(values):
        return [list(map(float, row)) for row in values]
    for i, row in enumerate(values):
        numbers = isinstance(row, list) and len(row) == 3
        if not numbers or not all(isinstance(v, int | float) and not isinstance(v, bool) for v in row):
            raise LayoutError(f'"{key}" number {i} is not a triple of numbers')
        if not all(-LIMIT <= v <= LIMIT for v in row):
            raise LayoutError(f'"{key}" number {i} is not within {LIMIT:g} metre of the origin; positions are metres')
    return [[float(v) for v in row] for row in values]


def _are_triples(values: list[Any]) -> bool:
    """Whether all is well with triples as JSON has them: quickly, for there may be a hundred thousand."""
    if not all(type(row) is list and len(row) == 3 for row in values):
        return False
    numbers = list(chain.from_iterable(values))
    return set(map(type, numbers)) <= {int, float} and all(map(LIMIT.__ge__, map(abs, numbers)))


def upgrade(document: dict[str, Any]) -> dict[str, Any]:
    """The document in the present version. Raises LayoutError when it is none, or newer than this code."""
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise LayoutError(f'it is not a layout ("schema" is not "{SCHEMA}")')
    version = document.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise LayoutError('"version" must be a whole number of 1 or more')
    if version > VERSION:
        raise LayoutError(f"its version {version} is newer than this FaceQuery understands ({VERSION})")
    while version < VERSION:
        document = UPGRADES[version](document)
        version += 1
    return document


def validated(document: dict[str, Any]) -> dict[str, Any]:
    """The document upgraded, complete (every list present) and checked; raises LayoutError saying what is wrong."""
    document = upgrade(document)
    name = document.get("name")
    if not isinstance(name, str) or not name:
        raise LayoutError('"name" is missing')
    positions = document.get("positions")
    if not isinstance(positions, list) or not positions:
        raise LayoutError('"positions" must be a list of at least one point')
    count = len(positions)
    out: dict[str, Any] = {
        "schema": SCHEMA,
        "version": VERSION,
        "head": str(document.get("head", HEAD)),
        "name": name,
        **{key: str(document.get(key, "")) for key in ("description", "origin", "licence")},
        "ids": _strings(document, "ids", count, [f"{name}.{i}" for i in range(count)]),
        "names": _strings(document, "names", count, [str(i) for i in range(count)]),
        "groups": _strings(document, "groups", count, [""] * count),
        "kinds": _strings(document, "kinds", count, ["skin"] * count),
        "positions": _triples(document, "positions", count, None),
    }
    if len(set(out["ids"])) != count:
        double = Counter(out["ids"]).most_common(1)[0][0]
        raise LayoutError(f'the id "{double}" occurs twice')
    if wrong := set(out["kinds"]) - set(KINDS):
        raise LayoutError(f'"{sorted(wrong)[0]}" is not a kind of point ({", ".join(KINDS)})')
    # Without an anchor (or with one on another head) the reader ties the points to the mesh by position.
    if "triangles" in document and "kinds" in document and out["head"] == HEAD:
        triangles = document["triangles"]
        whole = isinstance(triangles, list) and all(isinstance(t, int) and not isinstance(t, bool) for t in triangles)
        if not whole or len(triangles) != count:
            raise LayoutError(f'"triangles" must be a list of {count} whole numbers')
        out["triangles"] = triangles
        out["barycentric"] = _triples(document, "barycentric", count, None)
        out["offsets"] = _triples(document, "offsets", count, [[0.0, 0.0, 0.0]] * count)
    if "slide" in document:
        out["slide"] = _slide(document["slide"], count)
    return out


def _slide(slide: Any, count: int) -> dict[str, Any]:
    if not isinstance(slide, dict) or slide.get("version") != SLIDE_VERSION:
        raise LayoutError(f'"slide" must be a table of version {SLIDE_VERSION}')
    indices, yaws, rows = (slide.get(key) for key in ("indices", "yaws", "positions"))
    whole = isinstance(indices, list) and all(isinstance(i, int) and 0 <= i < count for i in indices)
    if not whole or len(set(indices)) != len(indices) or not indices:  # type: ignore[arg-type]
        raise LayoutError(f'"indices" of "slide" must be different numbers of points, 0 to {count - 1}')
    numbers = isinstance(yaws, list) and all(isinstance(y, int | float) and -360 <= y <= 360 for y in yaws)
    if not numbers or len(yaws) < 2 or any(b <= a for a, b in pairwise(yaws)):  # type: ignore[arg-type]
        raise LayoutError('"yaws" of "slide" must be at least two ascending numbers')
    if not isinstance(rows, list) or len(rows) != len(yaws):  # type: ignore[arg-type]
        raise LayoutError('"positions" of "slide" must have one list for each yaw')
    points = [_triples({"positions": row}, "positions", len(indices), None) for row in rows]
    found = {"version": SLIDE_VERSION, "indices": indices, "yaws": [float(y) for y in yaws], "positions": points}  # type: ignore[union-attr]
    if "tilts" in slide:
        found["tilts"] = _triples(slide, "tilts", len(indices), None)
    return found


def read_layout(path: Path | str) -> dict[str, Any]:
    """Read and validate a layout file. Raises LayoutError with the file's name in it."""
    try:
        if Path(path).stat().st_size > LARGEST:
            raise LayoutError(f'The layout "{path}" is too large: {LARGEST} bytes are the most.')
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except LayoutError:
        raise
    except OSError as error:
        raise LayoutError(f'The layout "{path}" cannot be read: {error.strerror}.') from error
    except (ValueError, RecursionError) as error:
        raise LayoutError(f'The layout "{path}" is malformed: it is not JSON ({error}).') from error
    try:
        return validated(document)
    except LayoutError as error:
        raise LayoutError(f'The layout "{path}" is malformed: {error}.') from error


def write_layout(path: Path | str, document: dict[str, Any]) -> None:
    """Validate and write a layout file, one list per line, through a temporary file that is renamed."""
    document = validated(document)
    lines = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in document.items()]
    target = Path(path)
    temporary = target.with_name(target.name + ".part")
    temporary.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    temporary.replace(target)
