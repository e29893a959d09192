"""How a head with a portrait's skin looks: the shading's parameters, its own shape or another's, and softer light."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from facequery.synthesis import shading as s
from facequery.synthesis.lighting import Light
from facequery.synthesis.looks import TONE_LUMINANCE
from facequery.synthesis.portrait_skins import PortraitSkin


def tone_of(skin: PortraitSkin) -> float:
    """Place of a portrait's skin on the scale of tones, 0 light .. 1 dark, by its brightness."""
    places = np.linspace(0, 1, len(TONE_LUMINANCE))
    return float(np.interp(np.log(skin.mean.mean()), np.log(TONE_LUMINANCE[::-1]), places[::-1]))


def draw_shape(
    rng: np.random.Generator, skin: PortraitSkin, identity: NDArray[np.float32], expression: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Identity and expression: mostly near the portrait's own face, else those that were drawn already."""
    if rng.random() < 0.6:
        identity = (skin.identity + 0.35 * identity).clip(-2.8, 2.8).astype(np.float32)
    if rng.random() < 0.25:
        expression = (skin.expression + 0.3 * expression).clip(0, 1).astype(np.float32)
    return identity, expression


def over_portrait(
    rng: np.random.Generator, skin: PortraitSkin, parameters: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """The kernel's skin parameters for a portrait's skin, from those drawn for a plain one, and its mean albedo (3,).

    Brows, lips, wrinkles and stubble are in the picture; a little is sometimes put on top.
    """
    p = parameters.copy()
    gain = np.exp(rng.normal(0, 0.12) + rng.normal(0, [0.05, 0.03, 0.06]))
    p[s.GAIN : s.GAIN + 3] = gain
    p[s.MEAN : s.MEAN + 3] = skin.mean
    p[s.CONTRAST] = rng.uniform(0.8, 1.15)
    # What was drawn for the lips, the lids and the cheeks was mixed for another tone.
    own = skin.mean * gain
    relative = own / np.maximum(parameters[s.GAIN : s.GAIN + 3] * parameters[s.MEAN : s.MEAN + 3], 1e-3)
    for colour in (s.LIP_COLOUR, s.SHADOW_COLOUR, s.BLUSH_COLOUR, s.BROW_COLOUR):
        p[colour : colour + 3] *= relative
    p[s.LIPS] *= 0.7 * (rng.random() < 0.2)
    p[s.BROW] *= rng.random() < 0.08
    p[s.STUBBLE] *= rng.random() < 0.3
    p[s.SHADOW] *= rng.random() < 0.25
    p[s.LINER] *= rng.uniform(0, 0.5)
    p[s.BLUSH] *= 0.3
    p[s.PORES] *= 0.3
    p[s.WRINKLES] *= 0.3
    p[s.BLOTCHES] *= 0.3
    p[s.FRECKLES] = 0
    p[s.OIL] *= 0.5
    return p, own.astype(np.float64)


def softened(rng: np.random.Generator, light: Light) -> Light:
    """A light whose direction shows less, for skins that bring their own shading."""
    flat = float(rng.beta(2.0, 1.6))
    return replace(
        light, flat=flat, colours=light.colours * np.float32(1 - flat), shadow=light.shadow * (1 - 0.5 * flat)
    )
