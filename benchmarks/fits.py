"""How exact the fits are, against truth that the fitted model cannot represent.

    python -m benchmarks.fits [--clips 6] [--frames 30] [--noise 0.01] [--counts 68,500,50000] [--views 1,3]
    python -m benchmarks.fits --detected .cache/cycles/clips   our own detector on clips that Cycles rendered
    python -m benchmarks.fits --rest                           a head at rest: how much the skull trembles
    python -m benchmarks.fits --focal --clips 12               one view: how often the focal length's interval is right
    python -m benchmarks.fits --time                           how time grows with frames and with landmarks

By default true landmarks of held-out people plus noise (standard deviation per axis in units of the distance between
the eyes; three times that where the skin is turned away). Two tables: generic (shape from the landmarks alone) and
actor (the person's neutral mesh is given). Errors of the face region in mm, after similarity alignment per frame for
one view (camera unknown), after rigid alignment for several (cameras known). Skull and jaw with landmarks on skull, jaw
and teeth beside those on the skin. `--out FILE` adds what is printed to a file. Needs the source data.
"""

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from facequery.errors import UserError
from facequery.fitting.fit import fit_shot
from facequery.fitting.settings import FitSettings
from facequery.geometry.cameras import Camera
from facequery.head.model import HeadModel
from numpy.typing import NDArray

from benchmarks.fit_scores import HEAD, Score, jitter, row, score
from benchmarks.fit_tracks import TrueTracks, inner_points, joined, skin_points, true_tracks
from benchmarks.fit_truth import Clip, draw_clip

Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class GivenActor:
    """A person whose neutral mesh is given: mean identity, all of their shape in the offsets."""

    name: str
    identity: NDArray[np.float32]
    offsets: NDArray[np.float32]

    @staticmethod
    def of(model: HeadModel, clip: Clip) -> "GivenActor":
        offsets = clip.person.neutral - np.asarray(model.rest, np.float64)
        return GivenActor("given", np.zeros(len(model.identity_basis), np.float32), offsets.astype(np.float32))


def drawn(model: HeadModel, seed: int, frames: int, views: int, count: int, noise: float) -> tuple[Clip, list]:
    """A clip and its tracks, one a view. The same seed gives the same clip for every count of landmarks."""
    clip = draw_clip(model, np.random.default_rng(seed), frames, views)
    rng = np.random.default_rng(seed + 10_000)
    binding = joined(skin_points(model, count, rng), inner_points(model, rng))
    return clip, [true_tracks(model, clip, binding, camera, noise, rng) for camera in clip.cameras]


def fitted(
    model: HeadModel, clip: Clip, tracks: list, views: int, actor: bool, settings: FitSettings | None = None
) -> Score:
    """The score of a fit: camera unknown for one view, known for several."""
    known: list[Camera | None] = list(clip.cameras) if views > 1 else [None]
    fit = fit_shot(model, tracks, known, settings, GivenActor.of(model, clip) if actor else None)
    return score(model, clip, fit, rigid=views > 1)


def true_landmarks(model: HeadModel, options: argparse.Namespace, say: Say) -> None:
    """Both tables, from true landmarks with noise."""
    for name in options.tables.split(","):
        say(
            f"\n{name}, true landmarks: {options.clips} clips of {options.frames} frames, noise {options.noise}\n{HEAD}"
        )
        for views in map(int, options.views.split(",")):
            for count in map(int, options.counts.split(",")):
                scores = []
                for seed in range(options.clips):
                    clip, tracks = drawn(model, seed, options.frames, views, count, options.noise)
                    scores.append(fitted(model, clip, tracks, views, name == "actor"))
                say(row(f"{count:9d}  {views:5d}", scores, solved=views == 1))


def detected(model: HeadModel, options: argparse.Namespace, say: Say) -> None:
    """Both tables, from what our detector finds in rendered clips."""
    from benchmarks.fit_detected import Watcher, all_points, filmed, some_points

    watcher, counts = Watcher(options.weights), list(map(int, options.counts.split(",")))
    every, columns = all_points(model, counts)
    rows: dict[tuple[str, int, int], list[Score]] = {}
    names: dict[int, list[str]] = {}
    for views in map(int, options.views.split(",")):
        for one in filmed(Path(options.detected), model, views):
            names.setdefault(views, []).append(one.name)
            seen = [watcher.track(plates, every) for plates in one.plates]  # once, for all rows
            for count in counts:
                tracks = [some_points(tracks, columns[count]) for tracks in seen]
                for name in options.tables.split(","):
                    settings = FitSettings(common_errors=int(options.common))
                    result = fitted(model, one.clip, tracks, views, name == "actor", settings)
                    rows.setdefault((name, views, count), []).append(result)
                    print(f"{one.name} {name}\n" + row(f"{count:9d}  {views:5d}", [result], views == 1), flush=True)
    for name in options.tables.split(","):
        say(f"\n{name}, detected landmarks ({options.weights}): {names}\n{HEAD}")
        for (table, views, count), scores in rows.items():
            if table == name:
                say(row(f"{count:9d}  {views:5d}", scores, solved=views == 1))


