"""Single pictures through OpenImageIO: what a file says about itself, its pixels, and writing one safely."""

import contextlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
import OpenImageIO as oiio
from numpy.typing import NDArray

from facequery.errors import UserError

MOST_PIXELS: Final = 2**29  # 23,000 x 23,000; a header that says more is broken or hostile
_PREFERRED_LAYERS: Final = ("", "rgba", "rgb", "beauty", "combined", "main")


@dataclass(frozen=True)
class Facts:
    """What one picture file says: the display window's size, channels to read, number type, colour, rate."""

    width: int
    height: int
    channels: tuple[int, ...]
    subimage: int
    is_float: bool
    pixel_aspect: float
    colorspace: str | None  # what the metadata say, None: nothing
    fps: float | None
    orientation: int  # Exif's 1 to 8 if pictures are turned upright, else 1


def read_facts(path: Path, what: str, upright: bool = False) -> Facts:
    """Header of a picture. `what` names it in messages ("frame 1003"). Raises UserError when it cannot be read.

    With `upright` the size is that of the picture turned as Exif's orientation says, else as it is stored.
    """
    source = _open(path, what)
    try:
        return _facts(source, path, what, upright)
    finally:
        source.close()


def read_picture(path: Path, what: str, like: Facts | None = None) -> NDArray:
    """Pixels (H, W, C) of the display window, C = 1 to 4: grey, grey and alpha, RGB, RGBA.

    uint8 and uint16 (10 and 12 bits spread over 16) stay what they are, everything else becomes float32. Overscan is
    cut off, a data window smaller than the display window is padded with 0. Turned upright if `like` is. Raises
    UserError naming the frame when the file is missing, truncated, or has another size or other channels than `like`.
    """
    source = _open(path, what)
    try:
        facts = _facts(source, path, what, like is not None and like.orientation != 1)
        if like is not None and (facts.width, facts.height) != (like.width, like.height):
            raise UserError(
                f'The {what} ("{path.name}") is {facts.width} x {facts.height} pixels, the shot '
                f"{like.width} x {like.height}.",
                code="FQ213",
            )
        if like is not None and len(facts.channels) != len(like.channels):
            raise UserError(
                f'The {what} ("{path.name}") has {len(facts.channels)} channels, the shot {len(like.channels)}.',
                code="FQ213",
            )
        spec = source.spec()
        kind = spec.format.basetype
        wanted = oiio.UINT8 if kind == oiio.UINT8 else oiio.UINT16 if kind == oiio.UINT16 else oiio.FLOAT
        first, last = min(facts.channels), max(facts.channels) + 1
        pixels = source.read_image(facts.subimage, 0, first, last, wanted)
        problem = source.geterror()
        if pixels is None or problem:
            raise UserError(
                f'The {what} ("{path.name}") is truncated or damaged{_because(problem)}.',
                "Render or copy it again.",
                "FQ212",
            )
    finally:
        source.close()
    pixels = pixels.reshape(spec.height, spec.width, last - first)
    order = [channel - first for channel in facts.channels]
    if order != list(range(last - first)):
        pixels = pixels[..., order]
    return np.ascontiguousarray(_oriented(_display_window(pixels, spec), facts.orientation))


