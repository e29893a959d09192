"""Colours and materials of a person: skin, eyes, teeth, hair, as the shading kernel's parameters."""

import numpy as np
from numpy.typing import NDArray

from facequery.synthesis import shading as s
from facequery.synthesis.chance import pick
from facequery.synthesis.library import Library
from facequery.synthesis.settings import SampleSettings

# Skin albedo, sRGB, light to dark; pictures in fair light show about these.
_TONES = np.array(
    [(232, 196, 178), (224, 182, 158), (214, 168, 140), (200, 152, 122), (182, 132, 100), (158, 110, 80), (130, 86, 62),
     (104, 67, 48), (80, 51, 38), (60, 39, 31)]
)  # fmt: skip
_HAIR = np.array(
    [(18, 14, 13), (30, 22, 19), (52, 36, 26), (80, 54, 36), (112, 78, 48), (150, 112, 70), (190, 156, 106),
     (214, 190, 148),
     (122, 58, 32), (92, 40, 28), (128, 124, 120), (190, 188, 184), (228, 226, 222)]
)  # fmt: skip
_HAIR_ODDS = np.array([5, 5, 4, 3, 2.5, 2, 1.5, 1, 0.8, 0.6, 0.8, 0.4, 0.25])
_IRIS = np.array(
    [(70, 42, 22), (96, 62, 32), (120, 88, 48), (98, 106, 66), (92, 116, 128), (110, 134, 150), (60, 36, 20)]
)


def linear(srgb: NDArray | tuple) -> NDArray[np.float64]:
    """sRGB 0..255 to linear 0..1."""
    v = np.asarray(srgb, np.float64) * (1 / 255)
    return v * (v * (v * 0.305306011 + 0.682171111) + 0.012522878)  # within 0.002 of the standard's two pieces


TONE_LUMINANCE = linear(_TONES).mean(1)  # of the scale's tones, light to dark


def draw_tone(rng: np.random.Generator) -> tuple[float, NDArray[np.float64]]:
    """Place on the scale of tones (0 light .. 1 dark) and linear albedo (3,)."""
    place = float(rng.beta(1.0, 1.55))
    at = place * (len(_TONES) - 1)
    low = int(min(at, len(_TONES) - 2))
    srgb = _TONES[low] + (at - low) * (_TONES[low + 1] - _TONES[low])
    return place, linear(srgb) * np.exp(rng.normal(0, [0.06, 0.05, 0.09]))


def draw_age(rng: np.random.Generator) -> float:
    """Age, 0 young .. 1 old."""
    return float(rng.beta(1.1, 2.0))


def draw_hair_colour(rng: np.random.Generator, tone: float, age: float) -> NDArray[np.float64]:
    """Linear albedo (3,); dark skin mostly has dark hair, old heads are often gray, some are dyed."""
    if rng.random() < 0.03:
        return rng.uniform(0.02, 0.5, 3)
    if rng.random() < 0.9 * (age - 0.35):
        return linear(rng.uniform(60, 225) * np.array([1.0, 0.98, 0.94]))
    odds = _HAIR_ODDS.copy()
    if tone > 0.55:
        odds[3:10] *= 0.1
        odds[10:] *= 0.5
    return linear(_HAIR[pick(rng, range(len(_HAIR)), odds.tolist())]) * np.exp(rng.normal(0, 0.2))


