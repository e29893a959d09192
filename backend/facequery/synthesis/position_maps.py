"""Position maps: for every texel of the skin's atlas, where its surface point is in the picture, and how deep.

Basak et al. 2023, section 3.1 (after Feng et al. 2018, PRNet): a UV image of (x, y, depth) under weak perspective. Any
skin landmark is read from it at its place in the atlas, so one set serves the 68, the 520, and any other layout.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facequery.errors import UserError
from facequery.files import save_arrays
from facequery.geometry.rasterize import rasterize
from facequery.head.model import HeadModel
from facequery.head.queries import QuerySet
from facequery.synthesis.render import Render
from facequery.synthesis.samples import FaceSampler

_SHARD = 128  # pictures a file
_INDEX = "position_maps.json"


class Atlas:
    """The skin's atlas at a resolution of M x M texels: which point of the skin each texel shows.

    covered (M, M) bool; triangle (M, M) of the skin, bary (M, M, 3); mirror (M, M) flat index of the texel that shows
    the mirrored point (itself where there is none).
    """

    def __init__(self, model: HeadModel, side: int):
        self.model, self.side = model, side
        part = model.parts["skin"]
        self.triangles = model.triangles[part.triangles]
        self._corners = model.uv[model.triangles_uv[part.triangles]].astype(np.float64)  # (T, 3, 2), v up
        xy = (self._corners * [side, -side] + [0, side]).reshape(-1, 2)
        self.triangle, _, self.bary = rasterize(xy, np.ones(len(xy)), np.arange(len(xy)).reshape(-1, 3), side, side)
        self.covered = self.triangle >= 0
        self.mirror = self._mirror()

    def uv(self, queries: QuerySet) -> NDArray[np.float64]:
        """Atlas coordinates (N, 2) in [0, 1], v up, of skin queries; UserError for any that is not on the skin."""
        skin = self.model.parts["skin"].triangles
        off = [n for n, k, t in zip(queries.ids, queries.kinds, queries.triangle, strict=True) if k != "skin" or t < 0]
        if off:
            raise UserError(
                f'A position map holds skin only; "{off[0]}" is not on it.', "Take a layout of skin points.", "FQ170"
            )
        return np.einsum("nk,nkc->nc", queries.bary, self._corners[queries.triangle - skin.start])

    def values(self, points: NDArray) -> NDArray:
        """The atlas image (M, M, C) of per-vertex values (V, C) of the model; 0 outside the skin."""
        corners = points[self.triangles[np.maximum(self.triangle, 0)]]
        image = np.einsum("hwk,hwkc->hwc", self.bary, corners)
        return np.where(self.covered[..., None], image, 0).astype(np.float32)

    def flipped(self, maps: NDArray) -> NDArray[np.float32]:
        """The maps (..., M, M, 3) of the mirrored pictures: x changes sign, and left and right texels change places."""
        flat = maps.reshape(*maps.shape[:-3], -1, 3)[..., self.mirror.ravel(), :].reshape(maps.shape)
        return np.asarray(flat * np.array([-1, 1, 1]), np.float32)

    def read(self, maps: NDArray, uv: NDArray) -> NDArray[np.float32]:
        """(x, y, depth) (..., N, 3) at atlas places uv (N, 2): bilinear among covered texels."""
        x, y = uv[:, 0] * self.side - 0.5, (1 - uv[:, 1]) * self.side - 0.5
        j, i = np.floor(x).astype(int), np.floor(y).astype(int)
        total = np.zeros((*maps.shape[:-3], len(uv), 3))
        weights = np.zeros((len(uv), 1))
        for di in (0, 1):
            for dj in (0, 1):
                row, column = np.clip(i + di, 0, self.side - 1), np.clip(j + dj, 0, self.side - 1)
                weight = np.abs(1 - di - (y - i)) * np.abs(1 - dj - (x - j)) * self.covered[row, column]
                total += weight[:, None] * maps[..., row, column, :]
                weights += weight[:, None]
        if (weights <= 0).any():
            row, column = (
                np.clip(np.round(y).astype(int), 0, self.side - 1),
                np.clip(np.round(x).astype(int), 0, self.side - 1),
            )
            raise UserError(
                f"{int((weights <= 0).sum())} points lie between the skin's pieces at {self.side} texels.",
                "Use a larger position map.", "FQ171",
            )  # fmt: skip
        return (total / weights).astype(np.float32)

    def _mirror(self) -> NDArray[np.int64]:
        """The mirrored texel, by the mirrored triangle and the same weights of its corners."""
        symmetry = self.model.symmetry
        known = {tuple(sorted(t)): k for k, t in enumerate(self.triangles.tolist())}
        own = np.arange(self.side**2).reshape(self.side, self.side)
        partner = np.full(len(self.triangles), -1)
        order = np.zeros((len(self.triangles), 3), int)
        for k, triangle in enumerate(self.triangles):
            mirrored = symmetry[triangle]
            other = known.get(tuple(sorted(mirrored.tolist())), -1)
            if other >= 0:
                partner[k] = other
                order[k] = [int(np.flatnonzero(self.triangles[other] == v)[0]) for v in mirrored]
        texel_partner = np.where(self.covered, partner[np.maximum(self.triangle, 0)], -1)
        at = order[np.maximum(self.triangle, 0)]
        corners = np.take_along_axis(self._corners[np.maximum(texel_partner, 0)], at[..., None], axis=2)
        uv = np.einsum("hwk,hwkc->hwc", self.bary, corners)
        column = np.clip((uv[..., 0] * self.side).astype(int), 0, self.side - 1)
        row = np.clip(((1 - uv[..., 1]) * self.side).astype(int), 0, self.side - 1)
        target = row * self.side + column
        good = (texel_partner >= 0) & self.covered.ravel()[target]
        return np.where(good, target, own)


def position_map(render: Render, atlas: Atlas) -> NDArray[np.float32]:
    """The position map (M, M, 3) of a render: x, y in crop coordinates, and depth under weak perspective in the same
    unit: 0 at the head's origin, positive away from the camera. 0 outside the skin."""
    view = render.scene.view
    camera = render.vertices.astype(np.float64) @ view.rotation.T + view.translation
    pixels = render.project(camera) / render.size * 2 - 1
    middle = view.translation[2]
    depth = (camera[:, 2:] - middle) * (2 * view.focal / middle)
    return atlas.values(np.concatenate([pixels, depth], axis=1))


