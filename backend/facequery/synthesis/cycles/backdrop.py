"""Environments for close shots: the small map lights, an enlarged and defocused one is what the camera sees."""

from pathlib import Path

import cv2
import numpy as np


def defocus(source: Path, target: Path, blur_degrees: float, width: int = 2048) -> None:
    """Enlarge an equirectangular HDR map and blur it by a disk, as a lens out of focus does; write it as `.hdr`.

    blur_degrees: diameter of the disk. The map wraps round in azimuth. Stretching towards the poles is left as it is:
    a camera near the horizon never sees it.
    """
    picture = cv2.imread(str(source), cv2.IMREAD_UNCHANGED | cv2.IMREAD_ANYDEPTH)
    if picture is None:
        raise ValueError(f"cannot read {source}")
    scale = width / picture.shape[1]
    pad = picture.shape[1] // 8
    wrapped = np.concatenate([picture[:, -pad:], picture, picture[:, :pad]], 1)
    large = cv2.resize(wrapped, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC).clip(0, 60)
    size = max(int(blur_degrees / 360 * width) | 1, 3)
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    disk = (np.hypot(x, y) <= size / 2).astype(np.float32)
    blurred = cv2.filter2D(large, -1, disk / disk.sum(), borderType=cv2.BORDER_REPLICATE)
    # The source has half a pixel a degree: what is left of its grid after enlarging is smoothed away.
    blurred = cv2.GaussianBlur(blurred, (0, 0), scale * 0.6)
    inside = blurred[:, round(pad * scale) : round(pad * scale) + width]
    cv2.imwrite(str(target), np.ascontiguousarray(inside.astype(np.float32)))