def draw_skin(
    rng: np.random.Generator,
    library: Library,
    settings: SampleSettings,
    tone: float,
    albedo: NDArray,
    hair: NDArray,
    old: float,
) -> tuple[int, NDArray[np.float32]]:
    """Index of a skin and the kernel's skin parameters: tone, age (old, 0..1), lips, brows, stubble, makeup."""
    p = np.zeros(s.SKIN_PARAMETERS, np.float32)
    odds = np.exp(-np.abs(np.log(library.lightness / albedo.mean())) * 1.6)
    index = pick(rng, range(len(odds)), odds.tolist())
    mean = library.skins[index].mean
    p[s.GAIN : s.GAIN + 3] = np.clip(albedo / mean, 0.1, 4)
    p[s.CONTRAST] = rng.uniform(0.7, 1.2)
    p[s.MEAN : s.MEAN + 3] = mean
    woman = rng.random() < 0.5
    # Lips: the skin with less green and blue; makeup on top.
    p[s.LIPS] = rng.uniform(0.15, 0.75)
    lips = albedo * np.array([0.86, 0.52, 0.56]) * np.exp(rng.normal(0, [0.1, 0.18, 0.18]))
    made_up = rng.random() < settings.makeup * (1.5 if woman else 0.4)
    if made_up:
        if rng.random() < 0.7:
            base = [(150, 30, 40), (170, 60, 70), (190, 90, 95), (120, 30, 50), (200, 110, 110), (90, 25, 30)]
            lips = linear(base[rng.integers(len(base))]) * np.exp(rng.normal(0, 0.2, 3))
            p[s.LIPS] = rng.uniform(0.5, 0.95)
        p[s.SHADOW] = rng.uniform(0, 0.7)
        p[s.SHADOW_COLOUR : s.SHADOW_COLOUR + 3] = albedo * rng.uniform(0.25, 0.9, 3)
        p[s.BLUSH] = rng.uniform(0, 0.5)
    else:
        p[s.SHADOW] = rng.uniform(0, 0.3)
        p[s.SHADOW_COLOUR : s.SHADOW_COLOUR + 3] = albedo * [0.75, 0.6, 0.62]
        p[s.BLUSH] = rng.uniform(0, 0.25)
    p[s.LIP_COLOUR : s.LIP_COLOUR + 3] = lips
    p[s.BLUSH_COLOUR : s.BLUSH_COLOUR + 3] = albedo * [1.05, 0.62, 0.62]
    p[s.LINER] = rng.uniform(0.5, 0.95) if made_up else rng.uniform(0.2, 0.75)
    p[s.HAIR_COLOUR : s.HAIR_COLOUR + 3] = hair
    if not woman and rng.random() < settings.stubble * 1.6:
        p[s.STUBBLE] = rng.uniform(0.15, 0.75)
    p[s.BROW] = rng.uniform(0.45, 1.5) if rng.random() > 0.04 else rng.uniform(0, 0.3)
    p[s.BROW_COLOUR : s.BROW_COLOUR + 3] = np.minimum(hair * rng.uniform(0.35, 1.0), albedo * rng.uniform(0.35, 0.7))
    p[s.BROW_LAYER] = rng.integers(len(library.brows))
    p[s.BROW_SHIFT : s.BROW_SHIFT + 2] = 0, rng.normal(0, 0.0015)
    p[s.PORES] = rng.uniform(0.0, 0.5) * (0.6 + old)
    p[s.PORE_SCALE] = rng.uniform(4, 10)
    p[s.WRINKLES] = max(old - 0.25, 0.0) * rng.uniform(0.5, 2.2)
    p[s.EXPRESSIVE] = rng.uniform(0.1, 1.0) * (0.4 + 1.4 * old)
    p[s.OIL] = np.exp(rng.normal(-2.9, 0.7))
    p[s.GLOSS] = np.exp(rng.normal(2.7, 0.5))
    p[s.BLOTCHES] = rng.uniform(0.0, 0.35)
    if rng.random() < 0.1 and tone < 0.5:
        p[s.FRECKLES] = rng.uniform(1, 5)
    elif rng.random() < old - 0.5:  # the old have spots
        p[s.FRECKLES] = rng.uniform(0.5, 2.5)
    p[s.SCATTER] = rng.uniform(0.15, 0.55) * (1.0 - 0.5 * tone)
    p[s.LIP_GLOSS] = rng.uniform(0.5, 3.0)
    p[s.HAIRLINE] = 9.0
    return index, p


def creased(parameters: NDArray[np.float32], creases: NDArray[np.float32], closed: float) -> NDArray[np.float32]:
    """Skin parameters for an expression: its creases (4,), and how far the eyes are closed, 0..1, since then the
    lashes draw a line."""
    p = parameters.copy()
    p[s.CREASES : s.CREASES + 4] = p[s.EXPRESSIVE] * creases
    p[s.LINER] = min(p[s.LINER] + 0.35 * closed, 0.97)
    return p


def row(
    kind: int, colour: NDArray | tuple, second: NDArray | tuple | None = None, **columns: float
) -> NDArray[np.float32]:
    """One row of the material table; column names as in `shading`, in lower case."""
    out = np.zeros(s.MATERIAL_COLUMNS, np.float32)
    out[s.KIND] = kind
    out[s.COLOUR : s.COLOUR + 3] = colour
    out[s.SECOND : s.SECOND + 3] = colour if second is None else second
    out[s.TEXTURE] = -1
    out[s.SHINE] = 20
    for name, value in columns.items():
        out[getattr(s, name.upper())] = value
    return out


def draw_eyes(
    rng: np.random.Generator, library: Library, centres: NDArray, limbus: float, tone: float
) -> list[NDArray[np.float32]]:
    """Rows for the left and the right eye: sclera, iris, pupil; centres (2, 3) in rest coordinates, limbus radians."""
    white = (
        linear((205, 198, 192)) * np.exp(rng.normal(-0.2, 0.15)) * (1 - 0.25 * tone) * np.exp(rng.normal(0, 0.04, 3))
    )
    layer = int(rng.integers(len(library.irises))) if len(library.irises) and rng.random() < 0.45 else -1
    odds = np.array([4, 2.5, 1.5, 1, 1, 1, 4.0])
    if tone > 0.5:
        odds[2:6] *= 0.1
        layer = -1
    iris = linear(_IRIS[pick(rng, range(len(_IRIS)), odds.tolist())]) * np.exp(rng.normal(0, 0.25))
    size, pupil, red = np.sin(limbus) * rng.uniform(0.93, 1.07), rng.uniform(0.25, 0.6), rng.beta(1.2, 3)
    rows = []
    for centre in centres:
        eye = row(
            s.EYE, white, iris, specular=0.02, shine=60, iris_size=size, pupil_size=pupil, iris_layer=layer, redness=red
        )
        eye[s.CENTRE : s.CENTRE + 3] = centre
        rows.append(eye)
    return rows


def draw_mouth(rng: np.random.Generator, tone: float) -> list[NDArray[np.float32]]:
    """Rows for the teeth, and for gums, tongue and the mouth's walls."""
    ivory = linear((232, 222, 200)) * np.exp(rng.normal(-0.12, 0.15)) * np.exp(rng.normal(0, [0.02, 0.03, 0.1]))
    gums = linear((205, 112, 112)) * np.exp(rng.normal(-0.1, 0.2) + rng.normal(0, 0.07, 3)) * (1 - 0.3 * tone)
    return [
        row(s.TOOTH, ivory, specular=0.08, shine=70, amount=0.06, front=rng.uniform(0.016, 0.027)),
        row(s.MOUTH, gums, specular=0.06, shine=40, amount=0.25, front=rng.uniform(0.01, 0.028)),
    ]
