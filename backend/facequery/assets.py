"""Where the files that ship with the code lie, and where the source data for training and evaluation does."""

import os
from pathlib import Path

from facequery.errors import UserError

_PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = _PACKAGE.parents[1]


def asset(name: str) -> Path:
    """Path of a shipped file or folder, such as "head/head.npz" or "layouts".

    An installed wheel carries the assets inside the package; a checkout has them in its `assets` folder.
    Raises UserError when the file is missing.
    """
    for root in (_PACKAGE / "_assets", _CHECKOUT / "assets"):
        if (root / name).exists():
            return root / name
    raise UserError(f'The file "{name}" that ships with FaceQuery is missing.', "Install FaceQuery again.", "FQ001")


def checkout_path(name: str) -> Path:
    """A path as it is when absolute, else relative to the checkout."""
    return Path(name) if Path(name).is_absolute() else _CHECKOUT / name


def source_data(part: str = "") -> Path:
    """Folder of the source data (head scans, skins, hair, portraits, annotated photographs), or one part of it.

    Looked up in $FACEQUERY_DATA, then in `../shared/data` beside the checkout. Only learning, training and evaluation
    read it; it does not ship. Raises UserError naming the missing part.
    """
    root = Path(os.environ.get("FACEQUERY_DATA") or _CHECKOUT.parent / "shared" / "data")
    folder = root / part
    if not folder.exists():
        raise UserError(
            f'The source data "{part or "data"}" is not at {folder}.',
            "Set FACEQUERY_DATA to the folder that holds it (docs/training.md lists every source and its licence).",
            "FQ002",
        )
    return folder
