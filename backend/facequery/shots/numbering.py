"""Which files make a sequence: patterns, folders, frame numbers, gaps."""

import itertools
import os
import re
from dataclasses import dataclass
from pathlib import Path

from facequery.errors import UserError

PICTURES = frozenset(
    {".exr", ".dpx", ".cin", ".tif", ".tiff", ".png", ".jpg", ".jpeg", ".tga", ".bmp", ".webp", ".hdr"}
)
VIDEOS = frozenset({".mp4", ".mov", ".m4v", ".mkv", ".avi", ".webm", ".mxf", ".mpg", ".mpeg", ".wmv", ".mts", ".m2ts"})
_HASHES = re.compile(r"#+")
_PERCENT = re.compile(r"%(0(\d+))?d")
_NUMBERED = re.compile(r"^(.*?)(-?\d+)(\D*)$", re.DOTALL)


@dataclass(frozen=True)
class Sequence:
    """Files of one picture sequence by frame number, in order. `name` is the common part of the file names."""

    name: str
    files: dict[int, Path]


def is_pattern(path: str) -> bool:
    """Whether the last part of a path stands for many files: "shot.####.exr" or "shot.%04d.exr"."""
    name = os.path.basename(path)
    return bool(_HASHES.search(name) or _PERCENT.search(name))


def find_pattern(path: str) -> Sequence:
    """The files of a pattern; "#" stands for a digit, the last run of "#" or %0Nd for the frame number.

    Numbers longer than the padding count too (shot.####.exr has shot.10000.exr), "#" and "%d" alone take any padding.
    Raises UserError when the folder or all files are missing, or a number appears twice.
    """
    folder, name = Path(path).parent, os.path.basename(path)
    matches = list(_PERCENT.finditer(name)) or list(_HASHES.finditer(name))
    place = matches[-1]
    padding = int(place.group(2) or 1) if place.group().startswith("%") else len(place.group())
    before, after = name[: place.start()], name[place.end() :]
    # Python pads -5 to four places as -005.
    number = re.compile(re.escape(before) + r"(-?\d+)" + re.escape(after) + r"\Z")
    files: dict[int, Path] = {}
    for entry in _names(folder):
        found = number.match(entry)
        if not found:
            continue
        digits = found.group(1)
        padded = padding == 1 or len(digits) == padding or (len(digits) > padding and digits.lstrip("-")[0] != "0")
        if not padded:
            continue
        if int(digits) in files:
            raise UserError(f'Frame {int(digits)} of "{path}" exists twice, with different padding.', code="FQ203")
        files[int(digits)] = folder / entry
    if not files:
        raise UserError(f'No file matches "{path}".', "Check the name and the number of digits.", "FQ201")
    return Sequence(_title(before, after), dict(sorted(files.items())))


def find_folder(folder: Path) -> Sequence:
    """The one picture sequence of a folder. Raises UserError when there is none, or more than one."""
    groups: dict[tuple[str, str], dict[int, Path]] = {}
    plain: list[str] = []
    for entry in _names(folder):
        stem, suffix = os.path.splitext(entry)
        if suffix.lower() not in PICTURES or entry.startswith("."):
            continue
        found = _NUMBERED.match(stem)
        if not found:
            plain.append(entry)
            continue
        before, digits, after = found.groups()
        if digits.startswith("-") and not before.endswith((".", "_")):  # "shot-0012": a dash, not a minus
            before, digits = before + "-", digits[1:]
        files = groups.setdefault((before, after + suffix), {})
        if int(digits) in files:
            raise UserError(
                f'The folder "{folder}" has frame {int(digits)} twice ("{entry}" and "{files[int(digits)].name}").',
                code="FQ203",
            )
        files[int(digits)] = folder / entry
    if not groups:
        if len(plain) == 1:
            return Sequence(os.path.splitext(plain[0])[0], {1: folder / plain[0]})
        raise UserError(f'The folder "{folder}" has no picture sequence in it.', code="FQ202")
    if len(groups) > 1:
        names = sorted(before + "#" + after for before, after in groups)
        listed = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
        raise UserError(
            f'The folder "{folder}" has {len(groups)} sequences in it ({listed}).',
            "Name the one to use.",
            "FQ202",
        )
    (before, after), files = next(iter(groups.items()))
    return Sequence(_title(before, after) or folder.name, dict(sorted(files.items())))


