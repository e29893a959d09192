"""Clips that Cycles rendered, with exact truth, as our own detector sees them."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from facequery.assets import asset
from facequery.detection.detector import Detector
from facequery.detection.finder import FaceFinder
from facequery.detection.tracks import Tracks
from facequery.errors import UserError
from facequery.geometry.cameras import Camera
from facequery.head.layouts import load_layout
from facequery.head.model import HeadModel
from facequery.head.queries import QuerySet
from facequery.pipeline.find import find_face
from facequery.pipeline.track import track_shot, writer_for
from facequery.shots.shot import open_shot
from facequery.synthesis.cycles.clips import open_clips
from facequery.synthesis.cycles.truth import SampleTruth

from benchmarks.fit_tracks import skin_points
from benchmarks.fit_truth import Clip, Person

INNER = ("skull", "jaw", "teeth", "eyes")  # tracked with every number of landmarks on the skin


@dataclass(frozen=True, eq=False)
class Filmed:
    """A rendered clip: its truth in the first camera's space, and where the plates of each view are."""

    name: str
    clip: Clip
    plates: list[str]


def filmed(folder: Path, model: HeadModel, views: int) -> Iterator[Filmed]:
    """The rendered clips below `folder` (`single`, `three`) with at least so many views; for one, the sample shot too.

    Raises UserError when there is none.
    """
    if views == 1:
        truth = SampleTruth.load(asset("sample/truth.npz"))
        yield Filmed("sample", _clip(model, [truth], [None]), [str(asset("sample/plate") / "shot.####.jpg")])
    for name in ("single", "three"):
        try:
            found = open_clips(folder / name)
        except UserError:
            found = []
        for one in found:
            if one.views >= views:
                truths = [one.truth(v) for v in range(views)]
                places = [one.from_first(v) if v else None for v in range(views)]
                plates = [str(one.plate(v) / "shot.####.jpg") for v in range(views)]
                yield Filmed(f"{name}/{one.folder.name}", _clip(model, truths, places), plates)


def _clip(model: HeadModel, truths: list[SampleTruth], places: list[tuple[np.ndarray, np.ndarray] | None]) -> Clip:
    first = truths[0]
    cameras = []
    for truth, place in zip(truths, places, strict=True):
        camera = Camera.pinhole(truth.width, truth.height, truth.fx, truth.fy, truth.cx, truth.cy)
        if place is not None:
            camera = replace(camera, rotation=place[0][None], translation=place[1][None])
        cameras.append(camera)
    vertices = np.stack([first.vertices(i, model) for i in range(len(first))])
    person = Person(first.neutral.astype(np.float64), np.ones(52))
    return Clip(person, vertices, first.rotation, first.translation, first.jaw_rotation, cameras, first.frames)


def points_of(model: HeadModel, count: int) -> QuerySet:
    """The landmarks of a row of the table: ibug68 and dense520 for 68 and 500, else that many anywhere on the face."""
    named = {68: "ibug68", 500: "dense520"}
    if count in named:
        skin = load_layout(named[count])
    else:
        positions = skin_points(model, count, np.random.default_rng(0)).positions
        skin = QuerySet.from_positions(model, positions, name="many")
    return QuerySet.concat([skin, *(load_layout(name) for name in INNER)])


def all_points(model: HeadModel, counts: list[int]) -> tuple[QuerySet, dict[int, np.ndarray]]:
    """The points of several rows of the table, to be tracked at once, and the columns of each row in them."""
    sets = [points_of(model, count) for count in counts]
    ends = np.cumsum([0, *map(len, sets)])
    columns = {count: np.arange(ends[k], ends[k + 1]) for k, count in enumerate(counts)}
    return QuerySet.concat(sets), columns


def some_points(tracks: Tracks, columns: np.ndarray) -> Tracks:
    """Some of the columns of tracks."""
    xy, sigma, visible = (getattr(tracks, name)[:, columns] for name in ("xy", "sigma", "visible"))
    layouts, queries = {"all": (0, len(columns))}, tracks.queries.subset(columns)
    return replace(tracks, queries=queries, layouts=layouts, xy=xy, sigma=sigma, visible=visible)


class Watcher:
    """Tracks plates with the weights that ship."""

    def __init__(self, weights: str = "landmarks") -> None:
        self.finder = FaceFinder.from_pretrained()
        self.detector = Detector.from_pretrained(weights, mirror=False)  # as films are tracked

    def track(self, plates: str, queries: QuerySet) -> Tracks:
        """Tracks of the largest face in a shot."""
        shot = open_shot(plates)
        with tempfile.TemporaryDirectory() as folder:
            path = find_face(shot, self.finder, self.detector, Path(folder), 1, [], None)
            writer = writer_for(shot, Path(folder), queries, {"all": (0, len(queries))})
            track_shot(shot, path, self.detector, [writer])
            tracks = Tracks.load(Path(folder))
            tracks = replace(tracks, **{n: np.array(getattr(tracks, n)) for n in ("xy", "sigma", "visible")})
        shot.close()
        return tracks

    def still(self, plate: np.ndarray, queries: QuerySet, frames: int, noise: float, seed: int = 0) -> Tracks:
        """Tracks of one picture shown again and again, with fresh sensor noise (8-bit steps) in every frame."""
        import cv2

        rng = np.random.default_rng(seed)
        with tempfile.TemporaryDirectory() as folder:
            for f in range(frames):
                noisy = plate + rng.normal(size=plate.shape) * noise
                picture = np.clip(noisy + 0.5, 0, 255).astype(np.uint8)
                cv2.imwrite(str(Path(folder) / f"still.{f + 1:04d}.png"), picture[..., ::-1])
            return self.track(str(Path(folder) / "still.####.png"), queries)
