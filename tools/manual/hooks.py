"""What MkDocs calls while it builds the manual: generated pages, and links out of docs/ to other files of the project.

Pages that describe code are made from the code. A file elsewhere in the repository to which a page leads (the
changelog, a card, a table of measurements, a source file) becomes a page under `project/`, so that one link holds on a
code host and on the site.
"""

import posixpath
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from mkdocs.structure.files import File, Files

ROOT: Final = Path(__file__).resolve().parents[2]
for _folder in (str(ROOT), str(ROOT / "backend")):
    if _folder not in sys.path:
        sys.path.insert(0, _folder)

PICTURES: Final = (".png", ".jpg", ".svg", ".webp", ".gif")
_LINK: Final = re.compile(r"(\]\()([^)\s]+)((?:\s[^)]*)?\))")
_CODE: Final = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def generated() -> dict[str, str]:
    """The pages that are made from the code, by path."""
    from tools.manual.commands import commands_page
    from tools.manual.errors import errors_page
    from tools.manual.panels import panels_page
    from tools.manual.worker import worker_page

    return {
        "reference/commands.md": commands_page(),
        "reference/panels.md": panels_page(),
        "reference/worker.md": worker_page(),
        "reference/errors.md": errors_page(),
    }


def links(markdown: str) -> Iterator[str]:
    """The relative targets of a page's links and pictures, without anchors; code blocks are left out."""
    for match in _LINK.finditer(_CODE.sub("", markdown)):
        target = match.group(2).partition("#")[0]
        if target and "://" not in target and not target.startswith("mailto:"):
            yield target


def shown_from_outside() -> set[str]:
    """Paths in the repository of all that the pages of docs/ lead to outside of it, directly or over other pages."""
    waiting = [path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")]
    seen: set[str] = set()
    while waiting:
        page = waiting.pop()
        for target in links((ROOT / page).read_text(encoding="utf-8")):
            path = posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
            if path in seen or path.startswith("docs/") or not (ROOT / path).is_file():
                continue
            seen.add(path)
            if path.endswith(".md"):
                waiting.append(path)
    return seen


def place(path: str) -> str:
    """Where in the site a file of the repository stands."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return f"project/{path}" if path.endswith((".md", *PICTURES)) else f"project/{path}.md"


def on_files(files: Files, config: Any, **_: Any) -> Files:
    """Add the generated pages, and what lies outside of docs/."""
    for path, content in generated().items():
        files.append(File.generated(config, path, content=content))
    for path in sorted(shown_from_outside()):
        if path.endswith((".md", *PICTURES)):
            files.append(File.generated(config, place(path), abs_src_path=str(ROOT / path)))
        else:
            text = (ROOT / path).read_text(encoding="utf-8")
            content = f"# {path}\n\n````{Path(path).suffix[1:]}\n{text}\n````\n"
            files.append(File.generated(config, place(path), content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead links to files outside of docs/ to their places in the site."""
    here = page.file.src_uri
    source = here.removeprefix("project/") if here.startswith("project/") else f"docs/{here}"

    def moved(match: re.Match[str]) -> str:
        target, hash, anchor = match.group(2).partition("#")
        if not target or "://" in target or target.startswith("mailto:"):
            return match.group(0)
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        if source.startswith("docs/") and path.startswith("docs/"):
            return match.group(0)
        there = posixpath.relpath(place(path), posixpath.dirname(here) or ".")
        return f"{match.group(1)}{there}{hash}{anchor}{match.group(3)}"

    return _LINK.sub(moved, markdown)
