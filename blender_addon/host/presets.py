"""The settings of panels that presets hold, read from the file and put into it."""

from pathlib import Path
from typing import Any, Final

import bpy

from ..core import preset_files
from ..core.errors import AddonError
from .backend import user_folder

# By kind: what a preset of it holds. Kinds are those of the panels; points are the scene's, all others the clip's.
SETTINGS: Final = {
    "points": ("depth", "depth_distance", "symmetric", "sample_count", "rounds", "point_size"),
    "track": ("face_layout", "fit_face", "fit_skull", "fit_jaw", "exposure", "allow_gaps", "color_by", "point_size"),
    "project": (
        "blend",
        "as_decal",
        "decal_width",
        "decal_rotation",
        "refine_picture",
        "matte_regions",
        "matte_suffix",
    ),
    "export": ("export_format", "export_selected", "export_undistorted", "export_hidden"),
}


def folder() -> Path:
    """Where the artist's own presets are kept: in the extension's own folder of the user."""
    return user_folder() / "presets"


def own(kind: str) -> list[str]:
    """Names of the artist's own presets."""
    return preset_files.names(folder(), kind)


def shipped(kind: str) -> list[str]:
    """Names of the presets that ship."""
    return list(preset_files.SHIPPED[kind])


def apply(kind: str, name: str, state: bpy.types.PropertyGroup) -> None:
    """Give a scene's or a clip's settings the values of a preset; what it does not hold stays. Raises AddonError."""
    for setting, value in preset_files.read(folder(), kind, name).items():
        if setting not in SETTINGS[kind]:
            continue  # of another release
        try:
            setattr(state, setting, set(value) if isinstance(value, list) else value)
        except (TypeError, ValueError) as error:
            raise AddonError(f'The preset "{name}" is damaged ({error}).', "Save it anew.", "FQ749") from None


def save(kind: str, name: str, state: bpy.types.PropertyGroup) -> str:
    """Keep the present settings as a preset. Returns the name that it got; raises AddonError."""
    if not name.strip():
        raise AddonError("A preset needs a name.", "Type one.", "FQ737")
    values = {setting: _plain(getattr(state, setting)) for setting in SETTINGS[kind]}
    return preset_files.write(folder(), kind, name, values)


def delete(kind: str, name: str) -> None:
    """Delete one of the artist's own presets. Raises AddonError when there is none of that name."""
    preset_files.delete(folder(), kind, name)


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, set) else value
