"""The parameters of a request to the worker, each of the kind that it must be. All raise UserError FQ391 otherwise."""

from pathlib import Path
from typing import Any

from facequery.errors import UserError

Params = dict[str, Any]
_KINDS = {str: "a text", int: "a whole number", bool: "true or false", list: "a list", dict: "an object"}


def value(params: Params, name: str, kind: type, default: Any = None) -> Any:
    """A value of `kind`, a key of _KINDS; `default` where it is null or left out."""
    found = params.get(name)
    if found is None:
        return default
    if not isinstance(found, kind) or (kind is int and isinstance(found, bool)):
        raise UserError(f'"{name}" must be {_KINDS[kind]}.', code="FQ391")
    return found


def path(params: Params, name: str) -> Path | None:
    """A path; None where it is null, empty or left out."""
    found = value(params, name, str)
    return Path(found) if found else None


def texts(params: Params, name: str, default: Any = ()) -> Any:
    """A list of texts as a tuple; `default` where it is null or left out."""
    found = value(params, name, list)
    return default if found is None else all_texts(found, name)


def all_texts(values: Any, name: str) -> tuple[str, ...]:
    """A list in the value of `name`, which must be one of texts."""
    if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
        raise UserError(f'"{name}" must be a list of texts.', code="FQ391")
    return tuple(values)


def required(params: Params, name: str) -> str:
    """A text that must be there."""
    found = value(params, name, str)
    if found is None:
        raise UserError(f'"{name}" is missing.', code="FQ391")
    return str(found)


def folder_and_device(params: Params) -> tuple[Path, str]:
    """The job's "folder", and the "device" that computes ("auto")."""
    return Path(required(params, "folder")), value(params, "device", str, "auto")
