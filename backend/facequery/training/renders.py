"""Renders as a source of training examples, and the pool of queries that they are labelled with."""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from facequery.head.layouts import layout_names, load_layout
from facequery.head.model import HeadModel
from facequery.synthesis.samples import FaceSampler
from facequery.synthesis.settings import SampleSettings
from facequery.training.configs import DataConfig
from facequery.training.examples import RENDERS, Example

POOL = 16_000  # points of the pool
SKIN_SHARES = {
    "face": 0.20, "lips": 0.14, "eye_left": 0.05, "eye_right": 0.05, "nose": 0.05, "brow_left": 0.02,
    "brow_right": 0.02, "": 0.12,
}  # fmt: skip  # share of the pool on each region of the skin; "" is the whole skin, with ears, scalp and neck
PART_SHARES = {
    "eye_left": 0.015, "eye_right": 0.015, "teeth_upper": 0.02, "teeth_lower": 0.02, "gums_tongue": 0.01,
    "cranium": 0.04, "mandible": 0.04,
}  # fmt: skip
VOLUME_SHARE = 0.03  # between skin and bone
_TOGETHER = 4  # scenes whose heads are evaluated at once, which is quicker
_FAR_OUT = 1.5  # crop coordinates; farther outside, points only steady the network


def query_pool(model: HeadModel, rng: np.random.Generator, count: int = POOL) -> NDArray[np.float32]:
    """Canonical points (about `count`, 3) in metres that training asks for.

    Even over the surface of every region and part, denser where landmarks matter; a sixth are the layouts' own points;
    some lie in the soft tissue between skin and bone.
    """
    pieces = []
    skin = model.parts["skin"]
    triangles = model.triangles[skin.triangles]
    for region, share in SKIN_SHARES.items():
        chosen = triangles
        if region:
            inside = np.zeros(len(model.rest), bool)
            inside[skin.vertices] = model.region_mask(region)
            chosen = triangles[inside[triangles].all(1)]
        pieces.append(on_surface(model.rest, chosen, int(share * count), rng))
    for name, share in PART_SHARES.items():
        if name in model.parts:
            own = model.triangles[model.parts[name].triangles]
            front = own[model.rest[own].mean(1)[:, 2] > -0.06]  # nobody asks for the back of the skull
            pieces.append(on_surface(model.rest, front, int(share * count), rng))
    if "cranium" in model.parts:
        bone = np.concatenate([model.triangles[model.parts[n].triangles] for n in ("cranium", "mandible")])
        bone = bone[model.rest[bone].mean(1)[:, 2] > -0.02]
        inner = on_surface(model.rest, bone, int(VOLUME_SHARE * count), rng)
        outer = model.rest[skin.vertices]
        nearest = outer[np.linalg.norm(inner[:, None] - outer[None, ::7], axis=-1).argmin(1) * 7]
        pieces.append(inner + rng.random((len(inner), 1)) * (nearest - inner))
    # layouts calibrated on research-only annotations stay out of what weights are trained on
    named = [load_layout(name).positions for name in layout_names() if not name.endswith("_300w")]
    if named:
        points = np.concatenate(named)
        left = count - sum(len(p) for p in pieces)
        pieces.append(points[rng.integers(len(points), size=max(left, 0))])
    return np.concatenate(pieces).astype(np.float32)


def on_surface(vertices: NDArray, triangles: NDArray, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """`count` points, even over the area of triangles (T, 3)."""
    a, b, c = (vertices[triangles[:, k]].astype(np.float64) for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=-1)
    chosen = rng.choice(len(triangles), count, p=area / area.sum())
    u, v = np.sqrt(rng.random((count, 1))), rng.random((count, 1))
    return (1 - u) * a[chosen] + u * (1 - v) * b[chosen] + u * v * c[chosen]


class RenderSource:
    """Renders with labels of random queries of the pool."""

    def __init__(
        self, size: int, config: DataConfig, settings: SampleSettings | None = None, split: str = "train"
    ) -> None:
        self.size, self.config = size, config
        self.sampler = FaceSampler(settings, split)
        self.scale = np.float32(self.sampler.model.scale)
        self.binding = self.sampler.model.bind(query_pool(self.sampler.model, np.random.default_rng(0)))
        self.waiting: deque[Example] = deque()

    def sample(self, rng: np.random.Generator) -> Example:
        if not self.waiting:
            for s in self.sampler.batch(rng, _TOGETHER, self.size, self.binding, self.config.queries):
                outside = np.abs(s.xy).max(1) > _FAR_OUT
                weight = np.where(s.visible, 1.0, self.config.hidden_weight) * np.where(outside, 0.2, 1.0) * s.mask
                xy = np.clip(s.xy, -4.0, 4.0)
                example = Example(s.image, s.query * self.scale, xy, weight.astype(np.float32), RENDERS)
                self.waiting.append(example)
        return self.waiting.popleft()
