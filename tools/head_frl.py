"""The 189 points of the Face Research Lab sets, from the mean of the London Set's annotations (CC BY 4.0)."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from facequery.head import HeadModel, QuerySet
from facequery.head.sampling import on_surface
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator

# Points that mean the same in ibug68 (published beside the data set's copy), without brows and jaw, which are placed
# by these annotations themselves.
SHARED = {
    8: 129,
    33: 55,
    36: 18,
    39: 22,
    42: 23,
    45: 27,
    48: 87,
    50: 89,
    51: 90,
    52: 91,
    54: 93,
    57: 106,
    62: 96,
    66: 101,
}
EYE_CORNERS = (18, 22, 23, 27)
MIRROR = np.array([-1.0, 1.0, 1.0])
GROUPS = (
    ("pupils", range(0, 2)), ("iris_right", range(2, 10)), ("iris_left", range(10, 18)), ("lids", range(18, 34)),
    ("lid_creases", range(34, 44)), ("under_eyes", range(44, 50)), ("nose", [*range(50, 71), *range(179, 183)]),
    ("brows", range(71, 87)), ("mouth", range(87, 109)), ("ears", [*range(109, 125), *range(185, 189)]),
    ("jaw", range(125, 134)), ("hair_line", range(134, 145)), ("outer_oval", range(145, 158)),
    ("smile_lines", range(158, 164)), ("cheek_bones", range(164, 170)), ("philtrum", range(170, 174)),
    ("chin", [*range(174, 179), 183, 184]),
)  # fmt: skip


@dataclass(frozen=True)
class FrlMean:
    """Mean 189 points (189, 2), symmetric, y up, origin in the middle of the eye corners, 1 = outer eye distance."""

    points: NDArray[np.float64]
    partner: NDArray[np.int64]

    @staticmethod
    def read(data: Path) -> "FrlMean":
        """Mean of the London Set's annotations, each normalised by its eye corners."""
        faces = json.loads((data / "real_dev" / "london" / "landmarks.json").read_text(encoding="utf-8"))
        shapes = []
        for face in faces:
            p = np.array(face["points"], float)
            axis = p[27] - p[18]
            size = np.linalg.norm(axis)
            c, s = axis / size
            shapes.append((p - p[list(EYE_CORNERS)].mean(0)) @ np.array([[c, s], [-s, c]]).T / size)
        mean = np.median(shapes, 0) * [1, -1]
        image = mean * [-1, 1]
        distance = np.linalg.norm(mean[None] - image[:, None], axis=2)
        partner = distance.argmin(1)
        partner = np.where(partner[partner] == np.arange(len(mean)), partner, np.arange(len(mean)))
        return FrlMean(0.5 * (mean + image[partner]), partner)

    def placed(self, model: HeadModel, flat: NDArray) -> NDArray[np.float64]:
        """Points (N, 3) on the skin in front of normalised positions (N, 2), scaled by the head's eye corners."""
        corners = model.rest[model.normalisation_vertices[:4]].astype(np.float64)
        size = np.linalg.norm(corners[3] - corners[0])
        return front(model, flat * size + corners[:, :2].mean(0), skin_only=True)

    def brow(self, model: HeadModel, count: int, upper: float = 0.6) -> NDArray[np.float64]:
        """`count` points from the outer to the inner end of the right brow, `upper` of the way from its lower to its
        upper edge."""
        p = self.points
        above = _resampled(p[[71, 72, 73, 74, 75]], 33)
        below = _resampled(p[[71, 83, 84, 76]], 33)
        line = _resampled(upper * above + (1 - upper) * below, count)
        return self.placed(model, line)

    def brow_outline(self, model: HeadModel) -> NDArray[np.float64]:
        """WFLW's nine points of the right brow: five along the upper edge from outside, four back along the lower."""
        p = self.points
        upper = _resampled(p[[71, 72, 73, 74, 75]], 5)
        lower = _resampled(p[[76, 84, 83, 71]], 5)[:4]
        return self.placed(model, np.concatenate([upper, lower]))


def _resampled(points: NDArray, count: int) -> NDArray[np.float64]:
    length = np.r_[0, np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))]
    along = np.linspace(0, length[-1], count)
    return np.stack([np.interp(along, length, points[:, k]) for k in range(points.shape[1])], 1)


