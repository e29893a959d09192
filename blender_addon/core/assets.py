"""Where the extension's own files lie: in the zip beside the code, in a checkout in the repository's assets/."""

import tomllib
from functools import cache
from pathlib import Path

from .errors import AddonError

_PACKAGE = Path(__file__).resolve().parents[1]


def asset(name: str) -> Path:
    """Path of the file or folder `name` of the assets, such as "head/head.npz". Raises AddonError without it."""
    for root in (_PACKAGE / "assets", _PACKAGE.parent / "assets"):
        if (root / name).exists():
            return root / name
    raise AddonError(
        f'The extension lacks its file "assets/{name}".', "Install the FaceQuery extension again from its zip.", "FQ701"
    )


@cache
def extension_version() -> str:
    """The extension's version, such as "0.1.0", from its manifest."""
    return str(tomllib.loads((_PACKAGE / "blender_manifest.toml").read_text(encoding="utf-8"))["version"])
