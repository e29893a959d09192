"""Labelled pictures by Cycles on disk: made by one command, resumable, read with exact labels for any query."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from facequery.errors import UserError
from facequery.head.binding import Binding
from facequery.head.layouts import load_layout
from facequery.head.model import HeadModel
from facequery.head.queries import QuerySet
from facequery.synthesis.cycles.from_scene import stage
from facequery.synthesis.cycles.run import render_take
from facequery.synthesis.cycles.truth import DRAWN, seen
from facequery.synthesis.cycles.veil import veiled
from facequery.synthesis.expressions import ExpressionSampler
from facequery.synthesis.library import Library
from facequery.synthesis.scene import sample_scene
from facequery.synthesis.settings import SampleSettings

STEP = 6e-6  # metres: canonical vertices are stored as 16-bit multiples of it
DESCRIPTION = "cycles.json"


@dataclass(frozen=True)
class CyclesSet:
    """A folder that `make_set` wrote: `images/00000.png`, `labels/00000.npz`, `cycles.json`, `landmarks.json`.

    A label holds `canonical` (V, 3) int16, the posed head in HeadModel's vertex order, in steps of 6 micrometres;
    `rotation`, `translation` to camera space; `camera` fx, fy, cx, cy pixels; `identity`, `tissue`, `expression`;
    `neutral` (V, 3) int16; `hair_depth` as `veil` makes it. Names of what was drawn are in `records/00000.json`.
    """

    folder: Path

    @staticmethod
    def open(folder: Path) -> "CyclesSet":
        """Raises UserError when the folder is no such set, or is empty."""
        if not (folder / DESCRIPTION).exists() or not any((folder / "labels").glob("*.npz")):
            raise UserError(
                f'There is no rendered set in "{folder}".',
                f"Make one: python -m facequery.synthesis.cycles --out {folder} --count 24.",
                "FQ285",
            )
        return CyclesSet(folder)

    @cached_property
    def names(self) -> list[str]:
        """Five-digit names of the finished pictures, in order."""
        return sorted(p.stem for p in (self.folder / "labels").glob("[0-9]*.npz"))

    def __len__(self) -> int:
        return len(self.names)

    def image(self, index: int) -> np.ndarray:
        """Picture (S, S, 3) uint8 RGB."""
        picture = cv2.imread(str(self.folder / "images" / f"{self.names[index]}.png"))
        return np.ascontiguousarray(picture[..., ::-1])

    def label(self, index: int) -> dict[str, np.ndarray]:
        """The arrays of a label, vertices in metres."""
        with np.load(self.folder / "labels" / f"{self.names[index]}.npz", allow_pickle=False) as data:
            found = {name: data[name] for name in data.files}
        for name in ("canonical", "neutral"):
            found[name] = found[name] * STEP
        return found

    def points(
        self, index: int, model: HeadModel, queries: QuerySet | Binding
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pixels (N, 2), depth (N,) in metres and visibility (N,), behind hair too, of queries."""
        label = self.label(index)
        binding = queries if isinstance(queries, Binding) else model.bind(queries.positions)
        place = label["rotation"], label["translation"]
        points = binding.moved(label["canonical"], np.asarray(model.rest, float)) @ place[0].T + place[1]
        fx, fy, cx, cy = label["camera"]
        pixels = points[:, :2] / points[:, 2:] * [fx, fy] + [cx, cy]
        drawn = max(model.parts[name].vertices.stop for name in DRAWN)
        vertices = label["canonical"][:drawn] @ place[0].T + place[1]
        size = int(label["size"])
        visible = seen(model, binding, vertices, None, pixels, points[:, 2], (fx, fy, cx, cy), (size, size))
        visible &= ~veiled(label["hair_depth"].astype(np.float32), pixels, points[:, 2])
        return pixels, points[:, 2], visible


