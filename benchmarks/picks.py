"""Picked points against optical flow, on rendered 1080p clips with exact truth.

    python -m benchmarks.picks [--seeds 1,2,3] [--points 40] [--out benchmarks/results/picks.md] [--sheet FILE]

Random surface points are marked in the first frame and followed: by query optimisation and detection, by the same
refined at the plate's resolution, by OpenCV's pyramidal Lucas-Kanade, and by DIS flow, both from frame to frame.
Needs the source data.
"""

import argparse
import time
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from facequery.apps.pick import Mark, Picks, pick_points
from facequery.pipeline.face_shot import FaceShot
from facequery.pipeline.refine import shot_refinement
from numpy.typing import NDArray

from benchmarks.face_apps import opened
from benchmarks.face_clips import FRAMES, SIDE, FaceClip, face_clip

METHODS = ("picked", "picked, refined", "Lucas-Kanade", "DIS flow")


@dataclass
class Errors:
    """Pixels, and per cent of the distance between the eyes, by case and method; of picking its residual and time."""

    pixels: dict[tuple[str, str], list[NDArray]] = field(default_factory=dict)
    percent: dict[tuple[str, str], list[NDArray]] = field(default_factory=dict)
    residual: list[NDArray] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(self, case: str, method: str, error: NDArray, eyes: NDArray, which: NDArray) -> None:
        """error (F, N) pixels, eyes (F,), which (F, N) of them count."""
        self.pixels.setdefault((case, method), []).append(error[which])
        self.percent.setdefault((case, method), []).append((100 * error / eyes[:, None])[which])


