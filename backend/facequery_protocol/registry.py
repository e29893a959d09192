"""Where an installed backend is written down, so that Blender finds it without a PATH or a preference.

One small JSON file per user:

    {"schema": "facequery.backend", "version": 1, "facequery": "0.1.0",
     "command": ["/path/to/python", "-m", "facequery"]}

Standard library only: the installer runs it before anything is installed.
"""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SCHEMA = "facequery.backend"
VERSION = 1


def registry_path(environ: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Path:
    """The registry file's path on `platform` (as in sys.platform); the file need not exist."""
    home = Path(environ.get("USERPROFILE") or environ.get("HOME") or Path.home())
    if platform.startswith("win"):
        folder = Path(environ.get("APPDATA") or home / "AppData" / "Roaming") / "FaceQuery"
    elif platform == "darwin":
        folder = home / "Library" / "Application Support" / "FaceQuery"
    else:
        folder = Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "facequery"
    return folder / "backend.json"


def write_registry(command: list[str], version: str, path: Path | None = None) -> Path:
    """Write down the `command` that starts the backend and its `version`. Returns the file's path."""
    target = path or registry_path()
    target.parent.mkdir(parents=True, exist_ok=True)
    document = {"schema": SCHEMA, "version": VERSION, "command": command, "facequery": version}
    temporary = target.with_suffix(".tmp")
    temporary.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    temporary.replace(target)
    return target


def read_registry(path: Path | None = None) -> list[str] | None:
    """The command of the registry file; None when there is no such file or it is not one of ours."""
    try:
        document: Any = json.loads((path or registry_path()).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        return None
    command = document.get("command")
    if not isinstance(command, list) or not command or not all(isinstance(part, str) for part in command):
        return None
    return command
