"""Renders as a source of training examples, and the pool of queries that they are labelled with."""

from collections import deque
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from facequery.assets import checkout_path
from facequery.head.layouts import layout_names, load_layout
from facequery.head.model import HeadModel
from facequery.head.query_space import QuerySpace
from facequery.synthesis.clips import sample_clip
from facequery.synthesis.labels import labels, surface_points
from facequery.synthesis.samples import FaceSampler
from facequery.synthesis.settings import SampleSettings
from facequery.training.augment import second_face
from facequery.training.configs import DataConfig
from facequery.training.examples import RENDERS, Example
from facequery.training.regions import draw_region, unit_of, view_of_region

POOL = 16_000  # points of the pool
SKIN_SHARES = {
    "face": 0.25, "lips": 0.18, "eye_left": 0.08, "eye_right": 0.08, "nose": 0.05, "brow_left": 0.03,
    "brow_right": 0.03, "": 0.05,
}  # fmt: skip  # share of the pool on each region of the skin; "" is the whole skin, with ears, scalp and neck
PART_SHARES = {
    "eye_left": 0.015, "eye_right": 0.015, "teeth_upper": 0.02, "teeth_lower": 0.02, "gums_tongue": 0.01,
    "cranium": 0.02, "mandible": 0.02,
}  # fmt: skip
VOLUME_SHARE = 0.02  # between skin and bone
_TOGETHER = 4
_SHAPES = 32  # beside the basis
_FAR_OUT = 1.5  # crop coordinates; farther outside, points only steady the network


def query_pool(
    model: HeadModel, rng: np.random.Generator, count: int = POOL, layouts: bool = True
) -> NDArray[np.float32]:
    """Canonical points (about `count`, 3) in metres that training asks for.

    Even over the surface of every region and part, denser where landmarks matter; a sixth are the layouts' own points,
    unless `layouts` is false; some lie in the soft tissue between skin and bone.
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
    if named and layouts:
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


def render_settings(config: DataConfig) -> SampleSettings:
    """What renders contain, with the switches of CLD's table 4: without `affine` all crops are exact, without `colour`
    the camera has no faults (its balance and contrast still vary, and so do light and skin)."""
    folder = str(checkout_path(config.portrait_skin_folder))
    settings = SampleSettings(
        off_basis=config.off_basis, off_basis_shapes=_SHAPES, features=config.features,
        portrait_skins=config.portrait_skins, portrait_folder=folder,
    )  # fmt: skip
    if not config.affine:
        settings = replace(settings, crop_scale=0.0, crop_shift=0.0, crop_turn=0.0, crop_tail=0.0)
    if not config.colour:
        settings = replace(
            settings, gray=0.0, jpeg=0.0, low_resolution=0.0, blur=0.0, motion_blur=0.0, depth_of_field=0.0, noise=0.0,
            border=0.0, vignette=0.0,
        )  # fmt: skip
    return settings


def render_pool(model: HeadModel, name: str) -> NDArray[np.float32]:
    """The points (N, 3), metres, of DataConfig.render_queries."""
    if name in ("", "dense"):
        return query_pool(model, np.random.default_rng(0), layouts=not name)
    return np.asarray(load_layout(name).positions, np.float32)


class RenderSource:
    """Renders with labels of random queries of the pool.

    `region`: the face lies anywhere in a larger picture, for the spatial transformer. `together`: scenes whose heads
    are evaluated at once, which is quicker; with one, an example depends on its own random state alone.
    """

    def __init__(
        self, size: int, config: DataConfig, dims: int = 3, region: bool = False, together: int = _TOGETHER
    ) -> None:
        self.together = together
        self.size, self.config, self.region = size, config, region
        self.sampler = FaceSampler(render_settings(config))
        model = self.sampler.model
        pool = render_pool(model, config.render_queries)
        self.binding = model.bind(pool)
        self.query, self.valid = QuerySpace(model, dims)(pool)
        self.surface = surface_points(self.binding, model)
        self.waiting: deque[Example] = deque()

    def sample(self, rng: np.random.Generator) -> Example:
        if self.region:
            return self._in_region(rng)
        if not self.waiting:
            drawn = self.sampler.batch(rng, self.together, self.size, self.binding, self.config.queries)
            for i, s in enumerate(drawn):
                image = s.image
                if rng.random() < self.config.second_face:
                    others = drawn if len(drawn) > 1 else self.sampler.batch(rng, 1, self.size, self.binding, 1)
                    image = second_face(rng, image, s.xy[s.mask], others[i - 1].image)
                self.waiting.append(self._example(image, s.index, s.xy, s.visible, s.mask))
        return self.waiting.popleft()

    def _in_region(self, rng: np.random.Generator) -> Example:
        region = draw_region(rng)
        scene = self.sampler.draw_scene(rng)
        scene = replace(scene, view=view_of_region(scene.view, region))
        vertices = self.sampler.shapes([scene])[0]
        image, render = self.sampler.draw(rng, scene, self.size, vertices)
        index = rng.integers(len(self.binding), size=self.config.queries)
        found = labels(render, self.binding.subset(index), self.sampler.model, self.surface[index])
        return self._example(image, index, found.xy, found.visible, found.depth > 0.02, unit_of(region))

    def _example(
        self, image: NDArray, index: NDArray, xy: NDArray, visible: NDArray, mask: NDArray, unit: float = 1.0
    ) -> Example:
        weight = query_weights(xy, visible, mask & self.valid[index], self.config)
        return Example(image, self.query[index], np.clip(xy, -4.0, 4.0), weight, RENDERS, unit)


class RenderedClipSource:
    """Rendered clips: light and colours stay, head, face and crop move smoothly, noise is new in every frame."""

    def __init__(self, size: int, config: DataConfig, dims: int = 3) -> None:
        self.size, self.config, self.frames = size, config, config.clip_frames
        self.sampler = FaceSampler(render_settings(config))
        model = self.sampler.model
        self.binding = model.bind(query_pool(model, np.random.default_rng(0)))
        self.space = QuerySpace(model, dims)

    def clip(self, rng: np.random.Generator) -> list[Example]:
        found = sample_clip(self.sampler, rng, self.frames, self.size, self.binding, self.config.queries)
        query, valid = self.space(found.query)
        examples = []
        for image, xy, visible, depth in zip(found.images, found.xy, found.visible, found.depth, strict=True):
            weight = query_weights(xy, visible, (depth > 0.02) & valid, self.config)
            examples.append(Example(image, query, np.clip(xy, -4.0, 4.0), weight, RENDERS))
        return examples


def query_weights(xy: NDArray, visible: NDArray, mask: NDArray, config: DataConfig) -> NDArray[np.float32]:
    """Weights (n,) of a render's labels: less for what is hidden or outside the crop, none outside `mask`."""
    outside = np.abs(xy).max(1) > _FAR_OUT
    weight = np.where(visible, 1.0, config.hidden_weight) * np.where(outside, 0.2, 1.0) * mask
    return weight.astype(np.float32)
