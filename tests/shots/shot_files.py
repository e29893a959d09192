"""Pictures for the tests of shots: written without the code under test, or numbered so that a codec cannot hide it."""

from pathlib import Path

import numpy as np
import OpenImageIO as oiio

WIDTH, HEIGHT = 32, 24


def write(path: Path, pixels: np.ndarray, kind: str, **attributes) -> None:
    """Write straight through OpenImageIO; attributes with "__" for ":"."""
    pixels = pixels if pixels.ndim == 3 else pixels[..., None]
    spec = oiio.ImageSpec(pixels.shape[1], pixels.shape[0], pixels.shape[2], kind)
    if pixels.shape[2] == 2:
        spec.channelnames = ("Y", "A")
    if path.suffix == ".png":
        spec.attribute("oiio:UnassociatedAlpha", 1)
    for name, value in attributes.items():
        spec.attribute(name.replace("__", ":"), value)
    target = oiio.ImageOutput.create(str(path))
    assert target.open(str(path), spec) and target.write_image(np.ascontiguousarray(pixels)) and target.close()


def counter_picture(index: int, width: int = 64, height: int = 48) -> np.ndarray:
    """A picture whose eight vertical bars spell its number in binary."""
    bars = np.array([40 + 170 * ((index >> k) & 1) for k in range(8)], dtype=np.uint8)
    return np.broadcast_to(np.repeat(bars, width // 8)[None, :, None], (height, width, 3)).copy()


def counted(picture: np.ndarray) -> int:
    """The number that `counter_picture` spelt."""
    width = picture.shape[1] // 8
    return sum(int(picture[:, k * width + 2 : (k + 1) * width - 2].mean() > 125) << k for k in range(8))
