"""Colour: from a file's space to linear Rec.709 and to the sRGB picture that the detector sees, and back.

Spaces are named by OpenColorIO's configuration: $OCIO where it is set, else the studio configuration that is built in.
Short names stand for the usual ones in it (`SHORT_NAMES`). Two kinds need no configuration: "srgb" and "rec709", which
are ready for display and are shown as they are, and "cineon", the printing density of film scans.
"""

import os
from functools import cache, lru_cache
from typing import Final

import numpy as np
import OpenImageIO as oiio
from numpy.typing import NDArray

from facequery.errors import UserError

BUILT_IN: Final = "ocio://studio-config-latest"
_DISPLAY: Final = frozenset({"srgb", "rec709"})
_OWN: Final = frozenset({"srgb", "rec709", "linear", "acescg", "cineon", "raw"})
SHORT_NAMES: Final = {
    "aces": "ACES2065-1",
    "acescc": "ACEScc",
    "acescct": "ACEScct",
    "applelog": "Apple Log",
    "logc3": "ARRI LogC3 (EI800)",
    "logc4": "ARRI LogC4",
    "bmdfilm": "BMDFilm WideGamut Gen5",
    "canonlog2": "CanonLog2 CinemaGamut D55",
    "canonlog3": "CanonLog3 CinemaGamut D55",
    "davinci": "DaVinci Intermediate WideGamut",
    "redlog3g10": "Log3G10 REDWideGamutRGB",
    "slog3": "S-Log3 S-Gamut3.Cine",
    "vlog": "V-Log V-Gamut",
    "pq": "Rec.2100-PQ - Display",
}
_ALIASES: Final = {
    "srgb": "srgb",
    "srgb_texture": "srgb",
    "rec709": "rec709",
    "rec.709": "rec709",
    "bt709": "rec709",
    "linear": "linear",
    "lin_rec709": "linear",
    "lin_srgb": "linear",
    "lin_rec709_scene": "linear",
    "linear rec.709 (srgb)": "linear",
    "acescg": "acescg",
    "lin_ap1": "acescg",
    "cineon": "cineon",
    "raw": "raw",
    "data": "raw",
}
# ACEScg (AP1, D60) to linear Rec.709 (D65) with Bradford adaptation; rows give R, G, B.
_ACESCG: Final = np.array(
    [
        [1.70505099, -0.62179212, -0.08325887],
        [-0.13025642, 1.14080474, -0.01054832],
        [-0.02400336, -0.12896898, 1.15297233],
    ]
)
_BAND: Final = 4_000_000  # values of a picture that are converted at once
_CINEON_BLACK, _CINEON_WHITE, _CINEON_STEP = 95.0, 685.0, 0.002 / 0.6  # code values; density per code over gamma


def choices() -> str:
    """The short names, for messages."""
    return ", ".join([*sorted(_OWN - {"raw"}), *SHORT_NAMES])


@cache
def _configuration(name: str) -> oiio.ColorConfig:
    config = oiio.ColorConfig(name)
    problem = config.geterror()
    if problem or not config.getColorSpaceNames():
        raise UserError(f'The OCIO configuration "{name}" cannot be read.', "Check $OCIO.", "FQ216")
    return config


def _configuration_name() -> str:
    return os.environ.get("OCIO") or BUILT_IN


def resolve(name: str) -> str:
    """The space that a name means: one of this module's own, or a name in the configuration. Raises UserError."""
    key = name.strip().lower()
    if key in _ALIASES:
        return _ALIASES[key]
    config = _configuration(_configuration_name())
    names = {n.lower(): n for n in [*config.getColorSpaceNames(), *config.getRoles()]}
    for candidate in (SHORT_NAMES.get(key, ""), name.strip()):
        found = names.get(candidate.lower()) or config.resolve(candidate)
        if found and found.lower() in names:
            return names[found.lower()]
    raise UserError(
        f'There is no colour space "{name}".',
        f"Use one of {choices()}, or any name of the OCIO configuration.",
        "FQ215",
    )


def is_display(space: str) -> bool:
    """Whether values of a resolved `space` are shown as they are."""
    return space in _DISPLAY or space == "raw"


def to_linear(picture: NDArray, space: str) -> NDArray[np.float32]:
    """Values (H, W, 3) of a resolved `space`, integers over their whole range, to linear Rec.709, float32."""
    values = as_float(picture)
    if space in ("linear", "raw"):
        return values
    if space in _DISPLAY:
        return _srgb_to_linear(values)
    if space == "acescg":
        return values @ _ACESCG.T.astype(np.float32)
    if space == "cineon":
        offset = 10.0 ** ((_CINEON_BLACK - _CINEON_WHITE) * _CINEON_STEP)
        film = np.power(np.float32(10.0), (values * 1023.0 - _CINEON_WHITE) * np.float32(_CINEON_STEP))
        return ((film - offset) / (1.0 - offset)).astype(np.float32)
    return _ocio(values, space, _linear_name())