def front(model: HeadModel, xy: NDArray, skin_only: bool = False) -> NDArray[np.float64]:
    """The frontmost point (N, 3) of skin (and eyes) at canonical (x, y) (N, 2); beside the head, the nearest point of
    its outline."""
    parts = ("skin",) if skin_only else ("skin", "eye_left", "eye_right")
    triangles = np.concatenate([model.triangles[model.parts[n].triangles] for n in parts])
    corner = model.rest.astype(np.float64)[triangles]
    out = np.zeros((len(xy), 3))
    low, high = corner[..., :2].min(1), corner[..., :2].max(1)
    a, b, c = corner[:, 0], corner[:, 1], corner[:, 2]
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    for i, (x, y) in enumerate(xy):
        t = np.flatnonzero(((low <= [x, y]) & ([x, y] <= high)).all(1) & (np.abs(area) > 1e-12))
        u = ((b[t, 0] - x) * (c[t, 1] - y) - (b[t, 1] - y) * (c[t, 0] - x)) / area[t]
        v = ((c[t, 0] - x) * (a[t, 1] - y) - (c[t, 1] - y) * (a[t, 0] - x)) / area[t]
        inside = (u >= -1e-9) & (v >= -1e-9) & (u + v <= 1 + 1e-9)
        if inside.any():
            z = (u * a[t, 2] + v * b[t, 2] + (1 - u - v) * c[t, 2])[inside]
            out[i] = [x, y, z.max()]
        else:
            flat = model.rest[model.parts["skin"].vertices]
            out[i] = flat[np.linalg.norm(flat[:, :2] - [x, y], axis=1).argmin()]
    return out


def frl189(model: HeadModel, mean: FrlMean, ibug: NDArray) -> QuerySet:
    """The layout: a thin-plate spline takes the mean shape to the head from the front; irises are set by geometry."""
    # The closed inner lips nearly coincide in the mean; as anchors they would tear the spline.
    anchors = [(a, b) for a, b in SHARED.items() if a not in (62, 66)]
    source = mean.points[[b for _, b in anchors]]
    target = ibug[[a for a, _ in anchors], :2]
    target = 0.5 * (target + (ibug[[_PARTNER[a] for a, _ in anchors], :2] * [-1, 1]))
    warp = RBFInterpolator(source, target, kernel="thin_plate_spline", smoothing=1e-6)
    points = front(model, warp(mean.points))
    for a, b in SHARED.items():
        points[b] = ibug[a]
    for first, eye, name in ((2, 1, "eye_right"), (10, 0, "eye_left")):
        part = model.parts[name].vertices
        centre = model.eye_centres_rest[eye].astype(np.float64)
        radius = np.linalg.norm(model.rest[part.stop - 1] - centre)
        limbus, turn = model.limbus_angle, np.pi / 2 + np.arange(8) * np.pi / 4  # from the top, anticlockwise
        rim = np.stack([np.sin(limbus) * np.cos(turn), np.sin(limbus) * np.sin(turn), np.full(8, np.cos(limbus))], 1)
        points[first : first + 8] = centre + radius * rim
        points[0 if eye == 1 else 1] = model.rest[part.start]
    lips = model.region_mask("lips") | model.region_mask("eye_left") | model.region_mask("eye_right")
    soft = [i for i in (*range(18, 34), *range(94, 104)) if i not in SHARED.values()]  # lids, inner lips
    skin = model.rest[model.parts["skin"].vertices].astype(np.float64)
    distance = np.linalg.norm(skin[None, lips, :2] - points[soft, None, :2], axis=2) + 0.3 * np.abs(
        skin[None, lips, 2] - points[soft, None, 2]
    )
    points[soft] = skin[lips][distance.argmin(1)]
    swap = np.arange(len(points))
    swap[:] = mean.partner
    groups = [""] * len(points)
    for group, members in GROUPS:
        for i in members:
            groups[i] = group
    queries = QuerySet.from_positions(
        model, _on_head(model, points), None, [f"{g}_{i}" for i, g in enumerate(groups)], groups, "frl189"
    )
    return replace(
        queries,
        description="The 189 points of the Face Research Lab London and Canada sets; for evaluation",
        origin="placed after the mean annotation of the Face Research Lab London Set (DeBruine and Jones, CC BY 4.0)",
        licence="CC BY 4.0",
    )


def _on_head(model: HeadModel, points: NDArray) -> NDArray[np.float64]:
    """Points farther than 1 mm from skin and eyes go to the skin."""
    skin = on_surface(model, points).positions
    eyes = [on_surface(model, points, n).positions for n in ("eye_left", "eye_right")]
    nearest = np.min([np.linalg.norm(points - p, axis=1) for p in (skin, *eyes)], axis=0)
    return np.where((nearest > 0.001)[:, None], skin, points)


_PARTNER = {
    8: 8,
    33: 33,
    36: 45,
    45: 36,
    39: 42,
    42: 39,
    48: 54,
    54: 48,
    50: 52,
    52: 50,
    51: 51,
    57: 57,
    62: 62,
    66: 66,
}
