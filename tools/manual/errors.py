"""The page of error numbers, collected from every place in the code that names one."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools.manual.source import ROOT, assigned, spoken

FOLDERS: Final = ("backend", "blender_addon")
CODE: Final = re.compile(r"FQ\d{3}")
GROUPS: Final = {
    "0": "General",
    "1": "Files that are read: head, layouts, weights, shots, cameras",
    "2": "Detection and training",
    "3": "Jobs, messages and the backend",
    "4": "Fitting",
    "5": "Export, ST maps and reports",
    "6": "Picking, mattes and projection",
    "7": "Blender",
}


@dataclass(frozen=True)
class Place:
    """One place that raises an error: number, cause and next step as they are said, "..." for what varies."""

    code: str
    cause: str
    step: str
    file: str


def places() -> list[Place]:
    """Every place in backend and extension that names an error number, in the order of the numbers."""
    found: list[Place] = []
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            names = {name: text for name, value in assigned(tree.body).items() if CODE.fullmatch(text := spoken(value))}
            for call in ast.walk(tree):
                if isinstance(call, ast.Call):
                    found += _of_call(call, names, path)
    unique = {(place.code, place.cause, place.step): place for place in found}
    return sorted(unique.values(), key=lambda place: (place.code, place.cause))


def _of_call(call: ast.Call, names: dict[str, str], path: Path) -> Iterator[Place]:
    values = [*call.args, *(word.value for word in call.keywords)]
    codes = [text for value in values if CODE.fullmatch(text := names.get(ast.unparse(value), spoken(value)))]
    if not codes:
        return
    named = {word.arg: spoken(word.value) for word in call.keywords}
    if getattr(call.func, "id", "").endswith("Error"):  # (cause, next_step, code)
        cause, step = ((spoken(value) or "...") for value in (*call.args, ast.Constant(" "), ast.Constant(" "))[:2])
    else:  # messages of the worker, whose first arguments are ids and kinds
        cause, step = (*(text for value in call.args if " " in (text := spoken(value))), "", "")[:2]
    cause, step = named.get("cause", cause), named.get("next_step", step)
    cause, step = ("" if CODE.fullmatch(text) else text.strip() for text in (cause, step))
    for code in codes:
        yield Place(code, cause, step, path.relative_to(ROOT).as_posix())


def errors_page() -> str:
    """Markdown: a section for each hundred, a row for each number."""
    lines = [
        "# Error numbers",
        "",
        "What goes wrong and can be mended is told in one sentence, with the next step and a number. `...` stands for "
        "what differs from case to case: a name, a path, a value.",
        "",
    ]
    every = [place for place in places() if place.cause]
    for digit, title in GROUPS.items():
        rows = [place for place in every if place.code[2] == digit]
        if not rows:
            continue
        lines += [f"## {title}", "", "| number | what is wrong | what to do |", "|---|---|---|"]
        seen = set()
        for place in rows:
            anchor = "" if place.code in seen else f'<span id="{place.code.lower()}"></span>'
            seen.add(place.code)
            lines.append(f"| {anchor}{place.code} | {_cell(place.cause)} | {_cell(place.step)} |")
        lines.append("")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
