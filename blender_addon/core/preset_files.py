"""Presets: named settings of a panel, those that ship and the artist's own, a small JSON file each."""

import json
from pathlib import Path
from typing import Any, Final

from .._vendor.facequery_protocol.reading import load_json
from .errors import AddonError
from .new_job import folder_name

Values = dict[str, Any]
_SCHEMA: Final = "facequery.preset"
_VERSION: Final = 1

SHIPPED: Final[dict[str, dict[str, Values]]] = {
    "points": {
        "On the Skin": {"depth": "SURFACE", "symmetric": False},
        "On the Skin, Both Sides": {"depth": "SURFACE", "symmetric": True},
        "On the Bone, Both Sides": {"depth": "BONE", "symmetric": True},
        "5 mm Deep": {"depth": "DEPTH", "depth_distance": 0.005, "symmetric": False},
    },
    "track": {
        "Face, Skull and Jaw": {"fit_face": True, "fit_skull": True, "fit_jaw": True},
        "Facial Capture": {"face_layout": True, "fit_face": True, "fit_skull": False, "fit_jaw": False},
        "Skull and Jaw": {"fit_face": False, "fit_skull": True, "fit_jaw": True},
        "Points Only": {"fit_face": False, "fit_skull": False, "fit_jaw": False},
    },
    "project": {
        "Tattoo": {"as_decal": True, "blend": "multiply", "refine_picture": True},
        "Scar": {"as_decal": True, "blend": "luminance"},
        "Make-Up": {"as_decal": False, "blend": "luminance"},
        "Grading Mattes": {"matte_regions": ["skin", "eyes", "lips", "mouth"], "matte_suffix": ".exr"},
    },
    "export": {
        "Nuke, Seen Points": {"export_format": "nuke", "export_selected": False, "export_hidden": False},
        "After Effects, Selected": {"export_format": "after-effects", "export_selected": True},
        "Matchmove, Undistorted": {"export_format": "3dequalizer", "export_undistorted": True},
        "ARKit Curves": {"export_format": "arkit-csv"},
        "Animated Scene": {"export_format": "usd"},
    },
}


def names(root: Path, kind: str) -> list[str]:
    """The artist's own presets of a kind, sorted."""
    return sorted(path.stem for path in (root / kind).glob("*.json"))


def read(root: Path, kind: str, name: str) -> Values:
    """The settings of a preset; the artist's own come before those that ship. Raises AddonError."""
    path = _path(root, kind, name)
    if not path.is_file() and name in SHIPPED[kind]:
        return SHIPPED[kind][name]
    try:
        document: Any = load_json(path)
        if document["schema"] != _SCHEMA or document["kind"] != kind or not isinstance(document["values"], dict):
            raise ValueError("it is none")
        newer = int(document["version"]) > _VERSION
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise AddonError(f'The preset "{name}" cannot be read ({error}).', "Save it anew.", "FQ749") from None
    if newer:
        raise AddonError(f'The preset "{name}" was written by a newer FaceQuery.', "Update the extension.", "FQ753")
    return document["values"]


def write(root: Path, kind: str, name: str, values: Values) -> str:
    """Keep settings as a preset. Returns the name that it got; raises AddonError."""
    path = _path(root, kind, name)
    document = {"schema": _SCHEMA, "version": _VERSION, "kind": kind, "values": values}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".part")
        temporary.write_text(json.dumps(document, indent=1), encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise AddonError(
            f'The preset cannot be written to "{path.parent}" ({error.strerror}).', "Free some space.", "FQ770"
        ) from None
    return path.stem


def delete(root: Path, kind: str, name: str) -> None:
    """Delete one of the artist's presets. Raises AddonError when there is none of that name."""
    try:
        _path(root, kind, name).unlink()
    except OSError:
        raise AddonError(f'There is no preset "{name}" of yours.', "Those that ship stay.", "FQ749") from None


def _path(root: Path, kind: str, name: str) -> Path:
    # Names of presets may hold spaces and commas, but nothing that leads out of their folder.
    return root / kind / f"{folder_name(name.strip(), keep=' ,-')}.json"
