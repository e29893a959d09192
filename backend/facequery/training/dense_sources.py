"""Training pictures of the 520-point regressor: from position maps on disk, or from renders made on the fly.

They travel as examples whose `query` holds the targets: (520, 3) pixels, as `DenseRegressor` answers them.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facequery.assets import checkout_path
from facequery.geometry.crops import apply_affine, crop_from_points, four_points, invert_affine
from facequery.head.layouts import load_layout
from facequery.head.model import HeadModel
from facequery.head.queries import QuerySet
from facequery.synthesis.labels import labels
from facequery.synthesis.position_maps import PositionMapSet
from facequery.synthesis.samples import FaceSampler
from facequery.synthesis.scene import Scene
from facequery.training.configs import DataConfig
from facequery.training.examples import RENDERS, Example, Mix, Source
from facequery.training.renders import render_settings

LAYOUT = "dense520"


def members(layout: str) -> NDArray[np.int64]:
    """Numbers of the points of `layout` ("face68_3d", "aflw21") among the 520, which hold them exactly."""
    own, asked = load_layout(LAYOUT), load_layout(layout)
    distance = np.linalg.norm(asked.positions[:, None] - own.positions[None], axis=-1)
    return distance.argmin(1)


def mean_face(model: HeadModel, size: int) -> NDArray[np.float32]:
    """Targets (520, 3) of the resting head seen from the front, in its normalised crop of `size` pixels."""
    flat = np.array([1.0, -1.0])
    corners = 1000 * model.rest[model.normalisation_vertices].astype(np.float64)  # millimetres: crops are for pixels
    four = four_points(corners)[:, :2] * flat
    crop = crop_from_points(four)
    positions = 1000 * load_layout(LAYOUT).positions.astype(np.float64)
    xy = (apply_affine(invert_affine(crop), positions[:, :2] * flat) + 1) * size / 2
    scale = size / 2 / np.sqrt(np.abs(np.linalg.det(crop[:, :2])))
    return np.concatenate([xy, -scale * positions[:, 2:]], 1).astype(np.float32)


class DenseRenderSource:
    """Renders with the exact position of every landmark: what a position map holds, without its texels."""

    def __init__(self, size: int, config: DataConfig, split: str = "train") -> None:
        self.size = size
        settings = render_settings(config)
        if split != "train":
            settings = replace(settings, portrait_skins=0.0)
        self.sampler = FaceSampler(settings, split)
        self.binding = self.sampler.model.bind(load_layout(LAYOUT).positions)

    def draw(self, rng: np.random.Generator) -> tuple[Example, Scene]:
        scene = self.sampler.draw_scene(rng)
        image, render = self.sampler.draw(rng, scene, self.size, self.sampler.shapes([scene])[0])
        found = labels(render, self.binding, self.sampler.model)
        middle = scene.view.translation[2]
        z = (found.depth - middle) * scene.view.focal * self.size / middle
        target = np.concatenate([(found.xy + 1) * self.size / 2, z[:, None]], 1).astype(np.float32)
        weight = (found.depth > 0.02).astype(np.float32)
        return Example(image, target, found.xy, weight, RENDERS), scene

    def sample(self, rng: np.random.Generator) -> Example:
        return self.draw(rng)[0]


class DenseMapSource:
    """Position maps on disk, mirrored half of the time (Dense520, section 3.2). Points off the skin have no weight."""

    def __init__(self, folder: Path, size: int, flip: bool) -> None:
        model = HeadModel.load()
        found = PositionMapSet.load(folder, model, flip=False)
        if found.size != size:
            raise ValueError(f'the pictures in "{folder}" have {found.size} pixels, the network takes {size}')
        layout = load_layout(LAYOUT)
        self.on_skin = np.flatnonzero(np.array(layout.kinds) == "skin")
        self.partner = layout.mirror_index()
        self.size, self.flip = size, flip
        self.images, self.targets = [], []
        uv = found.atlas.uv(layout.subset(self.on_skin))
        for image, one in found:
            target = np.zeros((len(layout), 3), np.float32)
            values = found.atlas.read(one, uv)
            target[self.on_skin] = (values + np.array([1, 1, 0])) * size / 2
            self.images.append(image)
            self.targets.append(target)
        self.weight = np.zeros(len(layout), np.float32)
        self.weight[self.on_skin] = 1.0

    def sample(self, rng: np.random.Generator) -> Example:
        index = int(rng.integers(len(self.images)))
        image, target, weight = self.images[index], self.targets[index], self.weight
        if self.flip and rng.random() < 0.5:
            image = np.ascontiguousarray(image[:, ::-1])
            target = target[self.partner] * np.array([-1, 1, 1], np.float32) + np.array([self.size, 0, 0], np.float32)
            weight = weight[self.partner] * (self.partner >= 0)
        xy = target[:, :2] * (2 / self.size) - 1
        return Example(image, target.astype(np.float32), xy.astype(np.float32), weight.astype(np.float32), RENDERS)


def make_dense_mix(config: DataConfig, size: int) -> Mix:
    """The regressor's sources with their weights. Called in every process that makes images."""
    sources: list[tuple[Source, float]] = []
    if config.renders > 0:
        sources.append((DenseRenderSource(size, config), config.renders))
    for entry in config.sets:
        if entry.weight > 0:
            sources.append((DenseMapSource(checkout_path(entry.folder), size, config.flip), entry.weight))
    return Mix([source for source, _ in sources], [weight for _, weight in sources])


def dense_layout() -> QuerySet:
    """The 520 points in the order of the regressor's answers."""
    return load_layout(LAYOUT)