def write_picture(
    path: Path,
    picture: NDArray,
    pixel_aspect: float = 1.0,
    colorspace: str | None = None,
    half: bool = True,
    compression: str | None = None,
    names: Sequence[str] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write (H, W) or (H, W, C), C = 1 to 4 or more, to a picture file; its type by the suffix.

    uint8 and uint16 are written as they are; floats as half (or float, without `half`) to EXR, as 32 bits to TIFF, and
    clipped to [0, 1] and spread over 16 bits to PNG and DPX. `names` of the C channels and `metadata` are for EXR.
    Written to a temporary name and then renamed, so that a file under its own name is whole. Raises UserError when it
    cannot be written.
    """
    pixels = np.ascontiguousarray(picture if picture.ndim == 3 else picture[..., None])
    suffix = path.suffix.lower()
    if suffix == ".exr":
        kind = "half" if half else "float"
        pixels = pixels.astype(np.float32) if pixels.dtype.kind == "f" else _unit(pixels)
    elif pixels.dtype in (np.uint8, np.uint16):
        kind = "uint8" if pixels.dtype == np.uint8 or suffix in (".jpg", ".jpeg") else "uint16"
    elif suffix in (".tif", ".tiff", ".hdr"):
        kind, pixels = "float", pixels.astype(np.float32)
    else:
        kind = "uint8" if suffix in (".jpg", ".jpeg", ".bmp", ".webp", ".tga") else "uint16"
        pixels = np.clip(np.nan_to_num(pixels.astype(np.float32), nan=0.0, posinf=1.0, neginf=0.0), 0.0, 1.0)
    height, width, channels = pixels.shape
    spec = oiio.ImageSpec(width, height, channels, kind)
    if channels == 2:
        spec.channelnames = ("Y", "A")
        spec.alpha_channel = 1
    if names:
        spec.channelnames = tuple(names)
        spec.alpha_channel = -1
    for name, value in (metadata or {}).items():
        spec.attribute(name, value)
    if pixel_aspect != 1.0:
        spec.attribute("PixelAspectRatio", float(pixel_aspect))
    if colorspace:
        spec.attribute("oiio:ColorSpace", colorspace)
    if compression:
        spec.attribute("compression", compression)
    if suffix != ".exr":
        spec.attribute("oiio:UnassociatedAlpha", 1)  # values are written as given, not divided by alpha
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    target = oiio.ImageOutput.create(str(temporary))
    oiio.geterror()  # asked for, or OpenImageIO prints it at exit
    if target is None:
        raise UserError(f'FaceQuery cannot write "{path.suffix}" pictures.', "Use .exr or .png.", "FQ214")
    good = target.open(str(temporary), spec) and target.write_image(pixels)
    problem = target.geterror()
    good = target.close() and good
    if good:
        try:
            os.replace(temporary, path)
            return
        except OSError as error:
            problem = error.strerror or str(error)
    with contextlib.suppress(OSError):
        temporary.unlink()
    raise UserError(
        f'"{path}" cannot be written{_because(problem or oiio.geterror())}.',
        "Check that the folder exists, may be written to, and has room.",
        "FQ214",
    )


def _open(path: Path, what: str) -> Any:
    if not path.is_file():
        raise UserError(f'The {what} ("{path}") does not exist.', code="FQ211")
    wishes = oiio.ImageSpec()
    wishes.attribute("oiio:UnassociatedAlpha", 1)  # values as stored, not multiplied by alpha
    source = oiio.ImageInput.open(str(path), wishes)
    if source is None:
        problem = oiio.geterror()
        empty = path.stat().st_size == 0
        reason = " is empty" if empty else f" is no picture that can be read{_because(problem)}"
        raise UserError(f'The {what} ("{path.name}"){reason}.', "Render or copy it again.", "FQ212")
    return source


def _facts(source: Any, path: Path, what: str, upright: bool) -> Facts:
    subimage = 0
    channels = _channels(source.spec().channelnames)
    # Multi-part files: the first part with colour.
    while len(channels) < 3 and source.seek_subimage(subimage + 1, 0):
        subimage += 1
        if len(_channels(source.spec().channelnames)) >= 3:
            channels = _channels(source.spec().channelnames)
            break
    else:
        subimage = 0
        source.seek_subimage(0, 0)
        source.geterror()  # running past the last part is no fault
    spec = source.spec()
    width, height = spec.full_width or spec.width, spec.full_height or spec.height
    if max(width * height, spec.width * spec.height) > MOST_PIXELS:
        raise UserError(f'The {what} ("{path.name}") says it is {width} x {height} pixels.', "It is damaged.", "FQ212")
    if spec.deep:
        raise UserError(f'The {what} ("{path.name}") is a deep picture.', "Flatten it first.", "FQ212")
    orientation = spec.get_int_attribute("Orientation", 1) if upright else 1
    orientation = orientation if 1 <= orientation <= 8 else 1
    aspect = spec.get_float_attribute("PixelAspectRatio", 1.0)
    aspect = aspect if np.isfinite(aspect) and 0.05 < aspect < 20 else 1.0
    if orientation >= 5:
        width, height, aspect = height, width, 1.0 / aspect
    return Facts(
        width=width,
        height=height,
        channels=channels,
        subimage=subimage,
        is_float=spec.format.basetype in (oiio.HALF, oiio.FLOAT, oiio.DOUBLE),
        pixel_aspect=float(aspect),
        colorspace=_colorspace(spec, path.suffix.lower()),
        fps=_rate(spec),
        orientation=orientation,
    )


def _channels(names: tuple[str, ...]) -> tuple[int, ...]:
    """Indices of R, G, B and A, or Y and A, of the layer that is the picture; else the first one to three."""
    layers: dict[str, dict[str, int]] = {}
    for index, name in enumerate(names):
        layer, _, channel = name.rpartition(".")
        short = {"RED": "R", "GREEN": "G", "BLUE": "B", "ALPHA": "A"}.get(channel.upper(), channel.upper())
        layers.setdefault(layer, {}).setdefault(short, index)

    def rank(layer: str) -> int:
        last = re.split(r"[./]", layer.lower())[-1]
        return _PREFERRED_LAYERS.index(last) if last in _PREFERRED_LAYERS else len(_PREFERRED_LAYERS)

    for wanted in (("R", "G", "B"), ("Y",)):
        for layer in sorted(layers, key=rank):
            if all(channel in layers[layer] for channel in wanted):
                return tuple(layers[layer][channel] for channel in (*wanted, "A") if channel in layers[layer])
    return tuple(range(min(len(names), 3) if len(names) != 2 else 2))


def _colorspace(spec: Any, suffix: str) -> str | None:
    """The space that the metadata name. OpenImageIO's own guess for a type of file does not count."""
    named = spec.get_string_attribute("oiio:ColorSpace")
    if suffix == ".exr":
        if spec.get_int_attribute("acesImageContainerFlag", 0) == 1:
            return "aces"
        chroma = spec.getattribute("chromaticities")
        if chroma is not None and len(chroma) == 8:
            for space, red_and_green in (("acescg", (0.713, 0.293, 0.165, 0.83)), ("aces", (0.7347, 0.2653, 0.0, 1.0))):
                if np.allclose(chroma[:4], red_and_green, atol=2e-3):
                    return space
            if not np.allclose(chroma[:4], (0.64, 0.33, 0.30, 0.60), atol=2e-3):
                return "unknown primaries"
        return named if named and named not in ("lin_rec709", "lin_rec709_scene", "scene_linear", "Linear") else None
    if suffix in (".dpx", ".cin"):
        return named if named in ("Rec709", "Linear", "lin_rec709", "lin_rec709_scene", "sRGB") else None
    return named or None


def _rate(spec: Any) -> float | None:
    value: Any = spec.getattribute("FramesPerSecond") or spec.getattribute("dpx:FrameRate")
    if isinstance(value, tuple) and len(value) == 2 and value[1]:
        value = Fraction(int(value[0]), int(value[1]))
    try:
        rate = float(value)
    except (TypeError, ValueError):
        return None
    return rate if np.isfinite(rate) and 0 < rate < 1e5 else None


def _display_window(pixels: NDArray, spec: Any) -> NDArray:
    left, top = spec.x - spec.full_x, spec.y - spec.full_y
    width, height = spec.full_width or spec.width, spec.full_height or spec.height
    if (left, top, spec.width, spec.height) == (0, 0, width, height):
        return pixels
    window = np.zeros((height, width, pixels.shape[2]), dtype=pixels.dtype)
    x0, x1 = max(left, 0), min(left + spec.width, width)
    y0, y1 = max(top, 0), min(top + spec.height, height)
    if x0 < x1 and y0 < y1:
        window[y0:y1, x0:x1] = pixels[y0 - top : y1 - top, x0 - left : x1 - left]
    return window


def _oriented(pixels: NDArray, orientation: int) -> NDArray:
    """Turned and mirrored as Exif's orientation says the picture is to be shown."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def _unit(pixels: NDArray) -> NDArray[np.float32]:
    return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)


def _because(problem: str) -> str:
    first = " ".join(problem.strip().splitlines()[0].split()) if problem.strip() else ""
    return f" ({first.rstrip('.')})" if first else ""
