"""Random changes of colour and geometry for photographs (CLD, section 4.3 and table 4)."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


def jitter_crop(rng: np.random.Generator, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """A `crop_to_image` (2, 3) shifted, scaled (a little differently in x and y) and turned at random.

    Wide enough for the errors of a face normaliser: 12 % of the half side, 15 % of the size, 15 degrees, and now and
    then twice as much.
    """
    wide = 2.0 if rng.random() < 0.12 else 1.0
    angle = np.radians(rng.normal(0, 13 * wide))
    size = np.exp(rng.normal(0, 0.12 * wide))
    aspect = np.exp(rng.normal(0, 0.03))
    shift = rng.normal(0, 0.09 * wide, 2)
    cos, sin = size * np.cos(angle), size * np.sin(angle)
    inner = np.array([[cos * aspect, -sin / aspect, shift[0]], [sin * aspect, cos / aspect, shift[1]]])
    linear = matrix[:, :2] @ inner[:, :2]
    return np.hstack([linear, (matrix[:, :2] @ inner[:, 2] + matrix[:, 2])[:, None]])


def colour(rng: np.random.Generator, image: NDArray[Any]) -> NDArray[Any]:
    """Change hue, saturation, brightness, contrast, gamma and white balance; sometimes gray."""
    x = image.astype(np.float32) * (1 / 255)
    if rng.random() < 0.5:
        x = np.power(x, np.float32(np.exp(rng.normal(0, 0.25))))
    x *= np.float32(np.exp(rng.normal(0, 0.18))) * np.exp(rng.normal(0, 0.07, 3)).astype(np.float32)
    gray = x @ np.array([0.299, 0.587, 0.114], np.float32)
    saturation = 0.0 if rng.random() < 0.1 else np.exp(rng.normal(0, 0.3))
    x = gray[..., None] + np.float32(saturation) * (x - gray[..., None])
    if rng.random() < 0.3:
        x = x @ _hue_rotation(rng.normal(0, 0.25)).T
    middle = np.float32(rng.uniform(0.3, 0.6))
    x = middle + np.float32(np.exp(rng.normal(0, 0.2))) * (x - middle)
    return (np.clip(x, 0, 1) * 255 + 0.5).astype(np.uint8)


def _hue_rotation(angle: float) -> NDArray[np.float32]:
    """Rotation of RGB about the gray axis by `angle` radians."""
    vector = np.full(3, angle / np.sqrt(3.0))
    return cv2.Rodrigues(vector)[0].astype(np.float32)


def degrade(rng: np.random.Generator, image: NDArray[Any], grain: np.random.Generator | None = None) -> NDArray[Any]:
    """What cameras and codecs do: fewer pixels, blur, motion, noise, compression.

    `grain` draws the noise itself, so that the frames of a clip share all of `rng` but not their noise.
    """
    grain = grain or rng
    size = image.shape[0]
    if rng.random() < 0.3:
        small = int(size * rng.uniform(0.25, 0.9))
        shrunk = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
        image = cv2.resize(shrunk, (size, size), interpolation=int(rng.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC])))
    if rng.random() < 0.2:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.6))
    if rng.random() < 0.08:
        length = int(rng.integers(3, 10))
        kernel = np.zeros((length, length), np.float32)
        angle = rng.uniform(0, np.pi)
        centre, reach = (length - 1) / 2, np.array([np.cos(angle), np.sin(angle)]) * (length - 1) / 2
        (x0, y0), (x1, y1) = ([round(float(v)) for v in centre + sign * reach] for sign in (-1, 1))
        cv2.line(kernel, (x0, y0), (x1, y1), (1.0,), 1)
        image = cv2.filter2D(image, -1, kernel / kernel.sum())
    if rng.random() < 0.35:
        coarse = int(rng.choice([1, 1, 2]))
        side = -(-size // coarse)
        channels, strength = (3 if rng.random() < 0.5 else 1), np.float32(rng.uniform(1, 14))
        noise = grain.standard_normal((side, side, channels), dtype=np.float32) * strength
        noise = noise.repeat(coarse, 0).repeat(coarse, 1)[:size, :size]
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 85))])
        if done:
            image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return image


def cover(rng: np.random.Generator, image: NDArray[Any]) -> NDArray[Any]:
    """Cover parts of the picture with up to three shapes: flat, noisy, or a piece of the picture itself; a third of
    them lie over the mouth and chin of an upright face."""
    size = image.shape[0]
    image = image.copy()
    for _ in range(int(rng.integers(1, 4))):
        mask = np.zeros((size, size), np.uint8)
        centre = size * (rng.normal((0.5, 0.68), 0.1) if rng.random() < 0.33 else rng.uniform(0, 1, 2))
        reach = size * rng.uniform(0.05, 0.22, 2)
        kind = rng.integers(3)
        angle = float(rng.uniform(0, 180))
        if kind == 0:
            cv2.ellipse(mask, (tuple(centre), tuple(2 * reach), angle), (255,), -1)
        elif kind == 1:
            corners = cv2.boxPoints((tuple(centre), tuple(2 * reach * [1.6, 0.6]), angle))
            cv2.fillPoly(mask, [corners.astype(np.int32)], (255,))
        else:
            turns = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 8))))
            around = np.stack([np.cos(turns), np.sin(turns)], -1) * rng.uniform(0.5, 1.2, (len(turns), 1))
            cv2.fillPoly(mask, [(centre + around * reach * 1.2).astype(np.int32)], (255,))
        inside = mask > 0
        fill = rng.integers(3)
        if fill == 0:
            image[inside] = rng.integers(0, 256, 3)
        elif fill == 1:
            rough = rng.integers(0, 256, (int(rng.integers(2, 24)), int(rng.integers(2, 24)), 3)).astype(np.uint8)
            image[inside] = cv2.resize(rough, (size, size), interpolation=cv2.INTER_LINEAR)[inside]
        else:
            shift = rng.integers(size // 4, size, 2)
            image[inside] = np.roll(image, tuple(shift), (0, 1))[::-1][inside]
    return image


def second_face(rng: np.random.Generator, image: NDArray[Any], points: NDArray, other: NDArray[Any]) -> NDArray[Any]:
    """Put another face beside or behind the one that is labelled: posters, and people cheek to cheek.

    `image` (S, S, 3) with the labelled face's `points` (n, 2) in [-1, 1], `other` (S, S, 3) a crop of another face. The
    other is smaller, farther from the middle, often cut off by the border, and never covers the labelled face.
    """
    size = image.shape[0]
    if rng.random() < 0.5:
        other = other[:, ::-1]
    centre = np.median(points, axis=0)
    angle, away = rng.uniform(-np.pi, np.pi), rng.uniform(0.7, 1.2)
    place = np.clip(centre + away * np.array([np.cos(angle), 0.75 * np.sin(angle)]), -1.25, 1.25)
    scale, turn = rng.uniform(0.4, 0.95), np.radians(rng.normal(0, 14))
    c, s = scale * np.cos(turn), scale * np.sin(turn)
    # continuous pixels of the other to those of the image; OpenCV counts from pixel centres
    linear = np.array([[c, -s], [s, c]])
    middle = (place + 1) * size / 2
    matrix = np.hstack([linear, (middle - linear @ np.full(2, size / 2) + linear @ [0.5, 0.5] - 0.5)[:, None]])
    mask = np.zeros((size, size), np.uint8)
    if rng.random() < 0.65:  # a head
        axes = (round(size * rng.uniform(0.33, 0.42)), round(size * rng.uniform(0.42, 0.5)))
        cv2.ellipse(mask, (size // 2, size // 2), axes, 0, 0, 360, (255,), -1)
        mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), size * 0.03), np.uint8)
    else:  # a picture of one
        mask[2:-2, 2:-2] = 255
    shown = cv2.warpAffine(np.ascontiguousarray(other), matrix, (size, size), borderMode=cv2.BORDER_REPLICATE)
    share = cv2.warpAffine(mask, matrix, (size, size)).astype(np.float32) / 255
    own = np.zeros((size, size), np.uint8)
    hull = cv2.convexHull(((np.clip(points, -3, 3) - centre) * 1.15 + centre + 1).astype(np.float32) * (size / 2))
    cv2.fillConvexPoly(own, np.round(hull).astype(np.int32), (255,))
    before = cv2.GaussianBlur(own, (0, 0), size * 0.012).astype(np.float32) / 255
    share = (share * (1 - before))[..., None]
    return (image * (1 - share) + shown * share + 0.5).astype(np.uint8)