def marked(clip: FaceClip, seen: FaceShot, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Vertices of the face that are well seen in the first frame: their neighbours are seen too."""
    face = np.flatnonzero(seen.head.model.region_mask("face") & ~seen.head.model.region_mask("lips"))
    visible = clip.visible[0]
    solid = np.ones(len(visible), bool)
    for k in range(3):
        np.logical_and.at(solid, seen.head.triangles[:, k], visible[seen.head.triangles].all(1))
    return rng.choice(face[solid[face] & visible[face]], count, replace=False)


def picked(seen: FaceShot, xy: NDArray, frame: int = 0) -> tuple[Picks, float]:
    """Picks of pixels (N, 2) in a frame, and the seconds of processor time that they took."""
    sight = seen.sight([frame])
    marks = [Mark(n, 0, (float(x), float(y))) for n, (x, y) in enumerate(xy)]
    started = time.process_time()
    picks = pick_points(seen.head, sight, seen.path.crops[[frame]], marks, [str(n) for n in range(len(xy))])
    return picks, time.process_time() - started


def detected(seen: FaceShot, positions: NDArray) -> NDArray[np.float64]:
    """Tracks (F, N, 2) of canonical positions."""
    tracks = np.full((len(seen.shot), len(positions), 2), np.nan)
    for index, picture in seen.shot.frames():
        if seen.path.present[index]:
            inside, _ = seen.head.landmarks(seen.seen_in([index], [picture]), positions)
            crop = seen.path.crops[index]
            tracks[index] = inside[0] @ crop[:, :2].T + crop[:, 2]
    return tracks


def flowed(clip: FaceClip, start: NDArray) -> dict[str, NDArray[np.float64]]:
    """Tracks (F, N, 2) of pixels (N, 2) of the first frame by flow from frame to frame. OpenCV counts from centres."""
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    before = cv2.cvtColor(clip.plate(0), cv2.COLOR_RGB2GRAY)
    lucas, dense = [start - 0.5], [start - 0.5]
    for f in range(1, len(clip.xy)):
        now = cv2.cvtColor(clip.plate(f), cv2.COLOR_RGB2GRAY)
        points, _, _ = cv2.calcOpticalFlowPyrLK(  # type: ignore[call-overload]
            before, now, lucas[-1].astype(np.float32)[:, None], None, winSize=(31, 31), maxLevel=4
        )
        lucas.append(points[:, 0].astype(np.float64))
        flow = dis.calc(before, now, None)
        at = np.clip(dense[-1], 0, SIDE - 1).astype(np.float32)
        moved = cv2.remap(flow, at[:, 0], at[:, 1], cv2.INTER_LINEAR).reshape(-1, 2)
        dense.append(dense[-1] + moved)
        before = now
    return {"Lucas-Kanade": np.stack(lucas) + 0.5, "DIS flow": np.stack(dense) + 0.5}


def shown(clip: FaceClip, tracks: NDArray, truth: NDArray, visible: NDArray) -> NDArray[np.uint8]:
    """Four frames beside each other: points as tracked (F, N, 2), green where they are seen and blue where hidden, and
    a line from each to the truth."""
    pictures = []
    for f in np.linspace(0, len(truth) - 1, 4).astype(int):
        picture = clip.plate(f)
        for at, true, seen in zip(tracks[f], truth[f], visible[f], strict=True):
            if np.isfinite(at).all():
                here, there = (tuple(int(v) for v in np.round(p - 0.5)) for p in (at, true))
                cv2.line(picture, here, there, (255, 40, 40), 2, cv2.LINE_AA)
                cv2.circle(picture, here, 5, (60, 255, 60) if seen else (90, 120, 255), -1, cv2.LINE_AA)
        pictures.append(cv2.resize(picture, (480, 480), interpolation=cv2.INTER_AREA))
    return np.hstack(pictures)


def measure(clip: FaceClip, kind: str, count: int, seed: int, errors: Errors, sheet: list[NDArray]) -> None:
    """Mark, follow and compare in one clip."""
    seen = opened(clip)
    vertices = marked(clip, seen, count, np.random.default_rng(seed))
    truth, visible = clip.xy[:, vertices].astype(np.float64), clip.visible[:, vertices]
    picks, seconds = picked(seen, truth[0])
    errors.residual.append(picks.residual)
    errors.seconds.append(seconds * 10 / count)
    tracks = {"picked": detected(seen, picks.queries.positions)}
    refinement = shot_refinement(seen, 0)
    moved = np.einsum("qn,fnc->fqc", refinement.spread(picks.queries.positions), refinement.shift)
    tracks["picked, refined"] = tracks["picked"] + moved
    tracks |= flowed(clip, truth[0])
    sheet.append(shown(clip, tracks["picked, refined"], truth, visible))
    hidden_before = np.cumsum(~visible, 0) > 0
    later = np.arange(len(truth))[:, None] > 0
    cases = {
        "always visible so far": visible & ~hidden_before & later,
        "seen again after hidden": visible & hidden_before,
    }
    for case, which in cases.items():
        for method in METHODS:
            error = np.linalg.norm(tracks[method] - truth, axis=-1)
            errors.add(f"{kind}, {case}", method, error, clip.eyes, which & np.isfinite(error))


def carried(seed: int, errors: Errors, sheet: list[NDArray]) -> None:
    """The helmet camera: all dots of one frame picked at once, followed there, and carried to footage without dots."""
    dotted, bare = face_clip("helmet_dots", seed), face_clip("helmet", seed)
    seen, other = opened(dotted), opened(bare)
    dots = dotted.dots[dotted.visible[0][dotted.dots]]
    picks, _ = picked(seen, dotted.xy[0, dots])
    for clip, shot, case in ((dotted, seen, "helmet, with dots"), (bare, other, "helmet, carried to no dots")):
        tracks = detected(shot, picks.queries.positions)
        sheet.append(shown(clip, tracks, clip.xy[:, dots], clip.visible[:, dots]))
        error = np.linalg.norm(tracks - clip.xy[:, dots], axis=-1)
        which = clip.visible[:, dots] & np.isfinite(error)
        errors.add(case, "picked", error, clip.eyes, which)
    plain = np.linalg.norm(detected(other, other.head.positions[dots]) - bare.xy[:, dots], axis=-1)
    which = bare.visible[:, dots] & np.isfinite(plain)
    errors.add("helmet, carried to no dots", "the head's own points", plain, bare.eyes, which)


def report(errors: Errors, clips: list[str], count: int) -> str:
    """The table."""
    residual = np.concatenate(errors.residual)
    lines = [
        "# Picked points against optical flow on rendered clips",
        "",
        f"`python -m benchmarks.picks --points {count}`, clips {', '.join(clips)}: {count} points marked in the first "
        f"frame, held-out people, {SIDE} pixels, {FRAMES} frames, without (plain) and with a hand "
        "that passes before the face. Error against exact truth. Renders have no sensor, codec or skin of the real "
        "world, which is kind to flow.",
        "",
        f"Picking leaves {np.median(residual):.2f} px between mark and point (median; 90 % under "
        f"{np.percentile(residual, 90):.2f}); ten points take {np.median(errors.seconds):.2f} s of one processor core.",
        "",
        "| case | method | mean px | median px | mean % | median % | points x frames |",
        "|---|---|---|---|---|---|---|",
    ]
    for (case, method), parts in errors.pixels.items():
        px, percent = np.concatenate(parts), np.concatenate(errors.percent[case, method])
        if len(px):
            lines.append(
                f"| {case} | {method} | {px.mean():.2f} | {np.median(px):.2f} | {percent.mean():.2f} | "
                f"{np.median(percent):.2f} | {len(px)} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--points", type=int, default=40)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/picks.md"))
    parser.add_argument("--sheet", type=Path, help="A picture of the points in four frames of each clip.")
    given = parser.parse_args()
    seeds = [int(s) for s in given.seeds.split(",")]
    errors, clips = Errors(), []
    sheet: list[NDArray] = []
    given.out.parent.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        for kind in ("plain", "hand"):
            measure(face_clip(kind, seed), kind, given.points, seed, errors, sheet)
            clips.append(f"{kind} {seed}")
            print(clips[-1], flush=True)
            given.out.write_text(report(errors, clips, given.points), encoding="utf-8")
    carried(seeds[0], errors, sheet)
    given.out.write_text(report(errors, [*clips, f"helmet {seeds[0]}"], given.points), encoding="utf-8")
    print(given.out.read_text(encoding="utf-8"))
    if given.sheet:
        cv2.imwrite(str(given.sheet), np.vstack(sheet)[..., ::-1])


if __name__ == "__main__":
    main()
