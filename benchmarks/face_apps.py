"""Visibility, mattes, projection and refinement on rendered 1080p clips with exact truth.

    python -m benchmarks.face_apps [--seeds 1,2,3] [--step 4] [--out benchmarks/results/face_apps.md]

Held-out people of the fast renderer (benchmarks.face_clips; needs the source data), the shots as the pipeline sees
them. Every `step`-th frame counts.
"""

import argparse
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
from facequery.apps.dense import DenseFace
from facequery.apps.edges import HeadZones, follow_edges
from facequery.apps.mattes import face_mattes
from facequery.apps.prints import decal_print
from facequery.apps.regions import standard_regions
from facequery.apps.surface_pass import strips
from facequery.apps.visibility import self_visibility
from facequery.detection.visibility import visible_from_sigma
from facequery.head.binding import Binding
from facequery.pipeline.face_shot import Cutter, FaceShot, load_face_shot
from facequery.pipeline.job import JobRequest
from facequery.pipeline.refine import shot_refinement
from numpy.typing import NDArray

from benchmarks.face_clips import FRAMES, SIDE, FaceClip, face_clip

PLACES = {"forehead": (0.0, 0.045, 0.05), "cheek": (0.04, -0.035, 0.03), "chin": (0.0, -0.09, 0.045)}
DECAL = 0.4  # a decal's width over the distance between the eyes


@dataclass
class Scores:
    """Everything measured, to be pooled over clips."""

    seen: dict[str, list[tuple[NDArray, NDArray]]] = field(default_factory=dict)
    iou: dict[str, list[tuple[float, float, float, float]]] = field(
        default_factory=dict
    )  # region: IoU by landmarks and as written, share of the face, pixels off
    decal: dict[str, list[NDArray]] = field(default_factory=dict)
    absolute: dict[str, list[NDArray]] = field(default_factory=dict)
    eyes: list[float] = field(default_factory=list)


def area_under_roc(score: NDArray, truth: NDArray) -> float:
    """The probability that a seen point scores higher than a hidden one; ties count half."""
    from scipy.stats import rankdata

    rank = rankdata(score)
    seen, hidden = int(truth.sum()), int((~truth).sum())
    return float((rank[truth].sum() - seen * (seen + 1) / 2) / (seen * hidden)) if seen and hidden else float("nan")


def overlap(one: NDArray, two: NDArray) -> float:
    """Intersection over union of two mattes, soft as they are."""
    return float(np.minimum(one, two).sum()) / max(float(np.maximum(one, two).sum()), 1e-6)


