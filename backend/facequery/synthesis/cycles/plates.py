"""Plates: rendered frames with the grain and the compression of footage."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np


def develop(frames: Path, plates: Path, seed: Sequence[int] = ()) -> None:
    """PNG frames `1001.png` to JPEG plates `shot.1001.jpg` with a little sensor noise, different in every frame.

    The noise of a frame depends on `seed` and its number alone.
    """
    plates.mkdir(parents=True, exist_ok=True)
    for source in sorted(frames.glob("[0-9]*.png")):
        picture = cv2.imread(str(source)).astype(np.float32)
        rng = np.random.default_rng([*seed, int(source.stem)])
        noise = rng.normal(size=(*picture.shape[:2], 1)) + 0.6 * rng.normal(size=picture.shape)
        noise = cv2.GaussianBlur(noise, (0, 0), 0.55)
        developed = picture + noise * (1.1 + 1.5 * np.sqrt(picture.mean(-1, keepdims=True) / 255))
        target = plates / f"shot.{source.stem}.jpg"
        cv2.imwrite(str(target), developed.round().clip(0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 93])
