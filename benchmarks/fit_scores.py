"""What a fit is judged by, against exact truth."""

from dataclasses import dataclass

import numpy as np
from facequery.fitting.results import ShotFit
from facequery.geometry.align import similarity_transform
from facequery.head.model import HeadModel
from numpy.typing import NDArray

from benchmarks.fit_truth import Clip

Array = NDArray[np.float64]
FACE_DEPTH = 0.12  # metres from the tip of the nose to the ears
STRONG = 0.15  # depth of the face by its distance, above which perspective shows the focal length
HEAD = (
    "landmarks  views | mean mm  median mm | skull deg  side mm  depth %  depth mm  jaw deg | f within 10 %  "
    "in interval | px   s"
)


@dataclass(frozen=True)
class Score:
    """Vertex errors of one clip and, as root mean squares after one constant offset, those of skull and jaw."""

    vertex: Array  # mm, of the face region, all frames
    rotation: float  # degrees
    lateral: float  # mm
    depth: float  # share of the distance
    depth_mm: float
    jaw: float  # degrees
    focal: float  # ratio found / true
    inside: bool  # whether the interval of the focal length holds the true one
    strong: bool  # whether perspective is strong enough to show it
    reprojection: float  # px
    seconds: float


def score(model: HeadModel, clip: Clip, fit: ShotFit, rigid: bool) -> Score:
    """Errors of a fit against its clip: vertices after rigid alignment per frame where `rigid`, else similarity."""
    use = np.flatnonzero(model.region_mask("face")) + model.parts["skin"].vertices.start
    errors = []
    for f in range(len(clip.frames)):
        found, true = fit.face.vertices[f, use].astype(np.float64), clip.vertices[f, use]
        scale, rotation, move = similarity_transform(found, true, with_scale=not rigid)
        errors.append(np.linalg.norm(scale * found @ rotation.T + move - true, axis=1) * 1000)
    # One constant offset in the head's own space is removed: where skull and canonical space lie is a convention.
    relative = np.swapaxes(clip.rotation, 1, 2) @ fit.skull.rotation
    u, _, vt = np.linalg.svd(relative.mean(0))
    turn = _degrees(relative, np.repeat((u @ vt)[None], len(relative), 0))
    ratio = fit.skull.translation[:, 2] / clip.translation[:, 2]
    move = fit.skull.translation / ratio[:, None] - clip.translation
    local = np.einsum("fij,fi->fj", clip.rotation, move)
    rest_move = np.einsum("fij,j->fi", clip.rotation, np.median(local, 0))
    lateral = np.linalg.norm((move - rest_move)[:, :2], axis=1) * 1000
    share = np.abs(ratio / np.median(ratio) - 1)
    jaw = _degrees(np.swapaxes(fit.skull.rotation, 1, 2) @ fit.jaw.rotation, clip.jaw_rotation)
    true_focal = clip.cameras[0].fx[0]
    low, high = (v / true_focal for v in fit.quality.focal_interval[0])
    return Score(
        np.concatenate(errors), _rms(turn), _rms(lateral), float(share.mean()),
        float((share * clip.translation[:, 2]).mean() * 1000), _rms(jaw), float(fit.quality.focal[0] / true_focal),
        bool(low <= 1 <= high), bool(FACE_DEPTH / np.median(clip.translation[:, 2]) > STRONG),
        fit.quality.mean_reprojection, fit.quality.seconds,
    )  # fmt: skip


def row(name: str, scores: list[Score], solved: bool) -> str:
    """One line: means over clips."""
    every = np.concatenate([s.vertex for s in scores])
    near = [abs(np.log(s.focal)) < np.log(1.1) for s in scores if s.strong]
    inside = [s.inside for s in scores]
    focal = f"{sum(near):6d} of {len(near):2d}   {sum(inside):4d} of {len(inside):2d}" if solved else f"{'known':>24s}"
    return (
        f"{name:16s} | {every.mean():7.2f}  {np.median(every):9.2f} | "
        f"{np.mean([s.rotation for s in scores]):9.2f}  {np.mean([s.lateral for s in scores]):7.2f}  "
        f"{100 * np.mean([s.depth for s in scores]):7.2f}  {np.mean([s.depth_mm for s in scores]):8.2f}  "
        f"{np.mean([s.jaw for s in scores]):7.2f} | {focal}   | {np.mean([s.reprojection for s in scores]):4.2f} "
        f"{np.mean([s.seconds for s in scores]):5.1f}"
    )


def jitter(fit: ShotFit) -> float:
    """Degrees root mean square by which the skull of a head at rest turns about its mean."""
    u, _, vt = np.linalg.svd(fit.skull.rotation.mean(0))
    return _rms(_degrees(fit.skull.rotation, np.repeat((u @ vt)[None], len(fit.skull.rotation), 0)))


def _rms(values: Array) -> float:
    return float(np.sqrt((values**2).mean()))


def _degrees(one: Array, two: Array) -> Array:
    trace = np.einsum("fij,fij->f", one, two)
    return np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))
