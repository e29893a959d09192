"""Eyes for close pictures: the model's own eyeball with iris and pupil from a photograph, and a wet film over it."""

import numpy as np

# Where the lower left eye lies in the source pictures, as fractions of the width (v up): pupil, radii of iris and ball.
PICTURE_CENTRE = (0.293, 0.299)
PICTURE_IRIS = 0.1135
PICTURE_BALL = 0.235


def picture_uv(arm: np.ndarray, limbus: float) -> tuple[np.ndarray, np.ndarray]:
    """Texture coordinates (V, 2), v up, and tint (V, 3), 1 on the iris, of an eyeball.

    arm (V, 3): its vertices from its centre, looking along +z. limbus: angle of the iris' rim from the axis, radians.
    """
    direction = arm / np.linalg.norm(arm, axis=1, keepdims=True)
    angle = np.arccos(direction[:, 2].clip(-1, 1))
    about = np.arctan2(direction[:, 1], direction[:, 0])
    # Linear over the iris, then linear out to the edge of the ball, at right angles to the axis.
    reach = np.where(
        angle < limbus,
        angle / limbus * PICTURE_IRIS,
        PICTURE_IRIS + (angle - limbus) / (np.pi / 2 - limbus) * (PICTURE_BALL - PICTURE_IRIS),
    ).clip(0, PICTURE_BALL)
    uv = np.stack([PICTURE_CENTRE[0] + reach * np.cos(about), PICTURE_CENTRE[1] + reach * np.sin(about)], -1)
    tint = np.repeat(1 - np.clip((angle / limbus - 0.97) / 0.1, 0, 1)[:, None], 3, 1)
    return uv, tint


def film(arm: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The front of an eyeball, for a clear layer: indices (N,) of its vertices, faces (M, 4) among them, -1 padded."""
    angle = np.arccos((arm[:, 2] / np.linalg.norm(arm, axis=1)).clip(-1, 1))
    chosen = np.flatnonzero(angle < np.radians(80))
    order = np.full(len(arm), -1)
    order[chosen] = np.arange(len(chosen))
    kept = triangles[(order[triangles] >= 0).all(1)]
    return chosen, np.concatenate([order[kept], np.full((len(kept), 1), -1)], 1).astype(np.int32)