def border(matte: NDArray) -> float:
    """The length of a matte's border, in pixels."""
    outlines, _ = cv2.findContours((matte > 0.5).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    return max(float(sum(cv2.arcLength(line, True) for line in outlines)), 1.0)


def opened(clip: FaceClip) -> FaceShot:
    """The clip as the pipeline opens it; where its face is, is kept beside it."""
    return load_face_shot(JobRequest(shots=(clip.pattern,), preview=False), clip.folder / "job")


def true_face(clip: FaceClip, face: DenseFace, frame: int) -> DenseFace:
    """The exact dense face of a frame."""
    return replace(face, xy=clip.xy[frame], depth=clip.depth[frame])


def measure(clip: FaceClip, kind: str, scores: Scores, step: int, sheet: list[NDArray]) -> None:
    """Add one clip's figures to `scores`."""
    seen = opened(clip)
    head, model = seen.head, seen.head.model
    skin = model.region_mask("face") | model.region_mask("ear_left") | model.region_mask("ear_right")
    points = np.flatnonzero(skin)[::7]
    binding = Binding(head.positions[points], points[:, None].astype(np.int32), np.ones((len(points), 1), np.float32))
    regions = standard_regions(model, head.count)
    zones, cutter = HeadZones.of(model, head.triangles, head.count), Cutter.of(seen)
    reference = 0
    anchored = shot_refinement(seen, reference)
    averaged = shot_refinement(seen) if kind == "plain" else anchored
    spread = averaged.spread(head.positions)
    source = seen.source()
    faces = {f: face for f in range(0, len(seen.shot), step) if (face := source.face(f)) is not None}
    scores.eyes += [float(clip.eyes[f]) for f in faces]
    on_face = np.flatnonzero(model.region_mask("face"))
    for f, face in faces.items():
        truth = clip.visible[f][points]
        by_sigma = visible_from_sigma(face.sigma[points] / face.scale)
        by_shape = self_visibility(face, head.triangles, binding)
        for name, value in (("sigma alone", by_sigma), ("shape alone", by_shape), ("both", by_sigma * by_shape)):
            scores.seen.setdefault(f"{kind}, {name}", []).append((value, truth))
        if kind == "plain":
            free = on_face[clip.visible[f][on_face]]
            for name, xy in (("as detected", face.xy), ("refined", face.xy + spread @ averaged.shift[f])):
                error = np.linalg.norm(xy[free] - clip.xy[f][free], axis=1)
                scores.absolute.setdefault(f"{kind}, {name}", []).append(error)
    for f in list(faces)[1 :: max(len(faces) // 3, 1)]:
        face, uncovered = faces[f], clip.seen(f)
        true = true_face(clip, face, f)
        exact = face_mattes(true, model, regions, SIDE, SIDE) * uncovered * (1 - clip.painted(f))
        made = face_mattes(face, model, regions, SIDE, SIDE)
        whole = sum(float(e.sum()) for e, r in zip(exact, regions, strict=True) if r.name in ("skin", "brows", "lips"))
        free = cutter.pixels(clip.plate(f), face)
        cut = face_mattes(face, model, regions, SIDE, SIDE, cutter.vertices(face))
        edged = follow_edges(cut, regions, clip.plate(f), face, zones) * free
        for region, a, b, c in zip(regions, made, edged, exact, strict=True):
            if c.sum() > 0.002 * whole:
                row = overlap(a, c), overlap(b, c), float(c.sum()) / whole, float(np.abs(b - c).sum()) / border(c)
                scores.iou.setdefault(f"{kind}, {region.name}", []).append(row)
        sheet.append(_overlay(clip.plate(f), edged))
        sheet.append(_overlay(clip.plate(f), exact))
    for name, shift in (("as detected", None), ("refined", anchored.shift)):
        moved = {
            f: face if shift is None else replace(face, xy=face.xy + spread @ shift[f]) for f, face in faces.items()
        }
        error = decal_errors(clip, seen, moved, reference)
        scores.decal.setdefault(f"{kind}, {name}", []).append(error)


def decal_errors(clip: FaceClip, seen: FaceShot, faces: dict[int, DenseFace], reference: int) -> NDArray[np.float64]:
    """How far, in pixels, the texels of decals placed in the reference frame land from the skin on which they were put.

    Pixel by pixel of decals on forehead, cheek and chin: the surface under it by truth and by the dense face, and where
    both have it in every other frame in which it is seen.
    """
    head, face = seen.head, faces[reference]
    true = true_face(clip, face, reference)
    errors = []
    for place in PLACES.values():
        vertex = int(np.argmin(np.linalg.norm(head.positions - np.array(place, np.float32), axis=1)))
        if not clip.visible[reference][vertex]:
            continue
        at = (float(face.xy[vertex, 0]), float(face.xy[vertex, 1]))
        width = DECAL * float(clip.eyes[reference])
        printed = decal_print(face, head.model, head.triangles, np.ones((4, 4, 4), np.float32), at, width)
        own = _surface_of(face, head.triangles, at, width, printed.used)
        exact = _surface_of(true, head.triangles, at, width, None)
        both = (own[0] >= 0) & (exact[0] >= 0)
        corners, true_corners = head.triangles[own[0][both]], head.triangles[exact[0][both]]
        for f, here in faces.items():
            if f == reference:
                continue
            landed = np.einsum("nk,nkc->nc", own[1][both], here.xy[corners])
            target = np.einsum("nk,nkc->nc", exact[1][both], clip.xy[f][true_corners])
            visible = clip.visible[f][true_corners].all(1)
            errors.append(np.linalg.norm(landed - target, axis=1)[visible])
    return np.concatenate(errors) if errors else np.zeros(0)


def _surface_of(
    face: DenseFace, triangles: NDArray, at: tuple[float, float], width: float, used: NDArray | None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Triangle (n,) and place on it (n, 3) at every pixel of a decal's square."""
    triangle = np.full((SIDE, SIDE), -1, np.int64)
    bary = np.zeros((SIDE, SIDE, 3))
    for strip in strips(face, triangles, SIDE, SIDE, 1):
        triangle[strip.window], bary[strip.window] = strip.triangle, strip.bary
    if used is not None:
        triangle[~used[np.maximum(triangle, 0)]] = -1
    x, y, half = round(at[0]), round(at[1]), round(width / 2)
    box = np.s_[max(y - half, 0) : y + half : 2, max(x - half, 0) : x + half : 2]
    return triangle[box].ravel(), bary[box].reshape(-1, 3)


def _overlay(plate: NDArray, mattes: NDArray) -> NDArray[np.uint8]:
    colours = (
        (90, 160, 250),
        (60, 220, 60),
        (255, 0, 0),
        (255, 255, 255),
        (60, 60, 255),
        (255, 0, 255),
        (0, 255, 255),
        (0, 128, 128),
    )
    picture = plate.astype(np.float32)
    for matte, colour in zip(mattes, colours, strict=True):
        picture += 0.5 * matte[..., None] * (np.array(colour, np.float32) - picture)
    small: NDArray = cv2.resize(picture.clip(0, 255).astype(np.uint8), (400, 400), interpolation=cv2.INTER_AREA)
    return small


def report(scores: Scores, clips: list[str], step: int) -> str:
    """The tables."""
    eyes = float(np.mean(scores.eyes))
    lines = [
        "# Visibility, mattes, projection and refinement on rendered clips",
        "",
        f"`python -m benchmarks.face_apps --step {step}`, clips {', '.join(clips)}: held-out people, without (plain) "
        f"and with a hand passing before the face; {SIDE} pixels, {FRAMES} frames, {eyes:.0f} pixels "
        "between the outer corners of the eyes. Renders of this project's own fast renderer: they say nothing of real "
        "skin.", "",
        "## Visibility: area under the ROC curve", "", "| clip, from | AUC | points seen |", "|---|---|---|",
    ]  # fmt: skip
    for name, parts in scores.seen.items():
        score, truth = (np.concatenate([p[k] for p in parts]) for k in (0, 1))
        lines.append(f"| {name} | {area_under_roc(score, truth):.3f} | {100 * truth.mean():.0f} % |")
    lines += [
        "",
        "## Mattes: intersection over union with the exact matte",
        "",
        "By landmarks alone, and as `facequery segment` writes them: things in front cut out, borders at the picture's "
        "edges. The last column says by how many pixels the written matte's border is off on average (its error's area "
        "over the exact border's length).",
        "",
        "| clip, region | by landmarks | as written | share of the face | border, px |",
        "|---|---|---|---|---|",
    ]
    for name, values in scores.iou.items():
        plain, edged, share, off = np.array(values).mean(0)
        lines.append(f"| {name} | {plain:.3f} | {edged:.3f} | {100 * share:.1f} % | {off:.1f} |")
    lines += [
        "", "## Decals: how far texels land from the skin on which they were put in the first frame (pixels)", "",
        "| clip, landmarks | mean | median | 90 % |", "|---|---|---|---|",
    ]  # fmt: skip
    for name, errors in scores.decal.items():
        lines.append(_row(name, np.concatenate(errors)))
    lines += [
        "", "## A texture on the UVs: dense landmarks against the true vertices, seen ones of the face (pixels)", "",
        "| clip, landmarks | mean | median | 90 % |", "|---|---|---|---|",
    ]  # fmt: skip
    for name, errors in scores.absolute.items():
        lines.append(_row(name, np.concatenate(errors)))
    return "\n".join(lines) + "\n"


def _row(name: str, error: NDArray) -> str:
    if not len(error):
        return f"| {name} | | | |"
    return f"| {name} | {error.mean():.2f} | {np.median(error):.2f} | {np.percentile(error, 90):.2f} |"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--step", type=int, default=4)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/face_apps.md"))
    parser.add_argument("--sheet", type=Path, help="A picture of made and exact mattes.")
    given = parser.parse_args()
    scores = Scores()
    sheet: list[NDArray] = []
    clips: list[str] = []
    for seed in (int(s) for s in given.seeds.split(",")):
        for kind in ("plain", "hand"):
            measure(face_clip(kind, seed), kind, scores, given.step, sheet)
            clips.append(f"{kind} {seed}")
            print(clips[-1], flush=True)
            given.out.parent.mkdir(parents=True, exist_ok=True)
            given.out.write_text(report(scores, clips, given.step), encoding="utf-8")
    print(given.out.read_text(encoding="utf-8"))
    if given.sheet:
        rows = [np.hstack(sheet[i : i + 6]) for i in range(0, len(sheet) - 5, 6)]
        cv2.imwrite(str(given.sheet), np.vstack(rows)[..., ::-1])


if __name__ == "__main__":
    main()
