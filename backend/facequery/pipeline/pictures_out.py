"""Where a job's pictures go: folders of sequences that are gone on with, and never overwritten unasked."""

import json
import shutil
from pathlib import Path
from typing import Any

from facequery_protocol.errors import ProtocolError
from facequery_protocol.job import inside

from facequery.errors import UserError
from facequery.files import save_text

SETTINGS = "settings.json"


def picture_folder(job: Path, name: str) -> Path:
    """The folder `name` in a job's. Raises UserError for one that would lie elsewhere, or be the job's own."""
    try:
        own = inside(name, job) == job.resolve()
    except ProtocolError as error:
        raise UserError(error.cause, "Give a --name that lies in it.", error.code) from None
    if own:
        raise UserError("Pictures need a folder of their own.", "Give a --name.", "FQ620")
    return job / name


def open_output(folder: Path, settings: dict[str, Any], overwrite: bool) -> None:
    """Make a folder for pictures, or go on with the one that was begun with the same settings.

    Raises UserError when other pictures are there; with `overwrite` those are removed.
    """
    text = json.dumps(settings, indent=1, sort_keys=True) + "\n"
    there = folder / SETTINGS
    if there.is_file() and there.read_text(encoding="utf-8", errors="replace") == text and not overwrite:
        return
    if any(path.is_file() and path != there for path in folder.rglob("*")):  # settings alone: nothing came of it
        if not overwrite or not there.is_file():
            raise UserError(
                f'"{folder}" holds other pictures already.', "Give another --name, or --overwrite.", "FQ620"
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_text(there, text)


def picture_name(name: str, number: int, suffix: str) -> str:
    """`name.1001.exr`; negative numbers keep their sign."""
    return f"{name}.{number:04d}{suffix}"
