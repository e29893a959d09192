"""The fenced blocks of the pages that people read, and the commands in them."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHELLS = ("bash", "powershell")
_FENCE = re.compile(r"^(\s*)(`{3,})\s*(\w*)(.*)$")
_REASON = re.compile(r"^\s*<!--\s*not run:\s*(.+?)\s*-->\s*$")
_REMARK = re.compile(r"(^|\s)#.*$")
_TITLE = re.compile(r'title="([^"]+)"')


@dataclass(frozen=True)
class Block:
    """A fenced block: `reason` says why it is not run, "" when it is; `title` names the file that it shows."""

    page: Path
    line: int
    language: str
    title: str
    text: str
    reason: str

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def runs(self) -> bool:
        """Whether it is code that is to be run as it stands."""
        return not self.reason and self.language in (*SHELLS, "python")

    def commands(self) -> list[list[str]]:
        """The words of each command of a shell block."""
        lines = [_REMARK.sub("", line) for line in self.text.splitlines()]
        split = [shlex.split(line, posix="\\" not in line) for line in lines]  # Windows has paths with \
        return [words for words in split if words]


def pages() -> list[Path]:
    """Every page with commands: the README, what contributors read, and the manual."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found: list[Block] = []
    lines = page.read_text(encoding="utf-8").split("\n")
    reason, number = "", 0
    while number < len(lines):
        line = lines[number]
        if match := _REASON.match(line):
            reason = match.group(1)
        elif match := _FENCE.match(line):
            indent, ticks, language, rest = match.groups()
            end = next(i for i in range(number + 1, len(lines)) if lines[i].strip() == ticks)
            text = "\n".join(one.removeprefix(indent) for one in lines[number + 1 : end]) + "\n"
            title = _TITLE.search(rest)
            found.append(Block(page, number + 1, language, title.group(1) if title else "", text, reason))
            reason, number = "", end
        elif line.strip():
            reason = ""
        number += 1
    return found


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    out, ticks = [], ""
    for line in page.read_text(encoding="utf-8").split("\n"):
        match = _FENCE.match(line)
        if ticks:
            ticks = "" if line.strip() == ticks else ticks
        elif match:
            ticks = match.group(2)
        else:
            out.append(line)
    return "\n".join(out)
