"""Short shots on disk with the exact place of 68 landmarks in every frame: to measure steadiness with."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facequery.assets import asset
from facequery.evaluation.annotated import AnnotatedSet, read_rgb
from facequery.geometry.crops import apply_affine, compose, crop_from_similarity, invert_affine
from facequery.head.layouts import load_layout
from facequery.head.model import HeadModel
from facequery.synthesis.clips import sample_clip, smooth_walk
from facequery.synthesis.cycles.clips import DESCRIPTION, open_clips
from facequery.synthesis.cycles.truth import SampleTruth
from facequery.synthesis.samples import FaceSampler
from facequery.synthesis.settings import SampleSettings

LAYOUT = "ibug68"
FPS = 25.0
OFF_BASIS = 0.0015  # metres RMS of shape that training never sees
_SIDE = 320  # pixels of rendered frames
_STILL = 400  # pixels of frames made from photographs
_GRAIN = 2.0  # standard deviation of the noise that frames made from one photograph get, of 255


@dataclass(frozen=True)
class Film:
    """A shot of F frames: `paths` of its pictures in order, `truth` (F, 68, 2) pixels of the points of ibug68."""

    name: str
    paths: tuple[Path, ...]
    truth: NDArray[np.float64]

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        """The pictures (H, W, 3) RGB, one after the other."""
        return (read_rgb(path) for path in self.paths)


def rendered_films(folder: Path, count: int = 4, frames: int = 48, seed: int = 0) -> list[Film]:
    """Clips of the rasteriser with people, skins, hair and light that training never sees; made where not there yet."""
    sampler: FaceSampler | None = None
    films = []
    for number in range(count):
        home = folder / f"render{seed}_{frames}_{number:02d}"
        if not _finished(home):
            sampler = sampler or FaceSampler(SampleSettings(off_basis=OFF_BASIS), "heldout")
            binding = sampler.model.bind(load_layout(LAYOUT).positions)
            clip = sample_clip(sampler, np.random.default_rng([seed, number]), frames, _SIDE, binding)
            _write(home, clip.images, (clip.xy.astype(np.float64) + 1) * _SIDE / 2)
        films.append(_read(home))
    return films


def moved_films(folder: Path, chosen: AnnotatedSet, frames: int = 32, seed: int = 0) -> list[Film]:
    """Photographs moved along known paths: shift, zoom and turn wander smoothly; every frame has noise of its own.

    A face is about 45 % of the frame's height. The truth is the annotation, carried along: what the annotators did
    wrong stays the same in all frames and does not count as flicker.
    """
    films = []
    for number, (path, points) in enumerate(zip(chosen.paths, chosen.points, strict=True)):
        home = folder / f"{chosen.name}{seed}_{frames}_{path.stem}"
        if not _finished(home):
            rng = np.random.default_rng([seed, number])
            image = read_rgb(path)
            middle, height = 0.5 * (points.min(0) + points.max(0)), np.ptp(points[:, 1])
            half = height / 0.45 / 2
            shift = np.stack([smooth_walk(rng, frames, 0.06, 0.5, FPS) for _ in range(2)], -1)
            views = crop_from_similarity(
                middle + half * shift,
                half * np.exp(smooth_walk(rng, frames, 0.05, 0.5, FPS)),
                np.radians(smooth_walk(rng, frames, 4.0, 0.5, FPS)),
            )
            to_frame = compose(
                np.array([[_STILL / 2, 0, _STILL / 2], [0, _STILL / 2, _STILL / 2]]), invert_affine(views)
            )
            pictures = [_warped(image, matrix, rng) for matrix in to_frame]
            _write(home, np.stack(pictures), np.stack([apply_affine(matrix, points) for matrix in to_frame]))
        films.append(_read(home))
    return films


def sample_film() -> Film:
    """The sample shot that ships."""
    paths = tuple(sorted((asset("sample") / "plate").glob("shot.*.jpg")))
    truth = SampleTruth.load(asset("sample/truth.npz"))
    return Film("sample", paths, truth.pixels(HeadModel.load(), load_layout(LAYOUT)))


def has_clips(folder: Path) -> bool:
    """Whether Cycles rendered clips into a folder, or began to."""
    return (folder / DESCRIPTION).is_file()


def cycles_films(folder: Path) -> list[Film]:
    """Every view of the finished clips that Cycles rendered into `folder`. Raises UserError when there is none."""
    model, queries = HeadModel.load(), load_layout(LAYOUT)
    films = []
    for clip in open_clips(folder):
        for view in range(clip.views):
            plates = tuple(sorted(clip.plate(view).glob("shot.*.jpg")))
            films.append(Film(f"{clip.folder.name}.{view + 1}", plates, clip.truth(view).pixels(model, queries)))
    return films


def _warped(image: NDArray[np.uint8], matrix: NDArray, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A picture seen through a map (2, 3) from its pixels to the frame's, with grain."""
    scale = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    if scale < 1:  # bilinear sampling would alias
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), 0.45 / scale), np.uint8)
    for_cv = matrix.copy()
    for_cv[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5  # OpenCV counts from pixel centres
    frame = cv2.warpAffine(image, for_cv, (_STILL, _STILL), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.clip(frame + rng.normal(0, _GRAIN, frame.shape) + 0.5, 0, 255).astype(np.uint8)


def _finished(home: Path) -> bool:
    return (home / "truth.json").is_file()


def _write(home: Path, pictures: NDArray[np.uint8], truth: NDArray) -> None:
    home.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(pictures, 1):
        cv2.imwrite(str(home / f"shot.{number:04d}.png"), np.ascontiguousarray(picture[..., ::-1]))
    (home / "truth.json").write_text(json.dumps(np.round(truth, 4).tolist()))


def _read(home: Path) -> Film:
    truth = np.array(json.loads((home / "truth.json").read_text()))
    return Film(home.name, tuple(sorted(home.glob("shot.*.png"))), truth)
