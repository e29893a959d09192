"""The layouts that ship, and reading layouts by name or by path."""

from functools import lru_cache
from pathlib import Path

from facequery.assets import asset
from facequery.errors import UserError
from facequery.head.queries import QuerySet


def layout_names() -> tuple[str, ...]:
    """Names of the layouts that ship, sorted."""
    return tuple(sorted(p.stem for p in asset("layouts").glob("*.json")))


def load_layout(name_or_path: str | Path) -> QuerySet:
    """A layout that ships, by name ("ibug68"), or any layout file, by path.

    Raises UserError when there is none of that name, or when the file is missing or malformed.
    """
    text = str(name_or_path)
    if text in layout_names():
        return _shipped(text)
    path = Path(name_or_path)
    if path.suffix == ".json" or path.exists():
        return QuerySet.load(path)
    raise UserError(f'There is no layout "{text}".', f"Layouts: {', '.join(layout_names())}, or a .json file.", "FQ115")


@lru_cache
def _shipped(name: str) -> QuerySet:
    return QuerySet.load(asset("layouts") / f"{name}.json")
