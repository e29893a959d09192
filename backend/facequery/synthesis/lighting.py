"""Light of a picture: an environment as spherical harmonics and a few lamps, in camera space."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facequery.geometry.rotations import euler_to_matrix
from facequery.synthesis.chance import pick
from facequery.synthesis.library import Environment
from facequery.synthesis.settings import SampleSettings

_TO_CAMERA = np.diag([1.0, -1.0, -1.0])  # y up, z towards the viewer -> OpenCV's axes

_HARMONICS = np.array([0.282095, 0.488603, 0.488603, 0.488603, 1.092548, 1.092548, 0.315392, 1.092548, 0.546274])
_BANDS = _HARMONICS**2 * [1, 2 / 3, 2 / 3, 2 / 3, 0.25, 0.25, 0.25, 0.25, 0.25]  # what irradiance keeps of radiance


@dataclass(frozen=True)
class Light:
    """environment: index into the library; turn (3, 3) environment -> camera space; ambient: its strength; lamps
    (L, 3) unit directions towards the lamps, camera space; colours (L, 3) linear; shadow: 0..1 of the first lamp;
    flat: 0..1, how far the environment's light comes evenly from everywhere."""

    environment: int
    turn: NDArray[np.float64]
    ambient: float
    lamps: NDArray[np.float32]
    colours: NDArray[np.float32]
    shadow: float
    flat: float = 0.0


def temperature(kelvin: float) -> NDArray[np.float64]:
    """Linear RGB of a black body, green = 1, by a fit good to a few percent between 2500 and 12000 K."""
    x = np.log(kelvin / 6500.0)
    return np.array([np.exp(-0.75 * x - 0.12 * x * x), 1.0, np.exp(0.95 * x - 0.62 * x * x)])


def draw_light(rng: np.random.Generator, environments: list[Environment], settings: SampleSettings) -> Light:
    """A light: always an environment turned at random, and 0 to 3 lamps, mostly from above and in front."""
    turn = _TO_CAMERA @ euler_to_matrix(rng.uniform(-np.pi, np.pi), rng.normal(0, 0.2), rng.normal(0, 0.1))
    lamps, colours = [], []
    for k in range(min(rng.poisson(settings.lamps), 3)):
        wide = rng.random() < 0.3
        azimuth = rng.uniform(-np.pi, np.pi) if wide else rng.normal(0, 0.8)
        height = np.radians(rng.normal(30, 25))
        lamps.append([np.sin(azimuth) * np.cos(height), -np.sin(height), -np.cos(azimuth) * np.cos(height)])
        strength = np.exp(rng.normal(0.1 if k == 0 else -0.7, 0.7))
        tint = temperature(pick(rng, (3000, 4000, 5200, 5600, 6500, 8000)) * np.exp(rng.normal(0, 0.12)))
        if rng.random() < 0.06:  # stage light
            tint = tint * rng.uniform(0.15, 1.0, 3)
        colours.append(strength * tint)
    ambient = float(np.exp(rng.normal(-0.15, 0.45)))
    if rng.random() < settings.side_light:
        azimuth, height = rng.choice([-1, 1]) * rng.uniform(0.9, 1.9), rng.normal(0.3, 0.3)
        lamps = [[np.sin(azimuth) * np.cos(height), -np.sin(height), -np.cos(azimuth) * np.cos(height)]]
        colours, ambient = [np.exp(rng.normal(0.3, 0.4)) * temperature(rng.uniform(3000, 7000))], 0.12 * ambient
    return Light(
        int(rng.integers(len(environments))),
        turn,
        ambient,
        np.array(lamps, np.float32).reshape(-1, 3),
        np.array(colours, np.float32).reshape(-1, 3),
        float(rng.uniform(0.5, 1.0)) if rng.random() < settings.shadow else 0.0,
    )


def irradiance(
    environment: Environment, turn: NDArray, strength: float, saturation: float = 0.8
) -> NDArray[np.float32]:
    """Irradiance over pi as nine coefficients a channel (9, 3) of 1, y, z, x, xy, yz, 3zz-1, xz, xx-yy of a unit normal
    in camera space (Ramamoorthi and Hanrahan 2001, An Efficient Representation for Irradiance Environment Maps)."""
    total, first, second = environment.moments
    x, y, z = (first @ turn.T).T
    q = turn @ second @ turn.T
    moments = [
        total, y, z, x, q[:, 0, 1], q[:, 1, 2], 3 * q[:, 2, 2] - total, q[:, 0, 2], q[:, 0, 0] - q[:, 1, 1],
    ]  # fmt: skip
    coefficients = np.array(moments) * _BANDS[:, None]
    gray = coefficients.mean(axis=1, keepdims=True)
    return ((gray + saturation * (coefficients - gray)) * strength).astype(np.float32)
