"""From linear light to a picture: exposure, tone, colour, lens blur, noise, resampling, compression, bars."""

import cv2
import numpy as np
from numpy.typing import NDArray

from facequery.synthesis.chance import pick
from facequery.synthesis.settings import SampleSettings
from facequery.synthesis.tone import STEPS, grained, over, toned

_NOISE = np.random.default_rng(11).standard_normal((1 << 20,)).astype(np.float32)
LOWEST = 0.3  # of the resolution that a picture seems to have


def _curve() -> NDArray:
    v = np.arange(STEPS) / (STEPS - 1)
    return np.where(v <= 0.0031308, 12.92 * v, 1.055 * np.maximum(v, 1e-9) ** (1 / 2.4) - 0.055).astype(np.float32)


_TO_SRGB = _curve()


def exposure(
    rng: np.random.Generator, colour: NDArray, coverage: NDArray, albedo: float, illuminant: NDArray
) -> NDArray:
    """The gain (3,) of a camera that exposes for a face: premultiplied light (H, W, 3) and its coverage (H, W).

    A face comes out at 0.28 times a root of its albedo's ratio to 0.35, with a spread of half a stop; so dark skin
    stays darker. White balance takes away most of the illuminant's (3,) colour.
    """
    # Measured in the middle, where the face is: a white shirt must not make it black.
    height, width = coverage.shape
    middle = np.s_[height // 6 : height - height // 6, width // 6 : width - width // 6]
    light = float(colour[middle].sum() / (3 * max(float(coverage[middle].sum()), 1.0)))
    target = 0.28 * (albedo / 0.35) ** 0.6 * np.exp(rng.normal(0, 0.35))
    balance = (illuminant / max(float(illuminant.mean()), 1e-6)) ** -rng.uniform(0.2, 0.85)
    return (balance * (target / max(light, 1e-4))).astype(np.float32)


def composed(colour: NDArray, coverage: NDArray, gain: NDArray, background: NDArray) -> NDArray:
    """The exposed face over a background (H, W, 3), which keeps its own exposure; float32."""
    out = np.empty(colour.shape, np.float32)
    over(colour, coverage, np.asarray(gain, np.float32), np.asarray(background, np.float32), out)
    return out


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


def develop(
    rng: np.random.Generator,
    image: NDArray,
    settings: SampleSettings,
    grain: np.random.Generator | None = None,
    size: tuple[int, int] | None = None,
) -> NDArray[np.uint8]:
    """A linear picture (H, W, 3) to uint8 sRGB with the faults of cameras and of the way to us.

    grain: where the noise comes from (default: rng too), so that the frames of a clip can share all but the noise.
    size: height and width of the result, when the picture was rendered smaller to be enlarged; None: as it is, with
    its resolution among the faults.
    """
    height, width = size or image.shape[:2]
    if size is None and rng.random() < settings.low_resolution:
        share = rng.uniform(LOWEST, 0.95)
        small = max(int(width * share), 1), max(int(height * share), 1)
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    scale = max(image.shape[:2]) / 160
    if rng.random() < settings.motion_blur:
        image = _motion_blur(rng, image)
    if rng.random() < settings.blur:
        image = cv2.GaussianBlur(image, (0, 0), float(scale * rng.uniform(0.35, 1.6)))
    balance = np.exp(rng.normal(0, [0.07, 0.03, 0.09])).astype(np.float32)
    contrast, lift = np.exp(rng.normal(0, 0.12)), rng.normal(0, 0.025)
    saturation = 0.0
    if rng.random() >= settings.gray:
        saturation = np.clip(rng.normal(1.05, 0.2), 0.3, 1.6)
    vignette = rng.uniform(0.05, 0.3) if rng.random() < settings.vignette else 0.0
    tone = np.array([contrast, 0.45 + lift, saturation, vignette, *rng.normal(0, 0.25, 2)], np.float32)
    picture = np.empty(image.shape, np.uint8)
    toned(np.ascontiguousarray(image, np.float32), balance, _TO_SRGB, tone, picture)
    if picture.shape[:2] != (height, width):
        how = pick(rng, (cv2.INTER_LINEAR, cv2.INTER_NEAREST, cv2.INTER_CUBIC), (0.55, 0.1, 0.35))
        picture = np.asarray(cv2.resize(picture, (width, height), interpolation=how), np.uint8)
    if rng.random() < settings.noise:
        strength, colour = min(np.exp(rng.normal(-4.3, 0.6)), 0.05), rng.random() < 0.6
        coarse = rng.random() < 0.4  # sensors are sharpened and denoised: grain of more than a pixel
        needed = (height + 1) * (width + 1) * (3 if colour else 1)
        start = int((grain or rng).integers(max(len(_NOISE) - needed, 1)))
        grained(picture, _NOISE, start, np.float32(255 * strength), colour, coarse)
    if rng.random() < settings.border:
        _bars(rng, picture)
    if rng.random() < settings.jpeg:
        quality = int(rng.uniform(25, 95))
        packed = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        picture = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
    return picture


def resolution(rng: np.random.Generator, size: int, settings: SampleSettings) -> int:
    """At how many pixels to render a picture that is to have `size`: fewer where it is to look like an enlarged one."""
    if rng.random() >= settings.low_resolution:
        return size
    return max(round(size * rng.uniform(LOWEST, 0.95)), 24)


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


def _bars(rng: np.random.Generator, out: NDArray) -> None:
    """Black or gray bars where the picture ends, as crops at a picture's border have them."""
    size = min(out.shape[:2])
    value = pick(rng, (0, 0, 128, 255))
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
