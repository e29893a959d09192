"""A picture with transparency to put on a face: python -m tools.manual.tattoo [--out docs/images/tattoo.png]."""

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.manual.source import ROOT

SIDE, FINER = 384, 4
_INK = (70, 45, 25)  # blue, green, red


def tattoo() -> NDArray[np.uint8]:
    """A compass rose of ink (S, S, 4), BGRA with straight alpha."""
    side = SIDE * FINER
    alpha: NDArray = np.zeros((side, side), np.uint8)
    middle = np.array([side, side]) / 2
    radius = 0.46 * side
    for share, thick in ((1.0, 0.022), (0.92, 0.010), (0.56, 0.012)):
        cv2.circle(alpha, _pixel(middle), round(share * radius), (255,), round(thick * side), cv2.LINE_AA)
    for number in range(16):
        long = (0.9, 0.5, 0.66, 0.5)[number % 4] * radius
        angle = number * np.pi / 8
        along, across = np.array([np.sin(angle), -np.cos(angle)]), np.array([np.cos(angle), np.sin(angle)])
        wide = (0.11 if number % 4 == 0 else 0.07) * radius
        tip, foot = middle + long * along, middle + 0.22 * radius * along
        cv2.fillPoly(alpha, [np.round([tip, foot + wide * across, middle]).astype(np.int32)], (255,), cv2.LINE_AA)
        outline = np.round([tip, foot - wide * across, middle]).astype(np.int32)
        cv2.polylines(alpha, [outline], True, (255,), round(0.01 * side), cv2.LINE_AA)
    for number in range(32):
        angle = (number + 0.5) * np.pi / 16
        dot = middle + 0.965 * radius * np.array([np.sin(angle), -np.cos(angle)])
        cv2.circle(alpha, _pixel(dot), round(0.012 * side), (255,), -1, cv2.LINE_AA)
    alpha = cv2.resize(alpha, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    picture: NDArray[np.uint8] = np.dstack([np.full((SIDE, SIDE, 3), _INK, np.uint8), alpha]).astype(np.uint8)
    return picture


def _pixel(place: NDArray) -> tuple[int, int]:
    return round(place[0]), round(place[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images" / "tattoo.png")
    options = parser.parse_args()
    cv2.imwrite(str(options.out), tattoo())
    print(options.out)


if __name__ == "__main__":
    main()
