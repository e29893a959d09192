"""Skins baked from portraits of people who do not exist: their files, and how they are drawn from.

A portrait skin has the picture's light in it, so that it is shaded less than a plain albedo; the geometry, and with it
every label, stays the head model's.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facequery.errors import UserError

INDEX = "skins.npz"
SIDE = 256  # texels of one UV tile


@dataclass(frozen=True)
class PortraitSkin:
    """texture (H, 2 H, 3) uint8 sRGB over both of the source's tiles; mean (3,) linear colour of the face; identity
    (K,) and expression (52,) as fitted to the picture."""

    name: str
    texture: NDArray[np.uint8]
    mean: NDArray[np.float32]
    identity: NDArray[np.float32]
    expression: NDArray[np.float32]


def save_portrait_skins(folder: Path, skins: list[PortraitSkin]) -> None:
    """Writes skins into a folder: an index and one JPEG each. The index comes last: without it the folder is none."""
    folder.mkdir(parents=True, exist_ok=True)
    index = folder / INDEX
    index.unlink(missing_ok=True)
    for old in folder.glob("*.jpg"):
        old.unlink()
    for skin in skins:
        cv2.imwrite(str(folder / f"{skin.name}.jpg"), skin.texture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
    np.savez_compressed(
        index,
        names=np.array([s.name for s in skins]),
        mean=np.stack([s.mean for s in skins]),
        identity=np.stack([s.identity for s in skins]),
        expression=np.stack([s.expression for s in skins]),
    )


def load_portrait_skins(folder: Path, identity_size: int, expression_size: int) -> list[PortraitSkin]:
    """The skins of a folder, an empty list when it is not there. Raises UserError when they belong to another head or a
    file is missing."""
    if not (folder / INDEX).exists():
        return []
    remedy = "Make them again with python -m tools.portrait_skins."
    with np.load(folder / INDEX, allow_pickle=False) as data:
        names = [str(name) for name in data["names"]]
        mean, identity, expression = data["mean"], data["identity"], data["expression"]
    if identity.shape[1] != identity_size or expression.shape[1] != expression_size:
        raise UserError(f'The portrait skins in "{folder}" belong to another head.', remedy, "FQ287")
    skins = []
    for k, name in enumerate(names):
        image = cv2.imread(str(folder / f"{name}.jpg"))
        if image is None or image.shape[:2] != (SIDE, 2 * SIDE):
            raise UserError(f'The portrait skin "{name}" in "{folder}" cannot be read.', remedy, "FQ288")
        texture = np.ascontiguousarray(image[..., ::-1])
        skins.append(PortraitSkin(name, texture, mean[k], identity[k], expression[k]))
    return skins
