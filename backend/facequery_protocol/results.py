"""What stands in the files of results: shapes of their arrays (see `reading.check_shapes`), and the tracks' header."""

from typing import Any, Final

TRACKS_SCHEMA: Final = "facequery.tracks"
TRACKS_VERSION: Final = 1
FACE: Final = {
    "vertices": "F V 3 f",
    "triangles": "T 3 i<V",
    "identity": "K f",
    "expression": "F E f",
    "expression_names": "E U",
    "eye_rotation": "F 2 3 3 f",
    "rotation": "F 3 3 f",
    "translation": "F 3 f",
    "frames": "F i",
    "offsets": "A 3 f",
}
RIGID: Final = {
    "vertices": "V 3 f",
    "triangles": "T 3 i<V",
    "rotation": "F 3 3 f",
    "translation": "F 3 f",
    "frames": "F i",
}
ACTOR: Final = {
    "version": "i",
    "name": "U",
    "identity": "K f",
    "locked": "b",
    "tissue": "S f",
    "offsets": "V 3 f",
    "picked_positions": "P 3 f",
    "picked_triangle": "P i",
    "picked_bary": "P 3 f",
    "picked_offset": "P 3 f",
    "picked_ids": "P U",
    "picked_names": "P U",
    "picked_groups": "P U",
    "picked_kinds": "P U",
}
_HEADER = {"frames", "chunk", "width", "height", "fps", "pixel_aspect", "layouts", "queries", "names"}


def is_header(document: Any) -> bool:
    """Whether a document is the header of tracks, `tracks.json`, of this or a later version."""
    if not isinstance(document, dict) or document.get("schema") != TRACKS_SCHEMA or not document.keys() >= _HEADER:
        return False
    frames, names = document["frames"], document["names"]
    if not (isinstance(frames, list) and frames and isinstance(names, list) and all(type(n) is str for n in names)):
        return False
    whole = [document.get("version"), document["chunk"], document["width"], document["height"]]
    numbers = [document["fps"], document["pixel_aspect"]]
    return (
        all(type(n) is int and abs(n) < 2**40 for n in [*frames, *whole])
        and all(type(n) in (int, float) and 0 < n < 1e6 for n in numbers)
        and min(whole) >= 1
    )