def make_set(
    out: Path,
    count: int,
    split: str = "heldout",
    size: int = 512,
    seed: int = 0,
    samples: int = 24,
    threads: int = 1,
    margin: float = 1.5,
    progress: Callable[[int, int], None] | None = None,
) -> CyclesSet:
    """Render `count` labelled pictures into `out`; those that are there already are kept.

    Picture i depends on `seed` and i alone, so a set can be enlarged, stopped and resumed. People of the split
    "heldout" get a shape beside the basis of 1.5 mm RMS. Raises UserError when `out` holds a set with other settings.
    """
    settings = {"split": split, "size": size, "seed": seed, "samples": samples, "margin": margin}
    for name in ("images", "labels", "records", "environments"):
        (out / name).mkdir(parents=True, exist_ok=True)
    description = out / DESCRIPTION
    if description.exists() and json.loads(description.read_text(encoding="utf-8")) != settings:
        raise UserError(
            f'"{out}" holds a set with other settings.', "Choose another folder, or the same settings.", "FQ286"
        )
    description.write_text(json.dumps(settings, indent=1), encoding="utf-8")
    model = HeadModel.load()
    library = Library.load(model, split)
    expressions = ExpressionSampler(model.expression_names)
    shape = 0.0015 if split == "heldout" else 0.0
    for index in range(count):
        name = f"{index:05d}"
        if not (out / "labels" / f"{name}.npz").exists():
            rng = np.random.default_rng([seed, index])
            scene = sample_scene(rng, model, library, expressions, SampleSettings())
            staged = stage(rng, model, library, scene, out / "environments", size, margin, shape, samples, threads)
            render_take(staged.take, out / "images" / f".{name}")
            (out / "images" / f".{name}" / "0000.png").replace(out / "images" / f"{name}.png")
            (out / "images" / f".{name}").rmdir()
            (out / "records" / f"{name}.json").write_text(json.dumps(staged.record, indent=1), encoding="utf-8")
            partial = out / "labels" / f".{name}.npz"
            np.savez_compressed(
                partial,
                canonical=np.round(staged.canonical / STEP).astype(np.int16),
                neutral=np.round(staged.person.neutral(model) / STEP).astype(np.int16),
                rotation=staged.rotation,
                translation=staged.translation,
                camera=np.array(staged.camera),
                identity=staged.person.identity,
                tissue=staged.person.tissue,
                expression=scene.expression,
                hair_depth=staged.hair_depth.astype(np.float16),
                size=size,
            )
            partial.replace(out / "labels" / f"{name}.npz")
        if progress is not None:
            progress(index + 1, count)
    done = CyclesSet.open(out)
    write_landmarks(done, model)
    return done


def write_landmarks(done: CyclesSet, model: HeadModel, layout: str = "ibug68") -> None:
    """Write `landmarks.json` as annotated folders have it (pixel centres on integers), for `facequery eval`."""
    binding = model.bind(load_layout(layout).positions)
    rows: list[dict[str, Any]] = []
    for index, name in enumerate(done.names):
        pixels, _, _ = done.points(index, model, binding)
        rows.append({"image": f"images/{name}.png", "layout": layout, "points": np.round(pixels - 0.5, 3).tolist()})
    (done.folder / "landmarks.json").write_text(json.dumps(rows), encoding="utf-8")


def contact_sheet(
    done: CyclesSet, model: HeadModel, layout: str = "ibug68", columns: int = 6, side: int = 320
) -> np.ndarray:
    """All pictures with the points of a layout drawn (green seen, red hidden), uint8 RGB."""
    binding = model.bind(load_layout(layout).positions)
    tiles = []
    for index in range(len(done)):
        picture = done.image(index)
        scale = side / picture.shape[0]
        tile = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
        pixels, _, visible = done.points(index, model, binding)
        for (x, y), clear in zip(pixels * scale, visible, strict=True):
            colour = (60, 255, 60) if clear else (255, 60, 60)
            cv2.circle(tile, (round(x * 16 - 8), round(y * 16 - 8)), 20, colour, -1, cv2.LINE_AA, 4)
        tiles.append(tile)
    while len(tiles) % columns:
        tiles.append(np.zeros_like(tiles[0]))
    return np.concatenate([np.concatenate(tiles[i : i + columns], 1) for i in range(0, len(tiles), columns)])
