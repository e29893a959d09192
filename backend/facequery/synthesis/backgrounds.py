"""What is behind a face: environments, textures, gradients, rooms of soft blobs, in linear light."""

import cv2
import numpy as np
from numpy.typing import NDArray

from facequery.synthesis.chance import pick
from facequery.synthesis.library import Environment, Library
from facequery.synthesis.looks import linear


def draw_background(rng: np.random.Generator, library: Library, environment: int, height: int, width: int) -> NDArray:
    """A background (H, W, 3) float32, linear, about as bright as a lit face (mean of the order of 0.2)."""
    softness = pick(rng, (0.0, 0.01, 0.03, 0.06))
    shape = (height, width) if softness < 0.03 else (max(height // 3, 8), max(width // 3, 8))
    kind = rng.random()
    if kind < 0.42:
        picture = _environment_view(rng, library.environments[environment], *shape)
    elif kind < 0.55 and library.textures:
        picture = _texture(rng, library, *shape)
    elif kind < 0.75:
        picture = _gradient(rng, *shape)
    elif kind < 0.88:
        picture = _blobs(rng, *shape)
    else:
        picture = _blobs(rng, *shape) * 0.5 + 0.5 * _stripes(rng, *shape)
    if softness:
        picture = cv2.GaussianBlur(picture, (0, 0), max(softness * shape[0], 0.5))
    if shape != (height, width):  # a blur this wide needs no more pixels
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.maximum(picture, 0.0)


def environment_view(environment: Environment, rotation: NDArray, focal: float, height: int, width: int) -> NDArray:
    """What a camera sees of an environment: rotation (3, 3) camera -> environment, focal in pixels. (H, W, 3)."""
    x = (np.arange(width, dtype=np.float32) + 0.5 - width / 2) / focal
    y = (np.arange(height, dtype=np.float32) + 0.5 - height / 2) / focal
    r = rotation.astype(np.float32)
    d = [r[k, 0] * x[None] + r[k, 1] * y[:, None] + r[k, 2] for k in range(3)]
    longitude, latitude = np.arctan2(d[0], d[2]), np.arctan2(d[1], np.hypot(d[0], d[2]))
    h, w = environment.picture.shape[:2]
    mx = (longitude / (2 * np.pi) + 0.5) * w - 0.5
    my = (0.5 - latitude / np.pi) * h - 0.5
    return cv2.remap(environment.picture, mx, my, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def _environment_view(rng: np.random.Generator, environment: Environment, height: int, width: int) -> NDArray:
    yaw, pitch = rng.uniform(-np.pi, np.pi), rng.normal(0, 0.2)
    c, s = np.cos(yaw), np.sin(yaw)
    turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    c, s = np.cos(pitch), np.sin(pitch)
    tilt = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    small = max(height // 2, 16), max(width // 2, 16)  # an environment has few pixels: half the size loses nothing
    view = environment_view(
        environment, turn @ tilt @ np.diag([1.0, -1.0, 1.0]), max(small) * rng.uniform(0.7, 2.2), *small
    )
    view = np.minimum(view, 8.0) * 0.25
    return cv2.resize(view, (width, height), interpolation=cv2.INTER_LINEAR) * np.float32(np.exp(rng.normal(0, 0.5)))


def _texture(rng: np.random.Generator, library: Library, height: int, width: int) -> NDArray:
    texture = library.textures[rng.integers(len(library.textures))]
    side = int(rng.integers(100, 500))
    i, j = rng.integers(0, 512 - side, 2)
    crop = cv2.resize(texture[i : i + side, j : j + side], (width, height), interpolation=cv2.INTER_AREA)
    tint = linear(rng.uniform(90, 250, 3) * 0.5 + 0.5 * rng.uniform(90, 250))
    light = linear(crop)
    if rng.random() < 0.65:  # there are few textures: their pattern in any colour
        light = np.repeat(light.mean(-1, keepdims=True) / max(float(light.mean()), 1e-3) * 0.3, 3, axis=-1)
    return (light * tint * 1.6).astype(np.float32)


def muted(rng: np.random.Generator) -> NDArray[np.float64]:
    """A colour as walls, clothes and plants have it: linear (3,), mostly of low saturation."""
    gray = rng.uniform(20, 240)
    spread = pick(rng, (6, 20, 45), (0.45, 0.35, 0.2))
    return linear(np.clip(gray + rng.normal(0, spread, 3), 3, 252))


def _gradient(rng: np.random.Generator, height: int, width: int) -> NDArray:
    corners = np.stack([muted(rng) for _ in range(4)]).reshape(2, 2, 3)
    corners = corners.mean((0, 1)) + rng.uniform(0, 1) * (corners - corners.mean((0, 1)))
    return cv2.resize(corners.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)


def _blobs(rng: np.random.Generator, height: int, width: int) -> NDArray:
    """Rectangles and discs one over another, as a blurred room or street has them."""
    canvas = np.empty((height, width, 3), np.float32)
    canvas[:] = muted(rng)
    for _ in range(int(rng.integers(3, 14))):
        colour = tuple(float(c) for c in muted(rng) * np.exp(rng.normal(0, 0.4)))
        x, y = rng.uniform(-0.2, 1.2) * width, rng.uniform(-0.2, 1.2) * height
        w, h = np.exp(rng.normal(-1.6, 0.7, 2)) * width
        if rng.random() < 0.7:
            box = cv2.boxPoints(((x, y), (w, h * 1.6), rng.normal(0, 8)))
            cv2.fillConvexPoly(canvas, box.astype(np.int32), colour, cv2.LINE_AA)
        else:
            cv2.circle(canvas, (int(x), int(y)), max(int(w * 0.4), 1), colour, -1, cv2.LINE_AA)
    return canvas


def _stripes(rng: np.random.Generator, height: int, width: int) -> NDArray:
    angle, period = rng.uniform(0, np.pi), rng.uniform(0.03, 0.3) * width
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    wave = (np.sin((x * np.cos(angle) + y * np.sin(angle)) * (2 * np.pi / period)) > rng.uniform(-0.5, 0.5))[..., None]
    return np.where(wave, muted(rng), muted(rng)).astype(np.float32)
