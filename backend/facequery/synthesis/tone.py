"""Kernels of the last steps of a picture, each one pass over its pixels: composing, tone and colour, grain."""

import numba
import numpy as np

STEPS = 4096  # of the table from linear light to sRGB


@numba.njit(cache=True, fastmath=True, error_model="numpy")
def over(colour, coverage, gain, background, out):  # type: ignore[no-untyped-def]
    """Premultiplied light (H, W, 3) times gain (3,), over a background (H, W, 3), into out (H, W, 3)."""
    for y in range(colour.shape[0]):
        for x in range(colour.shape[1]):
            rest = np.float32(1.0) - coverage[y, x]
            for c in range(3):
                out[y, x, c] = colour[y, x, c] * gain[c] + background[y, x, c] * rest


@numba.njit(cache=True, fastmath=True, error_model="numpy", inline="always")
def _srgb(v, curve):  # type: ignore[no-untyped-def]
    """sRGB of linear light by a table; light over 0.8 rolls off softly."""
    if v > np.float32(0.8):
        over = v - np.float32(0.8)
        v = np.float32(0.8) + np.float32(0.2) * over / (np.float32(0.2) + over)
    return curve[int(max(v, np.float32(0.0)) * np.float32(STEPS - 1))]


@numba.njit(cache=True, fastmath=True, error_model="numpy")
def toned(image, balance, curve, tone, out):  # type: ignore[no-untyped-def]
    """Linear light (H, W, 3) to sRGB bytes (H, W, 3).

    balance (3,) factors; curve (STEPS,) linear to sRGB; tone: contrast about 0.45, what that becomes, saturation,
    strength of the vignette, its centre x and y in [-1, 1].
    """
    height, width = image.shape[0], image.shape[1]
    contrast, level, saturation = tone[0], tone[1], tone[2]
    top = np.float32(255.0)
    for y in range(height):
        dy = np.float32(2.0 * y / height - 1.0) - tone[5]
        for x in range(width):
            r = (_srgb(image[y, x, 0] * balance[0], curve) - np.float32(0.45)) * contrast + level
            g = (_srgb(image[y, x, 1] * balance[1], curve) - np.float32(0.45)) * contrast + level
            b = (_srgb(image[y, x, 2] * balance[2], curve) - np.float32(0.45)) * contrast + level
            gray = np.float32(0.3) * r + np.float32(0.59) * g + np.float32(0.11) * b
            shade = top
            if tone[3] > 0:
                dx = np.float32(2.0 * x / width - 1.0) - tone[4]
                shade = top * (np.float32(1.0) - tone[3] * (dx * dx + dy * dy))
            r = (gray + saturation * (r - gray)) * shade + np.float32(0.5)
            g = (gray + saturation * (g - gray)) * shade + np.float32(0.5)
            b = (gray + saturation * (b - gray)) * shade + np.float32(0.5)
            out[y, x, 0] = np.uint8(min(max(r, np.float32(0.0)), top))
            out[y, x, 1] = np.uint8(min(max(g, np.float32(0.0)), top))
            out[y, x, 2] = np.uint8(min(max(b, np.float32(0.0)), top))


@numba.njit(cache=True, fastmath=True, error_model="numpy")
def grained(picture, noise, start, strength, colour, coarse):  # type: ignore[no-untyped-def]
    """Adds grain, in place, to bytes (H, W, 3): normal noise (N,) from `start` on, wrapped, times `strength`.

    colour: each channel has its own. coarse: grain of two pixels. Dark places have more of it.
    """
    height, width = picture.shape[0], picture.shape[1]
    channels = 3 if colour else 1
    row = (width + 1) * channels
    total = noise.shape[0]
    for y in range(height):
        for x in range(width):
            at = start + y * row + x * channels
            for c in range(3):
                k = at + c if colour else at
                value = noise[k % total]
                if coarse:
                    value += noise[(k + channels) % total] + noise[(k + row) % total]
                    value = (value + noise[(k + row + channels) % total]) * np.float32(0.45)
                v = np.float32(picture[y, x, c])
                v += value * strength * (np.float32(1.2) - v * np.float32(0.5 / 255)) + np.float32(0.5)
                picture[y, x, c] = np.uint8(min(max(v, np.float32(0.0)), np.float32(255.0)))
