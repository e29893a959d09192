"""Files that somebody may have damaged, or made up: looked at before they are believed."""

import json
import math
import os
import zipfile
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

LARGEST: Final = 2**33  # bytes that the arrays of one file may take
_SMALL: Final = 2**28
_PART: Final = 2**24
_HEADERS: Final = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def load_json(path: Path) -> Any:
    """What a UTF-8 JSON file holds; its whole numbers are none that a float could not hold.

    Raises OSError, and ValueError when it holds no JSON or nests too deeply.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_int=_whole)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _whole(digits: str) -> int:
    if len(digits) > 300:
        raise ValueError(f"a number has {len(digits)} digits")
    return int(digits)


def load_arrays(path: Path | str, only: Collection[str] | None = None) -> dict[str, NDArray]:
    """The arrays of an .npz file by name; of `only`, those names, which must be there.

    Nothing is unpickled. Before an array takes memory its header is held against the size of its entry, and all of
    them together against LARGEST and against a hundred times the file, which a compressed file of ours never is.
    Raises what DAMAGED names.
    """
    most = min(LARGEST, max(_SMALL, 100 * os.path.getsize(path)))
    with zipfile.ZipFile(path) as archive:
        entries = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        wanted = {name: entries[name] for name in (entries if only is None else only)}
        if sum(info.file_size for info in wanted.values()) > most:
            raise ValueError(f"its arrays would take more than {most} bytes")
        return {name: _array(archive, info) for name, info in wanted.items()}


def map_array(path: Path | str) -> NDArray:
    """The array of an .npy file as a memory map; its header is held against the file's size.

    Nothing is unpickled. Raises what DAMAGED names.
    """
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except (TypeError, OverflowError, RecursionError) as error:
        raise ValueError("it is no array") from error


def check_shapes(arrays: Mapping[str, NDArray], **patterns: str) -> None:
    """Raise ValueError unless the arrays that are there look as said: check_shapes(arrays, xy="F N 2 f", tri="T 3 i").

    Sizes are numbers, or letters that stand for the same size everywhere; the last word is the kind: f for numbers,
    i for whole ones, b for booleans, U for texts. Whole numbers must not be negative or reach the size of the letter
    after them, as in "T 3 i<V".
    """
    sizes: dict[str, int] = {}
    for name, pattern in patterns.items():
        if name not in arrays:
            continue
        array, (*words, kind) = arrays[name], pattern.split()
        kind, _, below = kind.partition("<")
        fits = array.ndim == len(words) and array.dtype.kind in {"f": "fiu", "i": "iu", "b": "b", "U": "U"}[kind]
        for word, size in zip(words, array.shape, strict=False):
            fits = fits and size == (int(word) if word.isdigit() else sizes.setdefault(word, size))
        if not fits or (below and array.size and (array.min() < 0 or array.max() >= sizes[below])):
            raise ValueError(f'"{name}" {array.dtype} {array.shape} is not {pattern}')


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray:
    with archive.open(info) as entry:
        try:
            version = np.lib.format.read_magic(entry)
            shape, by_column, kind = _HEADERS[version](entry)
        except (KeyError, TypeError, RecursionError, zlib.error) as error:
            raise ValueError(f'"{info.filename}" is no array') from error
        count = math.prod(shape)
        if kind.hasobject or min(shape, default=0) < 0 or count * kind.itemsize + entry.tell() != info.file_size:
            raise ValueError(f'"{info.filename}" is not the array that it says it is')
        data = np.empty(count, kind)
        room = data.view(np.uint8).data if data.nbytes else memoryview(b"")
        done = 0
        while part := entry.read(_PART):  # to the very end, where the archive's checksum is compared
            room[done : done + len(part)] = part
            done += len(part)
        return data.reshape(shape, order="F" if by_column else "C")