def rest(model: HeadModel, options: argparse.Namespace, say: Say) -> None:
    """A head at rest: from noisy true landmarks, and from one picture of the sample shot with fresh sensor noise."""
    from facequery.assets import asset
    from facequery.shots.shot import open_shot

    from benchmarks.fit_detected import Watcher, all_points, some_points

    say("\nat rest: degrees root mean square by which the skull turns about its mean")
    for count, seed in product((68, 500), range(3)):
        clip, tracks = drawn(model, seed, 2, 1, count, 0.0)
        one, rng = tracks[0], np.random.default_rng(seed)
        xy, sigma = (np.repeat(a[:1], options.frames, 0) for a in (one.xy, one.sigma))
        noisy = xy + rng.normal(size=xy.shape) * np.maximum(sigma, 1.0)[..., None]
        visible = np.repeat(one.visible[:1], options.frames, 0)
        still = TrueTracks(noisy, np.maximum(sigma, 1.0), visible, np.arange(options.frames), one.queries, one.width,
                           one.height)  # fmt: skip
        fit = fit_shot(model, [still], [clip.cameras[0]])
        say(f"{count} true landmarks with 1 px of noise, clip {seed}: {jitter(fit):.3f}")
    watcher, shot = Watcher(options.weights), open_shot(str(asset("sample/plate") / "shot.####.jpg"))
    every, columns = all_points(model, [68, 500])
    for noise in (1.0, 3.0):
        seen = watcher.still(shot.display(0), every, options.frames, noise)
        for count in (68, 500):
            fit = fit_shot(model, [some_points(seen, columns[count])], [None])
            say(f"detected, {count} landmarks, sensor noise of {noise:.0f} / 255: {jitter(fit):.3f}")


def focal(model: HeadModel, options: argparse.Namespace, say: Say) -> None:
    """One view, camera unknown: the focal length and its interval, clip by clip."""
    say(f"\nfocal length, one view, 500 true landmarks, noise {options.noise}: found / true, interval / true")
    scores = []
    for seed in range(100, 100 + options.clips):
        clip, tracks = drawn(model, seed, options.frames, 1, 500, options.noise)
        fit = fit_shot(model, tracks, [None])
        scores.append(score(model, clip, fit, rigid=False))
        low, high = (v / clip.cameras[0].fx[0] for v in fit.quality.focal_interval[0])
        depth = float(np.median(clip.translation[:, 2]))
        say(f"clip {seed}: {scores[-1].focal:.3f}  {low:.3f} to {high:.3f}  head at {depth:.2f} m  {scores[-1].inside}")
    say(f"inside: {sum(s.inside for s in scores)} of {len(scores)}")


def times(model: HeadModel, options: argparse.Namespace, say: Say) -> None:
    """How time grows with frames and with landmarks, camera unknown; the plot beside `--out`."""
    say(f"\ntime, camera unknown; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before the start")
    say("frames  landmarks | wall s  CPU s")
    found: dict[str, list[tuple[int, float]]] = {"frames": [], "landmarks": []}
    drawn_once = [(30, 500), (60, 500), (125, 500), (250, 500), (500, 500), (60, 2000), (60, 8000)]
    fitted(model, *drawn(model, 1, 8, 1, 68, options.noise), 1, False)  # compiles, and reads what is read once
    for frames, count in drawn_once:
        _, tracks = drawn(model, 1, frames, 1, count - 120, options.noise)
        wall, cpu = time.perf_counter(), time.process_time()
        fit_shot(model, tracks, [None])
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        say(f"{frames:6d}  {count:9d} | {wall:6.1f} {cpu:6.1f}")
        if count == 500:
            found["frames"].append((frames, cpu))
        if frames == 60:
            found["landmarks"].append((count, cpu))
    if options.out:
        _plot(found, Path(options.out).with_name("fits_time.png"))


def _plot(found: dict[str, list[tuple[int, float]]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), sharey=True)
    fixed = {"frames": "500 landmarks", "landmarks": "60 frames"}
    for axis, (name, points) in zip(axes, found.items(), strict=True):
        axis.plot(*zip(*points, strict=True), "o-")
        axis.set(xlabel=f"{name} ({fixed[name]})", xlim=(0, None), ylim=(0, None))
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("CPU seconds, camera unknown")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--frames", type=int, default=30)
    parser.add_argument("--noise", type=float, default=0.01)
    parser.add_argument("--counts", default="68,500,50000")
    parser.add_argument("--views", default="1,3")
    parser.add_argument("--tables", default="generic,actor")
    parser.add_argument("--weights", default="landmarks")
    parser.add_argument("--detected", metavar="DIR", help="folder of rendered clips: single/, three/")
    parser.add_argument("--common", action="store_true", help="with --detected: solve for errors in common")
    parser.add_argument("--rest", action="store_true")
    parser.add_argument("--focal", action="store_true")
    parser.add_argument("--time", action="store_true")
    parser.add_argument("--out", metavar="FILE")
    options = parser.parse_args()

    def say(text: str) -> None:
        print(text, flush=True)
        if options.out:
            with open(options.out, "a", encoding="utf-8") as file:
                file.write(text + "\n")

    parts = [p for p, on in ((rest, options.rest), (focal, options.focal), (times, options.time)) if on]
    if options.detected:
        parts.append(detected)
    try:
        for part in parts or [true_landmarks]:
            part(HeadModel.load(), options, say)
    except UserError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
