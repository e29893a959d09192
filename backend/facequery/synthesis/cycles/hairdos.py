"""Hair styles grown as strands: hair lines, short cuts, brows from their cards, lashes, stubble. Canonical metres."""

from dataclasses import replace

import numpy as np

from facequery.synthesis.cycles.grow import Style, unit

# Middle of the skull, about which hair lines are drawn, and the whorl at the crown.
MIDDLE = np.array([0.0, 0.025, -0.075])
CROWN = np.array([0.012, 0.105, -0.125])
# Height of the hair line over the eyes by angle from the front (degrees, metres): forehead, temple, ear, nape.
HAIR_LINE = np.array(
    [
        [0, 0.070], [18, 0.073], [32, 0.070], [44, 0.052], [54, 0.030], [64, 0.008], [72, -0.012], [80, -0.012],
        [88, 0.006], [100, 0.012], [116, -0.004], [130, -0.034], [150, -0.058], [180, -0.066],
    ]
)  # fmt: skip


def angle_from_front(points: np.ndarray) -> np.ndarray:
    """Degrees round the vertical axis through the skull, 0 in front, 180 at the back, the same on both sides."""
    relative = points - MIDDLE
    result: np.ndarray = np.degrees(np.abs(np.arctan2(relative[..., 0], relative[..., 2])))
    return result


def scalp(points: np.ndarray, recede: float = 0.0, soft: float = 0.008) -> np.ndarray:
    """How much hair grows at points (N, 3) of the skin, 0..1, with a soft hair line; recede moves it up in metres."""
    angle = angle_from_front(points)
    line = np.interp(angle, HAIR_LINE[:, 0], HAIR_LINE[:, 1]) + recede * np.clip(1.5 - angle / 40, 0, 1)
    ragged = 0.0025 * np.sin(angle * 0.9 + 40 * points[..., 2]) + 0.0015 * np.sin(angle * 2.3)
    t = np.clip((points[..., 1] - line + ragged) / soft, 0, 1)
    result: np.ndarray = t * t * (3 - 2 * t)
    return result


def short_cut(side: float = 1.0, top: float = 0.045, sides: float = 0.010, lift: float = 0.8) -> Style:
    """Short at the sides, longer on top, combed from the crown forwards and to one side (`side` +1 or -1)."""

    def comb(points: np.ndarray) -> np.ndarray:
        away = unit(points - CROWN)
        away[:, 1] -= 0.25
        high = np.clip((points[:, 1] - 0.055) / 0.04, 0, 1)[:, None]
        front = np.clip((points[:, 2] + 0.06) / 0.07, 0, 1)[:, None]
        swept = np.array([0.9 * side, 0.55, 0.25])
        return unit(away * (1 - 0.75 * high * front) + swept * 0.75 * high * front)

    def length(points: np.ndarray) -> np.ndarray:
        high = np.clip((points[:, 1] - 0.035) / 0.05, 0, 1)
        result: np.ndarray = sides + (top - sides) * high * high * (3 - 2 * high)
        return result

    return Style(comb, length, lift=lift, layer=0.022)


def cropped(length: float = 0.006) -> Style:
    """A close crop, the same length everywhere."""
    style = short_cut(top=length, sides=length, lift=1.2)
    return replace(style, clump=0.1, frizz=0.0006, layer=length, points=4)


def long_hair(length: float = 0.24, parting: float = 0.012) -> Style:
    """Falls to both sides of a parting."""

    def comb(points: np.ndarray) -> np.ndarray:
        side = np.tanh((points[:, 0] - parting) / 0.012)
        down = np.clip((np.abs(points[:, 0]) - 0.01) / 0.06, 0, 1)
        back = np.where(points[:, 2] < -0.02, -0.25, -0.75)
        return np.stack([side * (1 - 0.85 * down), -0.2 - 1.4 * down, back * (1 - 0.6 * down)], 1)

    return Style(
        comb,
        lambda points: length + 0.3 * np.clip(points[:, 1], 0, 0.1),
        lift=0.35,
        gravity=0.7,
        clump=0.6,
        clump_size=40,
        frizz=0.002,
        layer=0.013,
        points=22,
    )


def card_strands(
    rng: np.random.Generator,
    corners: np.ndarray,
    uv: np.ndarray,
    count: int,
    length: float,
    alpha: np.ndarray | None,
    thickness: float = 0.00005,
) -> tuple[np.ndarray, np.ndarray]:
    """Brow hairs (S, 4, 3) and radius (S, 4) on a pair of cards: corners (N, 3, 3) of triangles, uv (N, 3, 2) v up.

    Roots are drawn where the card's `alpha` picture (H, W) in 0..1 is opaque; hairs run outwards and, at the inner
    end, upwards, as brows do.
    """
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    face = rng.choice(len(corners), count * 12, p=area / area.sum())
    s, t = rng.random((2, count * 12, 1))
    s, t = np.where(s + t > 1, 1 - s, s), np.where(s + t > 1, 1 - t, t)

    def at(values: np.ndarray) -> np.ndarray:
        result: np.ndarray = (1 - s - t) * values[face, 0] + s * values[face, 1] + t * values[face, 2]
        return result

    root, place = at(corners), at(uv)
    if alpha is not None:
        height, width = alpha.shape
        x = (place[:, 0] * width).astype(int).clip(0, width - 1)
        y = ((1 - place[:, 1]) * height).astype(int).clip(0, height - 1)
        root = root[rng.random(len(root)) < alpha[y, x]]
    root = root[:count]
    side = np.sign(root[:, :1])
    reach = np.abs(root[:, 0])
    inner = np.clip(1 - (reach - reach.min()) / 0.022, 0, 1)[:, None]
    direction = np.concatenate([side * (1 - 0.65 * inner), 0.12 + 1.0 * inner, 0.25 + 0 * inner], 1)
    direction = unit(direction + rng.normal(size=root.shape) * 0.13)
    steps = np.linspace(0, 1, 4)
    size = (length * rng.uniform(0.6, 1.15, (len(root), 1)))[:, :, None]
    bow = np.array([0.0, -0.25, -0.3]) * steps[None, :, None] ** 2
    points = root[:, None] + size * (direction[:, None] * steps[None, :, None] + bow)
    radius = thickness * rng.uniform(0.7, 1.2, (len(root), 1)) * (1 - 0.8 * steps**2)[None]
    return points, radius


def lash_strands(
    rng: np.random.Generator, strips: np.ndarray, count: int, scale: float = 0.75, thickness: float = 0.00006
) -> tuple[np.ndarray, np.ndarray]:
    """Lashes (S, P, 3) and radius (S, P) on strips (N, P, C, 3): P rows from root to tip, C columns along the lid."""
    number, rows, columns = strips.shape[:3]
    strip = rng.integers(0, number, count)
    place = rng.random(count) * (columns - 1.001)
    low = place.astype(int)
    part = (place - low)[:, None, None]
    root_to_tip = strips[strip, :, low] * (1 - part) + strips[strip, :, low + 1] * part
    size = (scale * rng.uniform(0.55, 1.1, count))[:, None, None]
    points = root_to_tip[:, :1] + size * (root_to_tip - root_to_tip[:, :1])
    points = points + rng.normal(size=points.shape) * 0.00012 * np.linspace(0, 1, rows)[None, :, None]
    radius = thickness * rng.uniform(0.7, 1.2, (count, 1)) * (1 - 0.8 * np.linspace(0, 1, rows) ** 2)[None]
    return points, radius