def write_position_maps(folder: Path, sampler: FaceSampler, count: int, size: int, side: int, seed: int = 0) -> None:
    """Renders `count` pictures of `size` pixels with maps of `side` texels into `folder`, in files of 128.

    Files that are there are kept, so that an interrupted run goes on; a file depends on the seed and its number alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    index = {
        "schema": "facequery.position_maps",
        "version": 1,
        "count": count,
        "size": size,
        "side": side,
        "seed": seed,
        "split": sampler.library.split,
    }
    described = folder / _INDEX
    if described.exists() and {"split": "train"} | json.loads(described.read_text()) != index:
        raise UserError(
            f'"{folder}" holds another set of position maps.', "Choose another folder, or delete it.", "FQ172"
        )
    described.write_text(json.dumps(index, indent=1))
    atlas = Atlas(sampler.model, side)
    for number in range((count + _SHARD - 1) // _SHARD):
        path = folder / f"maps{number:05d}.npz"
        if path.exists():
            continue
        rng = np.random.default_rng([seed, number])
        images, maps = [], []
        for _ in range(min(_SHARD, count - number * _SHARD)):
            image, render = sampler.draw(rng, sampler.draw_scene(rng), size)
            images.append(image)
            maps.append(position_map(render, atlas).astype(np.float16))
        save_arrays(path, compressed=True, images=np.stack(images), maps=np.stack(maps))


@dataclass(frozen=True)
class PositionMapSet:
    """A written set: iterating gives (image (S, S, 3) uint8, map (M, M, 3) float32), with `flip` its mirror too."""

    folder: Path
    size: int
    side: int
    count: int
    flip: bool
    atlas: Atlas

    @staticmethod
    def load(folder: Path, model: HeadModel, flip: bool = True, split: str = "train") -> "PositionMapSet":
        """Opens a set that write_position_maps made from source material of a split.

        Raises UserError when the folder holds none, or one of another split: training reads no held-out sets.
        """
        try:
            index = json.loads((folder / _INDEX).read_text())
            size, side, count = int(index["size"]), int(index["side"]), int(index["count"])
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f'"{folder}" holds no position maps.', "Write some first.", "FQ173") from error
        made_of = index.get("split", "train")
        if made_of != split:
            raise UserError(
                f'The position maps in "{folder}" were made of the split "{made_of}", not "{split}".',
                "Write a set of the other split.", "FQ174",
            )  # fmt: skip
        return PositionMapSet(folder, size, side, count, flip, Atlas(model, side))

    def __len__(self) -> int:
        return self.count * (2 if self.flip else 1)

    def __iter__(self) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
        for path in sorted(self.folder.glob("maps*[0-9].npz")):
            with np.load(path, allow_pickle=False) as data:
                images, maps = data["images"], data["maps"].astype(np.float32)
            for image, one in zip(images, maps, strict=True):
                yield image, one
                if self.flip:
                    yield np.ascontiguousarray(image[:, ::-1]), self.atlas.flipped(one)
