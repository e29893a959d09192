"""Pictures that many small runs share: drawn once, kept on disk, and drawn from again by every run.

Rows of a table then see the very same pictures, and none of them waits for a renderer.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from facequery.files import load_arrays, save_arrays
from facequery.head.layouts import load_layout
from facequery.head.model import HeadModel
from facequery.head.query_space import QuerySpace
from facequery.synthesis.labels import labels, surface_points
from facequery.synthesis.samples import FaceSampler
from facequery.training.configs import DataConfig
from facequery.training.dense_sources import DenseRenderSource
from facequery.training.examples import RENDERS, ClipSource, Example, Source
from facequery.training.regions import draw_region, unit_of, view_of_region
from facequery.training.renders import query_pool, query_weights, render_settings
from facequery.training.sources import make_mix
from numpy.typing import NDArray

SPARSE = 68  # points of ibug68, which every render is labelled with
SEED = 31
LABELS = 300  # further labels of a render, at random places of the pool
# what stored renders contain: the head's own shapes and skins that need no portraits, so that anyone draws the same
DATA = DataConfig(
    renders=1.0, portraits=0.0, portrait_skins=0.0, off_basis=0.0, features=0.0, hidden_weight=0.5,
    second_face=0.0, flip=True, colour=True, affine=True, rare=True, cutout=0.35,
)  # fmt: skip
Arrays = dict[str, NDArray]


def kept(path: Path, make: Callable[[], Arrays]) -> Arrays:
    """The arrays in `path`, made and written if they are not there."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        save_arrays(path, **make())
    return load_arrays(path)


def pool_and_sparse() -> tuple[NDArray[np.float32], int]:
    """Canonical points (Q, 3), metres: training's pool, then ibug68; and how many of the first are no layout's."""
    model = HeadModel.load()
    pool = query_pool(model, np.random.default_rng(0))
    dense = len(query_pool(model, np.random.default_rng(0), layouts=False))
    return np.concatenate([pool, load_layout("ibug68").positions]).astype(np.float32), dense


def draw_renders(count: int, size: int, seed: int, region: bool) -> Arrays:
    """Renders of training's people: `image` (n, S, S, 3); `index` (n, 368) into the points `positions` (Q, 3), of which
    the first `dense` are no layout's (`pool_and_sparse`), `xy` and `weight` of them; `unit` (n,). `region`: the same
    scenes with the face anywhere in the picture."""
    sampler = FaceSampler(render_settings(DATA))
    positions, dense = pool_and_sparse()
    binding = sampler.model.bind(positions)
    surface = surface_points(binding, sampler.model)
    pool = len(positions) - SPARSE
    rows = []
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        scene = sampler.draw_scene(rng)
        moved = draw_region(rng)
        index = np.concatenate([rng.integers(pool, size=LABELS), np.arange(pool, pool + SPARSE)]).astype(np.int32)
        if region:
            scene = replace(scene, view=view_of_region(scene.view, moved))
        image, render = sampler.draw(rng, scene, size, sampler.shapes([scene])[0])
        found = labels(render, binding.subset(index), sampler.model, surface[index])
        weight = query_weights(found.xy, found.visible, found.depth > 0.02, DATA)
        rows.append((image, index, np.clip(found.xy, -4.0, 4.0), weight, unit_of(moved) if region else 1.0))
    names = ("image", "index", "xy", "weight", "unit")
    stacked = {name: np.stack(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
    return {**stacked, "positions": positions, "dense": np.array(dense)}


def draw_source(source: Source | ClipSource, count: int, seed: int) -> Arrays:
    """`count` examples of a source of single pictures, the fields of `Example` stacked. Raises ValueError for clips."""
    if isinstance(source, ClipSource):
        raise ValueError("clips are not stored")
    drawn = [source.sample(np.random.default_rng([seed, number])) for number in range(count)]
    return {name: np.stack([getattr(e, name) for e in drawn]) for name in Example.__dataclass_fields__}


class StoredRenders:
    """What `draw_renders` made, as a source: `queries` labels of a picture at each draw.

    `wanted`: "" takes them from the whole pool, "dense" from that without the layouts' points, "ibug68" from those 68.
    """

    def __init__(self, arrays: Arrays, queries: int, dims: int = 3, wanted: str = "") -> None:
        self.arrays, self.queries = arrays, queries
        self.query, self.valid = QuerySpace(HeadModel.load(), dims)(arrays["positions"])
        allowed = np.zeros(arrays["index"].shape, bool)
        if wanted == "ibug68":
            allowed[:, LABELS:] = True
        else:
            allowed[:, :LABELS] = (arrays["index"][:, :LABELS] < arrays["dense"]) if wanted == "dense" else True
        self.allowed = allowed

    def sample(self, rng: np.random.Generator) -> Example:
        arrays = self.arrays
        i = int(rng.integers(len(arrays["image"])))
        columns = np.flatnonzero(self.allowed[i])
        columns = rng.choice(columns, self.queries, replace=len(columns) < self.queries)
        index = arrays["index"][i, columns]
        weight = (arrays["weight"][i, columns] * self.valid[index]).astype(np.float32)
        xy = arrays["xy"][i, columns].astype(np.float32)
        return Example(arrays["image"][i], self.query[index], xy, weight, RENDERS, float(arrays["unit"][i]))


class Mirrored:
    """A source whose pictures are mirrored half of the time, with queries at canonical places (n, 3)."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def sample(self, rng: np.random.Generator) -> Example:
        example = self.source.sample(rng)
        return mirrored(example) if rng.random() < 0.5 else example


def mirrored(example: Example) -> Example:
    """The mirrored picture, asked for the other side: `query` (n, 3) is canonical."""
    sides = np.float32([-1, 1, 1])
    image = np.ascontiguousarray(example.image[:, ::-1])
    return replace(example, image=image, query=example.query * sides, xy=example.xy * sides[:2])


class StoredExamples:
    """What `draw_source` made, as a source."""

    def __init__(self, arrays: Arrays) -> None:
        self.arrays = arrays

    def sample(self, rng: np.random.Generator) -> Example:
        i = int(rng.integers(len(self.arrays["image"])))
        values = {name: column[i] for name, column in self.arrays.items()}
        return Example(**{**values, "dataset": int(values["dataset"]), "unit": float(values["unit"])})


def renders(folder: Path, count: int, size: int, region: bool) -> Arrays:
    """The stored renders of `folder`, drawn if they are not there: see `draw_renders`."""
    path = folder / f"{'regions' if region else 'renders'}_{size}_{count}.npz"
    return kept(path, lambda: draw_renders(count, size, SEED, region))


def portraits(folder: Path, count: int, size: int, queries: int, region: bool) -> Arrays:
    """The stored draws of the labelled portraits, drawn if they are not there. Raises UserError without labels."""
    data = replace(DATA, renders=0.0, portraits=1.0, queries=queries)
    path = folder / f"portrait_{'regions' if region else 'crops'}_{size}_{count}.npz"
    return kept(path, lambda: draw_source(make_mix(data, size, 3, region).sources[0], count, SEED))


def dense_renders(folder: Path, count: int, size: int) -> Arrays:
    """The stored renders with the 520 points of the regressor, drawn if they are not there."""

    def draw() -> Arrays:
        return draw_source(DenseRenderSource(size, DATA), count, SEED)

    return kept(folder / f"dense_{size}_{count}.npz", draw)
