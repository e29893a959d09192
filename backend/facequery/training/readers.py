"""Data sets on disk, behind one interface: pictures with the 2D points of queries.

reader = open_set(Path("renders"), number=2)
image, crop = reader.picture(0)
found = reader.labels(0, rng, 256)
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from facequery.assets import source_data
from facequery.errors import UserError
from facequery.geometry.crops import crop_from_points, four_points
from facequery.head.layouts import load_layout
from facequery.head.model import HeadModel
from facequery.head.query_space import QuerySpace
from facequery.training.examples import PORTRAITS, RENDERS

_POOL = 4096  # queries that sets with labels for any query are asked for


@dataclass(frozen=True)
class Labelled:
    """Some labels of a picture: `points` (n, 2) continuous pixels, `query` (n, 3) as a QuerySpace gives them, `weight`
    (n,); `mirrored` (n, 3) and `mirrored_weight` (n,): the same points' queries in the mirrored picture."""

    points: NDArray[np.float64]
    query: NDArray[np.float32]
    mirrored: NDArray[np.float32]
    weight: NDArray[np.float32]
    mirrored_weight: NDArray[np.float32]


class Reader(Protocol):
    """A data set: `dataset` is its number, 0 for exact labels of the head; `chances` (n,) how often each picture is
    drawn."""

    dataset: int
    chances: NDArray[np.float64]

    def __len__(self) -> int: ...

    def picture(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        """Picture (H, W, 3) uint8 RGB and the face's normalised crop, `crop_to_image` (2, 3)."""

    def labels(self, index: int, rng: np.random.Generator, count: int) -> Labelled:
        """Labels of at most `count` queries, chosen at random."""


def open_set(folder: Path, number: int, space: QuerySpace, layout: str = "") -> Reader:
    """The reader of a folder: a set rendered by Cycles, position maps, or annotated pictures (`landmarks.json`).

    Raises UserError when it is none of them, or is kept for evaluation.
    """
    if (folder / "cycles.json").exists():
        return CyclesReader(folder, space)
    if (folder / "position_maps.json").exists():
        return PositionMapReader(folder, space)
    return AnnotatedReader(folder, number, space, layout)


class _Layout:
    """A fixed set of queries with their partners in the mirrored picture."""

    def __init__(self, positions: NDArray, partner: NDArray[np.int64], space: QuerySpace) -> None:
        self.query, self.valid = space(positions)
        self.partner = partner

    def labels(self, points: NDArray, weight: NDArray, chosen: NDArray[np.int64]) -> Labelled:
        partner = self.partner[chosen]
        weight = weight[chosen]
        return Labelled(
            points[chosen], self.query[chosen], self.query[partner],
            (weight * self.valid[chosen]).astype(np.float32),
            (weight * self.valid[partner] * (partner >= 0)).astype(np.float32),
        )  # fmt: skip


class _AnyQuery:
    """A pool of queries and the same on the other side of the head, whose labels a set of renders can give."""

    def __init__(self, positions: NDArray, space: QuerySpace) -> None:
        self.positions = positions
        self.query, self.valid = space(positions)
        self.mirrored, self.mirrored_valid = space(positions * np.array([-1, 1, 1]))

    def labels(self, points: NDArray, weight: NDArray, chosen: NDArray[np.int64]) -> Labelled:
        return Labelled(
            points, self.query[chosen], self.mirrored[chosen],
            (weight * self.valid[chosen]).astype(np.float32),
            (weight * self.mirrored_valid[chosen]).astype(np.float32),
        )  # fmt: skip


def portrait_labels(file: Path) -> dict[str, NDArray]:
    """What tools/label_portraits.py wrote of n portraits: the folder `root`, names `images` (n,) in it, `points`
    (n, 478, 2) and their spread `sigma` (n, 478) in pixels, `mirror` (478,) the point's partner. Raises UserError when
    there is none."""
    if not file.exists():
        raise UserError(
            f'There are no portrait labels at "{file}".',
            "Make them with tools/label_portraits.py, or train with data.portraits = 0.", "FQ242",
        )  # fmt: skip
    with np.load(file) as data:
        return dict(data)


class PortraitReader:
    """Portraits with pseudo-labels of MediaPipe's mesh, as tools/label_portraits.py writes them.

    `positions` (478, 3): canonical metres of the layout `mediapipe478`.
    """

    dataset = PORTRAITS

    def __init__(self, labels: Path, positions: NDArray, space: QuerySpace, rare: bool = True) -> None:
        data = portrait_labels(labels)
        self.root, self.names = Path(str(data["root"])), [str(name) for name in data["images"]]
        self.points, self.sigma, mirror = data["points"].astype(np.float64), data["sigma"], data["mirror"]
        if positions.shape != (self.points.shape[1], 3):
            raise ValueError(f"positions must be ({self.points.shape[1]}, 3), not {positions.shape}")
        self.layout = _Layout(positions, mirror.astype(np.int64), space)
        self.chances = rarity(self.points) if rare else np.full(len(self.names), 1 / len(self.names))

    def __len__(self) -> int:
        return len(self.names)

    def picture(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        return read_picture(self.root / self.names[index]), self._crop(index)

    def _crop(self, index: int) -> NDArray[np.float64]:
        return crop_from_points(normalisation_points(self.points[index]))

    def labels(self, index: int, rng: np.random.Generator, count: int) -> Labelled:
        # views that disagree about a point by 1.5 % of the crop's half side leave it half its weight
        spread = self.sigma[index] / np.abs(np.linalg.det(self._crop(index)[:, :2])) ** 0.5
        weight = 1 / (1 + (spread / 0.015) ** 2)
        chosen = rng.permutation(len(weight))[:count]
        return self.layout.labels(self.points[index], weight, chosen)


class AnnotatedReader:
    """A folder with pictures and `landmarks.json`, a list of `{image, layout, points}` with pixel centres on integers.

    The face's crop comes from the head's normalisation points, laid over the annotation by an affine camera.
    """

    def __init__(self, folder: Path, number: int, space: QuerySpace, layout: str = "") -> None:
        refuse_evaluation_sets(folder)
        try:
            rows: list[dict[str, Any]] = json.loads((folder / "landmarks.json").read_text(encoding="utf-8"))
            self.paths = [folder / str(row["image"]) for row in rows]
            names = [layout or str(row["layout"]) for row in rows]
            self.points = [np.asarray(row["points"], float) + 0.5 for row in rows]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f'"{folder}" is no data set.',
                "Give a folder with landmarks.json, a set rendered by Cycles, or one of position maps.", "FQ254",
            ) from error  # fmt: skip
        if not rows:
            raise UserError(f'The data set "{folder}" is empty.', "Give another folder.", "FQ254")
        self.dataset, self.names = number, names
        self.chances = np.full(len(rows), 1 / len(rows))
        model = HeadModel.load()
        corners = model.rest[model.normalisation_vertices].astype(np.float64)
        self.four = four_points(corners)
        self.layouts: dict[str, tuple[_Layout, NDArray]] = {}
        for name in sorted(set(names)):
            if name.endswith("_300w"):
                raise UserError(f'"{name}" is placed on research-only annotations.', "Take the clean layout.", "FQ255")
            queries = load_layout(name)
            self.layouts[name] = _Layout(queries.positions, queries.mirror_index(), space), queries.positions
        for path, name, points in zip(self.paths, names, self.points, strict=True):
            if points.shape != (len(self.layouts[name][1]), 2):
                raise UserError(f'"{path.name}" has not the points of "{name}".', "Mend landmarks.json.", "FQ254")

    def __len__(self) -> int:
        return len(self.paths)

    def picture(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        positions = self.layouts[self.names[index]][1]
        ones = np.ones((len(positions), 1))
        camera = np.linalg.lstsq(np.hstack([positions, ones]), self.points[index], rcond=None)[0]
        return read_picture(self.paths[index]), crop_from_points(np.hstack([self.four, np.ones((4, 1))]) @ camera)

    def labels(self, index: int, rng: np.random.Generator, count: int) -> Labelled:
        points = self.points[index]
        known = np.isfinite(points).all(1)
        chosen = rng.permutation(len(points))[:count]
        return self.layouts[self.names[index]][0].labels(np.nan_to_num(points), known.astype(np.float32), chosen)


class CyclesReader:
    """A set that facequery.synthesis.cycles wrote: exact labels of any query."""

    dataset = RENDERS

    def __init__(self, folder: Path, space: QuerySpace, hidden_weight: float = 0.5) -> None:
        from facequery.synthesis.cycles.dataset import CyclesSet
        from facequery.training.renders import query_pool

        self.set, self.model, self.hidden_weight = CyclesSet.open(folder), space.model, hidden_weight
        if json.loads((folder / "cycles.json").read_text(encoding="utf-8")).get("split") != "train":
            raise UserError(
                f'"{folder}" holds people and materials that are kept for tests.',
                "Render one with --split train.", "FQ256",
            )  # fmt: skip
        self.pool = _AnyQuery(query_pool(self.model, np.random.default_rng(0), _POOL), space)
        self.binding = self.model.bind(self.pool.positions)
        self.found: dict[int, tuple[NDArray, NDArray]] = {}
        self.chances = np.full(len(self.set), 1 / len(self.set))

    def __len__(self) -> int:
        return len(self.set)

    def picture(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        label = self.set.label(index)
        corners = label["canonical"][self.model.normalisation_vertices] @ label["rotation"].T + label["translation"]
        fx, fy, cx, cy = label["camera"]
        four = four_points(corners)
        pixels = four[:, :2] / four[:, 2:] * [fx, fy] + [cx, cy]
        return self.set.image(index), crop_from_points(pixels)

    def labels(self, index: int, rng: np.random.Generator, count: int) -> Labelled:
        if index not in self.found:
            pixels, _, visible = self.set.points(index, self.model, self.binding)
            self.found[index] = pixels.astype(np.float32), visible
        pixels, visible = self.found[index]
        chosen = rng.integers(len(pixels), size=count)
        weight = np.where(visible[chosen], 1.0, self.hidden_weight)
        return self.pool.labels(pixels[chosen].astype(np.float64), weight, chosen)


class PositionMapReader:
    """A set of position maps (Dense520, section 3): exact labels of any point of the skin.

    A map does not say what is hidden, so all points count alike. The pictures are normalised crops already.
    """

    dataset = RENDERS

    def __init__(self, folder: Path, space: QuerySpace) -> None:
        from facequery.synthesis.position_maps import PositionMapSet
        from facequery.training.renders import on_surface

        model = space.model
        found = PositionMapSet.load(folder, model, flip=False)
        images, maps = [], []
        for path in sorted(folder.glob("maps*[0-9].npz")):
            with np.load(path, allow_pickle=False) as data:
                images.append(data["images"])
                maps.append(data["maps"])
        if not images:
            raise UserError(f'"{folder}" holds no position maps yet.', "Write some first.", "FQ173")
        self.images, self.maps, self.atlas = np.concatenate(images), np.concatenate(maps), found.atlas
        part = model.parts["skin"]
        triangles = model.triangles[part.triangles]
        front = triangles[model.rest[triangles].mean(1)[:, 2] > -0.08]
        self.pool = _AnyQuery(on_surface(model.rest, front, _POOL, np.random.default_rng(0)), space)
        uv, on_skin = QuerySpace(model, 2)(self.pool.positions)
        self.uv = (uv[:, :2].astype(np.float64) + 1) / 2
        # away from the atlas's seams, where a texel's neighbours show other parts of the skin
        column, row = (self.uv[:, 0] * found.side).astype(int), ((1 - self.uv[:, 1]) * found.side).astype(int)
        inner = cv2.erode(self.atlas.covered.astype(np.uint8), np.ones((3, 3), np.uint8))
        self.usable = np.flatnonzero(on_skin & (inner[row.clip(0, found.side - 1), column.clip(0, found.side - 1)] > 0))
        self.chances = np.full(len(self.images), 1 / len(self.images))

    def __len__(self) -> int:
        return len(self.images)

    def picture(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        half = self.images.shape[1] / 2
        return self.images[index], np.array([[half, 0, half], [0, half, half]])

    def labels(self, index: int, rng: np.random.Generator, count: int) -> Labelled:
        chosen = self.usable[rng.integers(len(self.usable), size=count)]
        xy = self.atlas.read(self.maps[index].astype(np.float32), self.uv[chosen])[:, :2]
        pixels = (xy.astype(np.float64) + 1) * self.images.shape[1] / 2
        return self.pool.labels(pixels, np.ones(count), chosen)


def normalisation_points(points: NDArray) -> NDArray:
    """The four points of face normalisation (..., 4, 2) from points (..., 478, 2) of MediaPipe's mesh.

    An eye is the middle of its corners, as HeadModel.normalisation_points has it.
    """
    eyes = [points[..., pair, :].mean(-2) for pair in ([33, 133], [362, 263])]
    return np.stack([*eyes, points[..., 61, :], points[..., 291, :]], -2)


def rarity(points: NDArray) -> NDArray[np.float64]:
    """Probabilities (n,) to draw portraits with points (n, 478, 2) of MediaPipe's mesh: open mouths and turned heads up
    to four times as often as the many that look into the camera with closed lips.
    """
    four = normalisation_points(points)
    across = four[:, 1] - four[:, 0]
    length = np.linalg.norm(across, axis=-1)
    opening = np.linalg.norm(points[:, 13] - points[:, 14], axis=-1) / length
    middle = four.mean(1)
    aside = np.abs(((points[:, 1] - middle) * across).sum(-1)) / length**2  # the nose's tip off the face's middle
    weight = 1 + 3 * np.clip(opening / 0.25, 0, 1) + 2 * np.clip(aside / 0.35, 0, 1)
    return weight / weight.sum()


def read_picture(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB. Raises UserError when the file is no readable picture."""
    image = cv2.imread(str(path))
    if image is None:
        raise UserError(f'The picture "{path}" cannot be read.', "Check the data set.", "FQ243")
    return np.ascontiguousarray(image[..., ::-1])


def refuse_evaluation_sets(folder: Path) -> None:
    """Raise UserError for the annotated photographs of the source data: they are for evaluation alone."""
    try:
        kept = source_data("real_dev").resolve()
    except UserError:
        return
    if kept in folder.resolve().parents or kept == folder.resolve():
        raise UserError(f'"{folder}" is kept for evaluation.', "Train on other pictures.", "FQ257")
