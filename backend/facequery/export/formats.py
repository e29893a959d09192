"""The formats that FaceQuery writes, and where each one's adapter is."""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facequery.errors import UserError
from facequery.export.source import Source


@dataclass(frozen=True)
class Format:
    """One format: its `name` on the command line, a `title`, the files' `suffix`, the module of its adapter, what it
    `needs` of a job ("points", "quads", "maps", "face"), whether its points may be `undistorted`, and whether it
    `drops_hidden` points, so that one that is never seen is not in the file."""

    name: str
    title: str
    suffix: str
    module: str
    needs: str = "points"
    undistorted: bool = True
    drops_hidden: bool = True

    def adapter(self) -> Any:
        """The module with `write(source, path)` and, if it writes more than `path`, `targets(source, path)`."""
        return importlib.import_module(f"facequery.export.{self.module}")

    def targets(self, source: Source, path: Path) -> list[Path]:
        """The files that writing `source` to `path` makes."""
        adapter = self.adapter()
        found: list[Path] = adapter.targets(source, path) if hasattr(adapter, "targets") else [path]
        return found

    def write(self, source: Source, path: Path) -> list[Path]:
        """Write; returns the files. Raises UserError."""
        files: list[Path] = self.adapter().write(source, path)
        return files


FORMATS = (
    Format("nuke", "Nuke, Tracker4 node", ".nk", "nuke"),
    Format("nuke-cornerpin", "Nuke, CornerPin2D nodes", ".nk", "nuke_cornerpin", "quads", drops_hidden=False),
    Format("nuke-stmap", "Nuke, the set-up for ST maps", ".nk", "nuke_stmap", "maps", False, False),
    Format("after-effects", "After Effects, keyframe text", ".txt", "after_effects"),
    Format("3dequalizer", "3DEqualizer 4, 2D tracks", ".txt", "three_dequalizer"),
    Format("syntheyes", "SynthEyes, 2-D tracker paths", ".txt", "syntheyes"),
    Format("pftrack", "PFTrack, 2D tracks", ".txt", "pftrack"),
    Format("mmsolver", "mmSolver, UV tracks", ".uv", "mmsolver"),
    Format("csv", "CSV, every point in every frame", ".csv", "csv_tracks", drops_hidden=False),
    Format("json", "JSON, every point in every frame", ".json", "json_tracks", drops_hidden=False),
    Format("arkit-csv", "ARKit-52 curves, Live Link Face's CSV", ".csv", "arkit_csv", "face", False, False),
    Format("arkit-json", "ARKit-52 curves, JSON", ".json", "arkit_json", "face", False, False),
    Format("pc2", "PC2 point cache of the face, with .obj", ".pc2", "pc2", "face", False, False),
    Format("usd", "USD: camera, face, skull and jaw", ".usdc", "usd", "face", False, False),
    Format("alembic", "Alembic by Blender: camera, face cache, skull and jaw", ".abc", "alembic", "face", False, False),
    Format("fbx", "FBX by Blender: camera, face with ARKit shapes, skull and jaw", ".fbx", "fbx", "face", False, False),
)


def format_of(name: str) -> Format:
    """The format of a name. Raises UserError when there is none."""
    for one in FORMATS:
        if one.name == name:
            return one
    raise UserError(f'There is no format "{name}".', f"Choose from {', '.join(f.name for f in FORMATS)}.", "FQ500")