def from_linear(picture: NDArray, space: str) -> NDArray[np.float32]:
    """Linear Rec.709 (H, W, 3) to values of a resolved `space`, float32: the inverse of `to_linear`."""
    values = as_float(picture)
    if space in ("linear", "raw"):
        return values
    if space in _DISPLAY:
        return linear_to_srgb(values)
    if space == "acescg":
        return values @ np.linalg.inv(_ACESCG).T.astype(np.float32)
    if space == "cineon":
        offset = 10.0 ** ((_CINEON_BLACK - _CINEON_WHITE) * _CINEON_STEP)
        film = np.maximum(values * (1.0 - offset) + offset, 1e-6)
        return ((np.log10(film) / _CINEON_STEP + _CINEON_WHITE) / 1023.0).astype(np.float32)
    return _ocio(values, _linear_name(), space)


def to_display(picture: NDArray, space: str, exposure: float = 0.0) -> NDArray[np.uint8]:
    """Values (H, W, 3) of a resolved `space` as an sRGB picture, uint8.

    `exposure` in stops multiplies the light. Pictures that are ready for display (srgb, rec709, raw) come back as they
    are at exposure 0. Light beyond what the display shows is clipped, also infinite light; what is no number is black.
    """
    if picture.dtype == np.uint8 and exposure == 0 and is_display(space):
        return picture
    shown = np.empty(picture.shape, np.uint8)
    # Band by band, or floats of a very large picture would take many times its own memory.
    rows = max(1, _BAND // max(1, picture[0].size))
    with np.errstate(invalid="ignore"):  # what is no number may go through a matrix
        for start in range(0, len(picture), rows):
            shown[start : start + rows] = _shown(picture[start : start + rows], space, exposure)
    return shown


def _shown(picture: NDArray, space: str, exposure: float) -> NDArray[np.uint8]:
    ready = is_display(space)
    if ready and exposure == 0:
        if picture.dtype == np.uint16:
            return ((picture.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
        return _to_bytes(as_float(picture))
    if ready and picture.dtype == np.uint8:
        levels = _srgb_to_linear(np.arange(256, dtype=np.float32) / 255) * np.float32(2.0**exposure)
        return _to_bytes(linear_to_srgb(levels))[picture]
    light = np.ascontiguousarray(to_linear(picture, "srgb" if space == "raw" else space))
    # A table over the first 20 bits of the floats (sign, exponent, 11 of the mantissa): a power per value is slow.
    return _levels(exposure)[light.view(np.uint32) >> 12]


@lru_cache(maxsize=4)
def _levels(exposure: float) -> NDArray[np.uint8]:
    """sRGB levels of linear light, by the float's bits >> 12; each entry stands for the middle of its bin."""
    bins = ((np.arange(1 << 20, dtype=np.uint32) << 12) | 0x800).view(np.float32)
    infinite = np.isnan(bins) & ((np.arange(1 << 20) & 0x7FF) == 0)  # infinity's bin: its middle is a NaN
    light = np.where(infinite, np.copysign(np.float32(np.inf), bins), bins)
    with np.errstate(over="ignore", invalid="ignore"):
        light = np.nan_to_num(light * np.float32(2.0**exposure), nan=0.0, posinf=1.0, neginf=0.0)
    return _to_bytes(linear_to_srgb(np.clip(light, 0.0, 1.0)))


def as_float(picture: NDArray) -> NDArray[np.float32]:
    """Integers over their range to [0, 1]; floats as they are. float32."""
    if picture.dtype.kind in "ui":
        return picture.astype(np.float32) * np.float32(1.0 / np.iinfo(picture.dtype).max)
    return picture.astype(np.float32, copy=False)


def linear_to_srgb(light: NDArray) -> NDArray[np.float32]:
    """The sRGB curve (IEC 61966-2-1), continued beyond 1 and mirrored below 0."""
    size = np.abs(light).astype(np.float32, copy=False)
    curve = np.where(size <= 0.0031308, 12.92 * size, 1.055 * np.power(size, 1 / 2.4, dtype=np.float32) - 0.055)
    return np.copysign(curve, light).astype(np.float32, copy=False)


def _srgb_to_linear(values: NDArray) -> NDArray[np.float32]:
    size = np.abs(values)
    light = np.where(size <= 0.04045, size / 12.92, np.power((size + 0.055) / 1.055, 2.4))
    return np.copysign(light, values).astype(np.float32, copy=False)


def _to_bytes(values: NDArray) -> NDArray[np.uint8]:
    clean = np.nan_to_num(values, nan=0.0, posinf=1.0, neginf=0.0)
    return (np.clip(clean, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


def _linear_name() -> str:
    """The configuration's linear Rec.709, or its scene_linear role where it has none."""
    config = _configuration(_configuration_name())
    names = {n.lower(): n for n in config.getColorSpaceNames()}
    for candidate in ("lin_rec709_scene", "lin_rec709", "lin_srgb", "Linear Rec.709"):
        found = config.resolve(candidate)
        if found.lower() in names:
            return names[found.lower()]
    return "scene_linear"


def _ocio(values: NDArray[np.float32], source: str, target: str) -> NDArray[np.float32]:
    buffer = oiio.ImageBuf(np.ascontiguousarray(values))
    converted = oiio.ImageBufAlgo.colorconvert(buffer, source, target, False, "", "", _configuration_name())
    if converted.has_error:
        problem = " ".join(converted.geterror().split())
        raise UserError(f'OCIO cannot convert "{source}" to "{target}": {problem}', code="FQ217")
    return np.asarray(converted.get_pixels(oiio.FLOAT), dtype=np.float32).reshape(values.shape)
