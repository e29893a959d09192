"""Labelled clips by Cycles on disk: made by one command, resumable, read with exact truth of every frame and camera."""

import json
import shutil
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
from facequery.synthesis.cycles.film import Filmed, film
from facequery.synthesis.cycles.from_scene import card_opacity
from facequery.synthesis.cycles.plates import develop
from facequery.synthesis.cycles.run import render_take
from facequery.synthesis.cycles.take import Take
from facequery.synthesis.cycles.truth import SampleTruth
from facequery.synthesis.cycles.veil import hair_depth, veiled
from facequery.synthesis.expressions import ExpressionSampler
from facequery.synthesis.library import Library

DESCRIPTION = "clips.json"
RenderTake = Callable[[Take, Path], None]


@dataclass(frozen=True)
class CyclesClip:
    """One finished clip: `view1/plate/shot.1001.jpg` ..., `view1/truth.npz`, `view1/hair.npz`, likewise `view2`, ...,
    and `clip.json`. Views count from 0 here; all see the same instants."""

    folder: Path

    @cached_property
    def record(self) -> dict[str, Any]:
        """What was drawn, by name, and the cameras."""
        document: dict[str, Any] = json.loads((self.folder / "clip.json").read_text(encoding="utf-8"))
        return document

    @property
    def views(self) -> int:
        """Number of cameras."""
        return len(self.record["cameras"])

    def plate(self, view: int = 0) -> Path:
        """Folder of a camera's plates."""
        return self.folder / f"view{view + 1}" / "plate"

    def image(self, index: int, view: int = 0) -> np.ndarray:
        """Plate (H, W, 3) uint8 RGB at array index `index`."""
        picture = cv2.imread(str(sorted(self.plate(view).glob("shot.*.jpg"))[index]))
        return np.ascontiguousarray(picture[..., ::-1])

    def truth(self, view: int = 0) -> SampleTruth:
        """Camera, head, jaw, eyes and every vertex in every frame, in that camera's space."""
        return SampleTruth.load(self.folder / f"view{view + 1}" / "truth.npz")

    def from_first(self, view: int) -> tuple[np.ndarray, np.ndarray]:
        """Rotation (3, 3) and translation (3,) from the first camera's space to that of `view`."""
        camera = self.record["cameras"][view]
        return np.array(camera["rotation"]), np.array(camera["translation"])

    def visible(self, model: HeadModel, queries: QuerySet | Binding, view: int = 0) -> np.ndarray:
        """Whether each query is seen, (F, N) bool: as SampleTruth.visible says, and not behind hair."""
        truth = self.truth(view)
        binding = queries if isinstance(queries, Binding) else model.bind(queries.positions)
        points = truth.points(model, binding)
        pixels = truth.project(points)
        result = truth.visible(model, binding)
        with np.load(self.folder / f"view{view + 1}" / "hair.npz", allow_pickle=False) as data:
            hair = data["depth"].astype(np.float32)
        for index in range(len(truth)):
            result[index] &= ~veiled(hair[index], pixels[index], points[index, :, 2])
        return result


def open_clips(folder: Path) -> list[CyclesClip]:
    """The finished clips that `make_clips` wrote into a folder. Raises UserError when there is none."""
    found = [CyclesClip(p.parent) for p in sorted(folder.glob("clip*/clip.json"))]
    if not found:
        raise UserError(
            f'There is no rendered clip in "{folder}".',
            f"Make one: python -m facequery.synthesis.cycles --out {folder} --clips 1 --frames 24.",
            "FQ285",
        )
    return found


def make_clips(
    out: Path,
    clips: int,
    frames: int = 24,
    views: int = 1,
    split: str = "heldout",
    size: tuple[int, int] = (640, 480),
    seed: int = 0,
    samples: int = 8,
    threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
    render: RenderTake = render_take,
    library: Library | None = None,
) -> list[CyclesClip]:
    """Render `clips` clips of `frames` frames before `views` cameras into `out`; frames that are there are kept.

    Every clip has a person of its own (all modes of the source, 1.5 mm RMS beside them, drawn tissue depths), motion,
    light and cameras; clip i depends on the settings and i alone. size: width, height. render and library: other than
    Cycles and the split's source data (for tests). Raises UserError when `out` holds clips with other settings.
    """
    settings = {
        "split": split, "frames": frames, "views": views, "size": list(size), "seed": seed, "samples": samples
    }  # fmt: skip
    (out / "environments").mkdir(parents=True, exist_ok=True)
    description = out / DESCRIPTION
    if description.exists() and json.loads(description.read_text(encoding="utf-8")) != settings:
        raise UserError(
            f'"{out}" holds clips with other settings.', "Choose another folder, or the same settings.", "FQ286"
        )
    description.write_text(json.dumps(settings, indent=1), encoding="utf-8")
    model = HeadModel.load()
    library = library or Library.load(model, split)
    expressions = ExpressionSampler(model.expression_names)
    for index in range(clips):
        folder = out / f"clip{index:03d}"
        if not (folder / "clip.json").exists():
            rng = np.random.default_rng([seed, index, 24])
            drawn = film(rng, model, library, expressions, out / "environments", frames, views, size, samples, threads)
            for view in range(views):
                _shoot(drawn, view, folder / f"view{view + 1}", render, [seed, index, view])
            cameras = [{"rotation": s.rotation.tolist(), "translation": s.translation.tolist()} for s in drawn.stations]
            partial = folder / ".clip.json"
            partial.write_text(json.dumps(drawn.record | {"cameras": cameras}, indent=1), encoding="utf-8")
            partial.replace(folder / "clip.json")
        if progress is not None:
            progress(index + 1, clips)
    return open_clips(out)


def _shoot(drawn: Filmed, view: int, folder: Path, render: RenderTake, seed: list[int]) -> None:
    """Truth and plates of one camera, unless they are there."""
    take = drawn.takes[view]
    plates = folder / "plate"
    if plates.exists() and len(list(plates.glob("shot.*.jpg"))) == len(take.frames):
        return
    folder.mkdir(parents=True, exist_ok=True)
    drawn.truths[view].save(folder / "truth.npz")
    rng, opacity = np.random.default_rng(seed), card_opacity(drawn.look)
    hair = [hair_depth(take, index, opacity, rng) for index in range(len(take.frames))]
    np.savez_compressed(folder / "hair.npz", depth=np.stack(hair).astype(np.float16))
    render(take, folder / "render")
    develop(folder / "render", plates, seed)
    shutil.rmtree(folder / "render")


def clips_sheet(clips: list[CyclesClip], model: HeadModel, layout: str = "ibug68", height: int = 240) -> np.ndarray:
    """A row of four frames for every camera of every clip, points of a layout drawn (green seen, red hidden), RGB."""
    binding = model.bind(load_layout(layout).positions)
    rows = []
    for clip in clips:
        for view in range(clip.views):
            truth = clip.truth(view)
            pixels, visible = truth.pixels(model, binding), clip.visible(model, binding, view)
            tiles = []
            for index in np.linspace(0, len(truth) - 1, 4).round().astype(int):
                scale = height / truth.height
                tile = cv2.resize(clip.image(index, view), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
                for (x, y), clear in zip(pixels[index] * scale, visible[index], strict=True):
                    colour = (60, 255, 60) if clear else (255, 60, 60)
                    cv2.circle(tile, (round(x * 16 - 8), round(y * 16 - 8)), 16, colour, -1, cv2.LINE_AA, 4)
                tiles.append(tile)
            rows.append(np.concatenate(tiles, 1))
    return np.concatenate(rows)
