"""Mattes as one Cryptomatte picture a frame, from which compositors take any region by its name.

Friedman and Jones, Fully automatic ID mattes with support for motion blur and transparency (SIGGRAPH 2015), and the
specification 1.2 beside it: channels hold pairs of an identifier and its coverage, the largest coverage first; an
identifier is the hash of a name, read as a float; the names are in the metadata.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LAYER = "FaceQuery"
_RANKS = 6  # identifiers a pixel, two a layer of channels: what readers expect
_ROWS = 256  # ranked at once


@dataclass(frozen=True, eq=False)
class Cryptomatte:
    """A picture (H, W, 12) float32 whose channels have these `names`, and the file's `metadata`."""

    picture: NDArray[np.float32]
    names: tuple[str, ...]
    metadata: dict[str, str]


def cryptomatte(mattes: NDArray, names: Sequence[str], layer: str = LAYER) -> Cryptomatte:
    """Mattes (R, H, W) in [0, 1] of regions with `names` as a Cryptomatte.

    Later regions lie on earlier ones: what they cover is taken off those below, so that no pixel holds more than one.
    """
    identifiers = np.array([identifier(name) for name in names], np.float32)
    picture = np.zeros((*mattes.shape[1:], 2 * _RANKS), np.float32)
    for top in range(0, mattes.shape[1], _ROWS):  # a picture of 4K takes little more memory than a small one
        rows = slice(top, top + _ROWS)
        _ranked(mattes[:, rows], identifiers, picture[rows])
    channels = tuple(f"{layer}{number:02d}.{c}" for number in range(_RANKS // 2) for c in "RGBA")
    key = f"cryptomatte/{_hex(layer)[:7]}"
    metadata = {
        f"{key}/name": layer,
        f"{key}/hash": "MurmurHash3_32",
        f"{key}/conversion": "uint32_to_float32",
        f"{key}/manifest": json.dumps({name: _hex(name) for name in names}, separators=(",", ":")),
    }
    return Cryptomatte(picture, channels, metadata)


def _ranked(mattes: NDArray, identifiers: NDArray, picture: NDArray) -> None:
    """Fill a picture (h, W, 12) with identifiers (R,) of mattes (R, h, W) and what each covers, the largest first."""
    coverage = np.empty(mattes.shape, np.float32)
    free = np.ones(mattes.shape[1:], np.float32)
    for index in reversed(range(len(mattes))):
        coverage[index] = np.minimum(np.clip(mattes[index], 0, 1), free)
        free -= coverage[index]
    order = np.argsort(-coverage, axis=0, kind="stable")[:_RANKS]
    for rank in range(len(order)):
        share = np.take_along_axis(coverage, order[rank][None], 0)[0]
        picture[..., 2 * rank] = np.where(share > 0, identifiers[order[rank]], 0)
        picture[..., 2 * rank + 1] = share


def identifier(name: str) -> np.float32:
    """The float that stands for a name. Neither zero, denormal, infinite nor no number: those exponents are changed."""
    return np.frombuffer(np.uint32(_bits(name)).tobytes(), np.float32)[0]


def _bits(name: str) -> int:
    bits = murmur3_32(name.encode())
    return bits ^ (1 << 23) if (bits >> 23) & 255 in (0, 255) else bits


def _hex(name: str) -> str:
    return f"{_bits(name):08x}"


def murmur3_32(data: bytes) -> int:
    """MurmurHash3_x86_32 (A. Appleby) of `data` with the seed 0."""
    mask, state = 0xFFFFFFFF, 0

    def turned(value: int, by: int) -> int:
        return ((value << by) | (value >> (32 - by))) & mask

    def mixed(block: int) -> int:
        return turned(block * 0xCC9E2D51 & mask, 15) * 0x1B873593 & mask

    whole = len(data) // 4 * 4
    for start in range(0, whole, 4):
        state ^= mixed(int.from_bytes(data[start : start + 4], "little"))
        state = (turned(state, 13) * 5 + 0xE6546B64) & mask
    if whole < len(data):
        state ^= mixed(int.from_bytes(data[whole:], "little"))
    state ^= len(data)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        state = (state ^ (state >> shift)) * factor & mask
    return state
