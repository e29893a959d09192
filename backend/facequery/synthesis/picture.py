"""From linear light to a picture: exposure, tone, colour, lens blur, noise, resampling, compression, bars."""

import cv2
import numpy as np
from numpy.typing import NDArray

from facequery.synthesis.chance import pick
from facequery.synthesis.settings import SampleSettings

_NOISE = np.random.default_rng(11).standard_normal((1 << 20,)).astype(np.float32)
_STEPS = 4096


def _curve() -> NDArray:
    v = np.arange(_STEPS) / (_STEPS - 1)
    return np.where(v <= 0.0031308, 12.92 * v, 1.055 * np.maximum(v, 1e-9) ** (1 / 2.4) - 0.055).astype(np.float32)


_TO_SRGB = _curve()


def exposure(
    rng: np.random.Generator, colour: NDArray, coverage: NDArray, albedo: float, illuminant: NDArray
) -> NDArray:
    """The gain (3,) of a camera that exposes for a face: premultiplied light (H, W, 3) and its coverage (H, W).

    A face comes out at 0.28 times a root of its albedo's ratio to 0.35, with a spread of half a stop; so dark skin
    stays darker. White balance takes away most of the illuminant's (3,) colour.
    """
    light = float(colour.sum() / (3 * max(float(coverage.sum()), 1.0)))
    target = 0.28 * (albedo / 0.35) ** 0.6 * np.exp(rng.normal(0, 0.35))
    balance = (illuminant / max(float(illuminant.mean()), 1e-6)) ** -rng.uniform(0.2, 0.85)
    return (balance * (target / max(light, 1e-4))).astype(np.float32)


def composed(colour: NDArray, coverage: NDArray, gain: NDArray, background: NDArray) -> NDArray:
    """The exposed face over a background (H, W, 3), which keeps its own exposure."""
    return colour * gain + background * (1 - coverage[..., None])


def defocus(rng: np.random.Generator, image: NDArray, depth: NDArray) -> NDArray:
    """Depth of field: sharp at one depth (H, W) of the face, softer before and behind it; linear picture (H, W, 3)."""
    seen = np.isfinite(depth)
    if not seen.any():
        return image
    near, far = np.quantile(depth[seen], [0.02, 0.98])
    focus = near + (far - near) * rng.beta(1.2, 2.5)
    blur = cv2.GaussianBlur(image, (0, 0), float(image.shape[0] / 160 * rng.uniform(1.0, 2.6)))
    away = np.abs(np.where(seen, depth, far) - focus) / max(far - near, 1e-4)
    share = np.clip(away * rng.uniform(0.8, 2.5) - 0.15, 0, 1).astype(np.float32)
    return image + cv2.blur(share, (3, 3))[..., None] * (blur - image)


def to_srgb(linear: NDArray) -> NDArray:
    """Linear (..., 3) to sRGB 0..1 by table; light over 0.8 rolls off softly."""
    over = np.maximum(linear - 0.8, 0)
    soft = np.minimum(linear, 0.8) + 0.2 * over / (0.2 + over)
    return _TO_SRGB[np.clip(soft * (_STEPS - 1), 0, _STEPS - 1).astype(np.int16)]


