"""Pictures and clips from data sets on disk, changed at random at every draw (CLD, section 4.3 and table 4)."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from facequery.geometry.crops import apply_affine, compose, invert_affine, sample_crop
from facequery.synthesis.clips import smooth_walk
from facequery.training import augment
from facequery.training.configs import DataConfig
from facequery.training.examples import Example
from facequery.training.readers import Labelled, Reader
from facequery.training.regions import draw_region, unit_of

_REACH = 1.55  # how much more than the crop a stored picture shows, so that the crop can be shifted and turned
_FINER = 1.8  # side of a stored picture over the side of what is drawn from it
_KEPT = 1500  # pictures kept in memory


class SetSource:
    """Single pictures of a data set: flipped or not, in a jittered crop, with changed colours and covered parts.

    `region`: the face lies anywhere in a larger picture, for the spatial transformer, with other pictures' borders
    round it.
    """

    def __init__(self, reader: Reader, size: int, config: DataConfig, region: bool = False) -> None:
        self.reader, self.size, self.config, self.region = reader, size, config, region
        self.stored: dict[int, tuple[NDArray[np.uint8], NDArray[np.float64], NDArray[np.float64]]] = {}

    def sample(self, rng: np.random.Generator) -> Example:
        index = int(rng.choice(len(self.reader), p=self.reader.chances))
        region = self._region(rng)
        return self._frames(rng, index, [region])[0]

    def _region(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Matrix (2, 3) from the coordinates of what is drawn to those of the normalised crop."""
        if self.region:
            return draw_region(rng)
        upright = np.eye(2, 3)
        return augment.jitter_crop(rng, upright) if self.config.affine else upright

    def _frames(self, rng: np.random.Generator, index: int, regions: Sequence[NDArray]) -> list[Example]:
        """One picture seen through several regions; colours and covers are those of the first, noise is new in each."""
        config = self.config
        stored, crop, to_stored = self._picture(index)
        labels = padded(self.reader.labels(index, rng, config.queries), config.queries)
        points = apply_affine(to_stored, labels.points)
        flipped = config.flip and rng.random() < 0.5
        covered = rng.random() < config.cutout
        other = None
        if len(regions) == 1 and not self.region and len(self.reader) > 1 and rng.random() < config.second_face:
            other = self._face(int(rng.integers(len(self.reader))))
        look = int(rng.integers(2**31))  # the same cover, colours and codec in every frame
        ground = self._ground(rng) if self.region and rng.random() < 0.6 else None  # else its own edge goes on
        examples = []
        for region in regions:
            matrix = compose(crop, region)
            image = sample_crop(stored, matrix, self.size, self._border(index))
            if ground is not None:
                share = sample_crop(soft_edge(len(stored)), matrix, self.size, "black")[..., None] / np.float32(255)
                image = (ground * (1 - share) + image * share).astype(np.uint8)
            xy = apply_affine(invert_affine(matrix), points)
            query, weight = labels.query, labels.weight
            if flipped:
                image = np.ascontiguousarray(image[:, ::-1])
                xy, query, weight = xy * [-1, 1], labels.mirrored, labels.mirrored_weight
            if other is not None:
                image = augment.second_face(rng, image, xy[weight > 0], other)
            if covered:
                image = augment.cover(np.random.default_rng([look, 0]), image)
            if config.colour:
                image = augment.colour(np.random.default_rng([look, 1]), image)
                image = augment.degrade(np.random.default_rng([look, 2]), image, grain=rng)
            unit = unit_of(region) if self.region else 1.0
            examples.append(Example(image, query, xy.astype(np.float32), weight, self.reader.dataset, unit))
        return examples

    def _face(self, index: int) -> NDArray[np.uint8]:
        """A picture's normalised crop."""
        stored, crop, _ = self._picture(index)
        return sample_crop(stored, crop, self.size)

    def _picture(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float64], NDArray[np.float64]]:
        """A generous crop of a picture; the normalised crop in its pixels; and the matrix from the picture to it."""
        if index not in self.stored:
            image, crop = self.reader.picture(index)
            side = round(_FINER * min(self.size, 192))
            outer = compose(crop, [[_REACH, 0, 0], [0, _REACH, 0]])
            stored = sample_crop(image, outer, side, self._border(index))
            to_stored = compose([[side / 2, 0, side / 2], [0, side / 2, side / 2]], invert_affine(outer))
            if len(self.stored) >= _KEPT:
                self.stored.pop(next(iter(self.stored)))
            self.stored[index] = stored, compose(to_stored, crop), to_stored
        return self.stored[index]

    def _border(self, index: int) -> Literal["edge", "black"]:
        """What is seen beyond a picture; in a region black bars would give the face's place away."""
        return "edge" if self.region or index % 2 else "black"

    def _ground(self, rng: np.random.Generator) -> NDArray[Any]:
        """What surrounds a face in a region: a strip of another picture's border, much magnified, or rough noise."""
        from facequery.training.whole_pictures import rough_ground, strip_ground

        if rng.random() < 0.6:
            return strip_ground(rng, self._picture(int(rng.integers(len(self.reader))))[0], self.size)
        return rough_ground(rng, self.size)


def soft_edge(side: int) -> NDArray[np.uint8]:
    """A mask (side, side): 255 inside, falling to 0 towards the border, so that no outline is pasted."""
    ramp = np.minimum(np.arange(side), np.arange(side)[::-1]) / (0.12 * side)
    ramp = np.clip(ramp, 0, 1)
    return (255 * np.minimum.outer(ramp, ramp)).astype(np.uint8)


def padded(labels: Labelled, count: int) -> Labelled:
    """Labels of exactly `count` queries: a layout with fewer is filled up with its first one, of weight zero."""
    missing = count - len(labels.points)
    if missing <= 0:
        return labels
    first = np.zeros(missing, int)
    none = np.zeros(missing, np.float32)
    return Labelled(
        np.concatenate([labels.points, labels.points[first]]),
        np.concatenate([labels.query, labels.query[first]]),
        np.concatenate([labels.mirrored, labels.mirrored[first]]),
        np.concatenate([labels.weight, none]),
        np.concatenate([labels.mirrored_weight, none]),
    )


class StillClipSource(SetSource):
    """Clips from stills: the crop wanders smoothly, colours stay for the clip, noise is new in every frame."""

    def __init__(self, reader: Reader, size: int, config: DataConfig, frames: int, region: bool = False) -> None:
        super().__init__(reader, size, config, region)
        self.frames = frames

    def clip(self, rng: np.random.Generator) -> list[Example]:
        index = int(rng.choice(len(self.reader), p=self.reader.chances))
        start = self._region(rng)
        return self._frames(rng, index, [compose(start, step) for step in wandering(rng, self.frames)])


def wandering(rng: np.random.Generator, frames: int, fps: float = 25.0) -> list[NDArray[np.float64]]:
    """Matrices (2, 3) of a crop that drifts, breathes and turns a little, as a detector's crop does."""
    shift = np.stack([smooth_walk(rng, frames, 0.04, 0.25, fps) for _ in range(2)], -1)
    size = np.exp(smooth_walk(rng, frames, 0.025, 0.3, fps))
    turn = np.radians(smooth_walk(rng, frames, 2.0, 0.3, fps))
    found = []
    for (x, y), s, a in zip(shift, size, turn, strict=True):
        c, d = s * np.cos(a), s * np.sin(a)
        found.append(np.array([[c, -d, x], [d, c, y]]))
    return found