def number_of(path: Path) -> int:
    """The frame number of a file: the last digits of its name, 1 without any."""
    pattern = pattern_of(path)
    found = _NUMBERED.match(path.stem)
    if pattern is None or found is None:
        return 1
    before, digits, _ = found.groups()
    return int(digits) if before.endswith((".", "_")) else abs(int(digits))


def pattern_of(path: Path) -> str | None:
    """The pattern that a numbered file belongs to ("shot.1001.exr" to "shot.####.exr"), or None without a number."""
    found = _NUMBERED.match(path.stem)
    if not found:
        return None
    before, digits, after = found.groups()
    if digits.startswith("-") and not before.endswith((".", "_")):
        before, digits = before + "-", digits[1:]
    return str(path.with_name(before + "#" * len(digits) + after + path.suffix))


def select(available: list[int], frames: tuple[int, int] | None, allow_gaps: bool, what: str) -> list[int]:
    """The frame numbers to use: all, or those in `frames` (first, last), both included.

    Raises UserError when a number between the first and the last is missing, unless `allow_gaps`: then it is left out.
    """
    numbers = set(available)
    first, last = frames if frames else (min(available), max(available))
    if first > last:
        raise UserError(f"The frame range {first}-{last} ends before it begins.", code="FQ204")
    chosen = [n for n in sorted(numbers) if first <= n <= last]
    if not chosen:
        raise UserError(
            f"{what} has no frame in {first}-{last}.", f"It has frames {spans(sorted(numbers))}.", code="FQ204"
        )
    missing = _missing(chosen, first, last)
    if missing and not allow_gaps:
        is_are = "is" if len(missing) == 1 and missing[0][0] == missing[0][1] else "are"
        raise UserError(
            f"{what}: frame{'s' * (is_are == 'are')} {_join(missing)} {is_are} missing.",
            "Use --allow-gaps to track around them.",
            "FQ205",
        )
    return chosen


def spans(numbers: list[int]) -> str:
    """Sorted numbers in short, "1001-1005, 1009"; of many pieces only the first ones."""
    pieces: list[tuple[int, int]] = []
    for n in numbers:
        if pieces and n == pieces[-1][1] + 1:
            pieces[-1] = (pieces[-1][0], n)
        else:
            pieces.append((n, n))
    return _join(pieces)


def missing_spans(chosen: list[int], first: int, last: int) -> str:
    """The numbers of [first, last] that are not in the sorted `chosen`, in short; "" when none is missing."""
    return _join(_missing(chosen, first, last))


def _missing(chosen: list[int], first: int, last: int) -> list[tuple[int, int]]:
    edges = [first - 1, *chosen, last + 1]
    return [(a + 1, b - 1) for a, b in itertools.pairwise(edges) if b - a > 1]


def _join(pieces: list[tuple[int, int]], most: int = 8) -> str:
    texts = [str(a) if a == b else f"{a}-{b}" for a, b in pieces]
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")


def _names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(e.name for e in entries if e.is_file())
    except FileNotFoundError:
        raise UserError(f'There is no folder "{folder}".', code="FQ201") from None
    except OSError as error:
        raise UserError(f'The folder "{folder}" cannot be read ({error.strerror}).', code="FQ201") from None


def _title(before: str, after: str) -> str:
    end = after[: len(after) - len(Path("x" + after).suffix)]
    return (before + end).strip(" ._-") or end or "sequence"