def develop(
    rng: np.random.Generator, image: NDArray, settings: SampleSettings, grain: np.random.Generator | None = None
) -> NDArray[np.uint8]:
    """A linear picture (H, W, 3) to uint8 sRGB with the faults of cameras and of the way to us.

    grain: where the noise comes from (default: rng too), so that the frames of a clip can share all but the noise.
    """
    size = max(image.shape[:2])
    if rng.random() < settings.motion_blur:
        image = _motion_blur(rng, image)
    if rng.random() < settings.blur:
        image = cv2.GaussianBlur(image, (0, 0), float(size / 160 * rng.uniform(0.35, 1.6)))
    balance = np.exp(rng.normal(0, [0.07, 0.03, 0.09])).astype(np.float32)
    out = to_srgb(image * balance)
    contrast, lift = np.float32(np.exp(rng.normal(0, 0.12))), np.float32(rng.normal(0, 0.025))
    out = (out - 0.45) * contrast + (0.45 + lift)
    if rng.random() < settings.gray:
        saturation = np.float32(0.0)
    else:
        saturation = np.float32(np.clip(rng.normal(1.05, 0.2), 0.3, 1.6))
    gray = out @ np.array([0.3, 0.59, 0.11], np.float32)
    out = gray[..., None] + saturation * (out - gray[..., None])
    if rng.random() < settings.vignette:
        out *= _vignette(rng, *out.shape[:2])
    if rng.random() < settings.low_resolution:
        out = _resample(rng, out)
    if rng.random() < settings.noise:
        out = _grain(rng, out, grain or rng)
    if rng.random() < settings.border:
        _bars(rng, out)
    picture: NDArray = np.clip(out * 255 + 0.5, 0, 255).astype(np.uint8)
    if rng.random() < settings.jpeg:
        quality = int(rng.uniform(25, 95))
        picture = cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
    return picture


def _motion_blur(rng: np.random.Generator, image: NDArray) -> NDArray:
    length = image.shape[0] / 160 * rng.uniform(2, 8)
    radius = int(np.ceil(length / 2))
    kernel = np.zeros((2 * radius + 1, 2 * radius + 1), np.float32)
    angle = rng.uniform(0, np.pi)
    dx, dy = np.cos(angle) * length / 2, np.sin(angle) * length / 2
    for t in np.linspace(-1, 1, 4 * radius + 1):
        x, y = radius + t * dx, radius + t * dy
        i, j = int(y), int(x)
        for di in (0, 1):
            for dj in (0, 1):
                if i + di <= 2 * radius and j + dj <= 2 * radius:
                    kernel[i + di, j + dj] += (1 - abs(y - i - di)) * (1 - abs(x - j - dj))
    return cv2.filter2D(image, -1, kernel / kernel.sum())


def _vignette(rng: np.random.Generator, height: int, width: int) -> NDArray:
    x, y = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)
    cx, cy = rng.normal(0, 0.25, 2)
    square = (x[None] - np.float32(cx)) ** 2 + (y[:, None] - np.float32(cy)) ** 2
    return (1 - np.float32(rng.uniform(0.05, 0.3)) * square)[..., None]


def _resample(rng: np.random.Generator, out: NDArray) -> NDArray:
    height, width = out.shape[:2]
    factor = rng.uniform(0.25, 0.8)
    small = max(int(width * factor), 1), max(int(height * factor), 1)
    how = [cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_NEAREST, cv2.INTER_CUBIC]
    down = cv2.resize(out, small, interpolation=pick(rng, how[:2], (0.8, 0.2)))
    return cv2.resize(down, (width, height), interpolation=pick(rng, how[1:], (0.55, 0.1, 0.35)))


def _grain(rng: np.random.Generator, out: NDArray, grain: np.random.Generator) -> NDArray:
    height, width = out.shape[:2]
    strength = np.float32(min(np.exp(rng.normal(-4.3, 0.6)), 0.05))
    colour = rng.random() < 0.6
    count = height * width * (3 if colour else 1)
    start = int(grain.integers(len(_NOISE) - count)) if count < len(_NOISE) else 0
    noise = np.resize(_NOISE[start : start + count], (height, width, 3 if colour else 1))
    if rng.random() < 0.4:  # sensors are sharpened and denoised: grain of more than a pixel
        noise = cv2.blur(noise, (2, 2)).reshape(noise.shape) * 1.8
    return out + noise * strength * (1.2 - 0.5 * out)


def _bars(rng: np.random.Generator, out: NDArray) -> None:
    """Black or gray bars where the picture ends, as crops at a picture's border have them."""
    size = min(out.shape[:2])
    value = pick(rng, (0.0, 0.0, 0.5, 1.0))
    width = int(size * rng.uniform(0.05, 0.28))
    side = rng.integers(4)
    if side == 0:
        out[:width] = value
    elif side == 1:
        out[-width:] = value
    elif side == 2:
        out[:, :width] = value
    else:
        out[:, -width:] = value
