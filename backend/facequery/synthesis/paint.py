"""Paint on the skin's texture: moles, pimples, tracking dots, scars, plasters, face paint; one RGBA layer."""

import cv2
import numpy as np
from numpy.typing import NDArray

from facequery.synthesis.backgrounds import muted
from facequery.synthesis.settings import SampleSettings
from facequery.synthesis.surface import Surface

_DOT_COLOURS = np.array([(0.01, 0.01, 0.01), (0.9, 0.9, 0.9), (0.05, 0.5, 0.1), (0.05, 0.1, 0.6)])  # linear


class Painter:
    """Paints overlays for one surface."""

    def __init__(self, surface: Surface):
        y, z = surface.positions[..., 1], surface.positions[..., 2]
        face = surface.covered & (z > -0.04) & (y > -0.12) & (y < 0.075)
        face[:, face.shape[1] // 2 :] = False
        self._texels = np.argwhere(face)
        self._shape = surface.covered.shape
        # Texels a millimetre, from neighbours' positions in the middle of the face.
        step = np.linalg.norm(np.diff(surface.positions, axis=1), axis=-1)[face[:, :-1]]
        self._per_mm = float(0.001 / np.median(step))

    def paint(self, rng: np.random.Generator, albedo: NDArray, settings: SampleSettings) -> NDArray[np.uint8] | None:
        """An overlay (H, W, 4) uint8 sRGB with opacity, or None where the skin stays as it is."""
        canvas = None
        if rng.random() < 0.28:
            canvas = self._canvas(canvas)
            for _ in range(int(rng.integers(1, 7))):
                self._dot(
                    rng,
                    canvas,
                    rng.uniform(0.6, 2.2),
                    albedo * rng.uniform(0.1, 0.5) * [1.0, 0.7, 0.6],
                    rng.uniform(0.4, 0.95),
                )
        if rng.random() < 0.1:  # pimples
            canvas = self._canvas(canvas)
            for _ in range(int(rng.integers(3, 25))):
                self._dot(rng, canvas, rng.uniform(0.8, 2.5), albedo * [1.05, 0.55, 0.55], rng.uniform(0.15, 0.5))
        if rng.random() < settings.tracking_dots:
            canvas = self._canvas(canvas)
            chosen, size = _DOT_COLOURS[rng.integers(len(_DOT_COLOURS))], rng.uniform(0.9, 2.2)
            for _ in range(int(rng.integers(12, 110))):
                self._dot(rng, canvas, size * rng.uniform(0.9, 1.1), chosen, 0.95)
        if rng.random() < 0.04:  # a scar, a smear, a plaster, a stroke of paint
            canvas = self._canvas(canvas)
            for _ in range(int(rng.integers(1, 4))):
                colour = albedo * rng.uniform(0.4, 1.3, 3) if rng.random() < 0.5 else muted(rng)
                at, angle = self._place(rng), rng.uniform(0, np.pi)
                reach = rng.uniform(4, 22) * self._per_mm * np.array([np.cos(angle), np.sin(angle)])
                width = int(np.ceil(rng.uniform(0.8, 7) * self._per_mm))
                self._stroke(canvas, at - reach, at + reach, width, colour, rng.uniform(0.4, 0.95))
        return canvas

    def _canvas(self, canvas: NDArray | None) -> NDArray[np.uint8]:
        return np.zeros((*self._shape, 4), np.uint8) if canvas is None else canvas

    def _place(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """x, y of a random texel of the face."""
        return self._texels[rng.integers(len(self._texels))][::-1]

    def _dot(
        self, rng: np.random.Generator, canvas: NDArray, millimetres: float, colour: NDArray, opacity: float
    ) -> None:
        x, y = self._place(rng)
        radius = max(millimetres * self._per_mm, 0.6)
        r, g, b = _srgb(colour)
        cv2.circle(
            canvas, (int(x * 16), int(y * 16)), int(radius * 16), (r, g, b, int(255 * opacity)), -1, cv2.LINE_AA, 4
        )

    @staticmethod
    def _stroke(canvas: NDArray, start: NDArray, end: NDArray, width: int, colour: NDArray, opacity: float) -> None:
        mask = np.zeros(canvas.shape[:2], np.uint8)
        first, last = ((int(p[0]), int(p[1])) for p in (start, end))
        cv2.line(mask, first, last, (255,), width, cv2.LINE_AA)
        hit = mask > 0
        canvas[hit, :3] = _srgb(colour)
        canvas[hit, 3] = (mask[hit] * opacity).astype(np.uint8)


def _srgb(linear: NDArray) -> tuple[int, int, int]:
    v = np.clip(linear, 0, 1) ** (1 / 2.2) * 255
    return int(v[0]), int(v[1]), int(v[2])
