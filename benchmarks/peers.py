"""MediaPipe's face mesh beside ours: the same pictures, the same canvases, the same films, in one run.

    python -m benchmarks.peers [--weights landmarks] [--out benchmarks/results/peers.md] [--only pictures|films]

MediaPipe (0.10.21) runs in an environment of its own, made at the first call.

Pictures: errors in percent of the distance of the outer eye corners; a missed face counts as 100 %. `points`: ours
gets the crop from the annotation's box; MediaPipe sees the whole picture, and where it finds nothing a crop of twice
the annotated face (its own crop comes from its own detector in any case). `auto`: both get the same canvas and nothing
else. "offsets removed": the mean offset of every point on `lfpw`, in the coordinates of the face's own crop, is taken
off, on `lfpw` itself in two folds; "offsets by pose removed": an offset that also depends on the yaw, its square and
the pitch that its own landmarks show. That is the fair companion of queries calibrated on `lfpw` (in two folds as
well), which follow the pose in the same way.
"false": faces seen in 100 pictures without one; "both68", "both51": error over the faces that both detectors found;
"hard68", "rest68": nme68 of the hard faces (names in backend/facequery/evaluation/hard_faces.json) and of the others.
300-W's files count pixels from 1: their points are moved by one pixel before anything is measured, for both detectors
(FIRST_CENTRE in backend/facequery/evaluation/annotated.py says how it shows); "points as filed": not moved. Ours sees
pictures mirrored too, which is `facequery eval`'s and the Python interface's default, and films not, as tracking does.

Films: `render` are held-out clips of the rasteriser, `cycles` the sample shot and clips by Cycles (where there are any
in .cache/cycles/clips), `moved` photographs of `afw` moved along known paths with new noise in every frame. nmf: RMS
change of the residual from frame to frame, nad: its mean change over 1, 4 and 16 frames, percent of sqrt(h w) of the
true box. The residual is taken against the truth of the same frame, so that a track that lags pays. "alone": every
frame by itself; "shot": our pipeline over the shot; "smoothed": with --smooth 1; "video": MediaPipe's tracking mode.

ms: milliseconds of a picture (the peer's median, our mean), one thread each, face search included (except ours at
`points`, which needs none). A busy machine makes all of them longer.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from facequery.assets import source_data
from facequery.detection.detector import Detector
from facequery.detection.finder import FaceFinder
from facequery.errors import UserError
from facequery.evaluation.annotated import AnnotatedSet, load_annotated, to_crop
from facequery.evaluation.calibration import pose_features, two_folds
from facequery.evaluation.canvas import canvases, faceless
from facequery.evaluation.errors import inter_ocular, normalised_errors, summary
from facequery.evaluation.films import cycles_films, has_clips, moved_films, rendered_films, sample_film
from facequery.evaluation.hard import hard_faces
from facequery.evaluation.predict import FindFaces, false_detections, plain_and_calibrated, predict_auto, predict_points
from facequery.evaluation.stability import as_a_shot, frame_by_frame, stability
from facequery.geometry.crops import apply_affine, crop_from_points
from facequery.head.layouts import load_layout
from facequery.head.slide import pose_of
from numpy.typing import NDArray

from benchmarks.mediapipe_peer import MediaPipe
from tools.label_portraits import DEFAULT_ENVIRONMENT

SETS = ("lfpw", "afw")
TITLES = ("Pictures", "Films")
ERRORS = ("nme68", "nme51", "contour", "brows", "nose", "eyes", "mouth", "fail10")
SHARED = ("both68", "both51")
PARTS = ("hard68", "rest68")
PAIRS = (
    ("FaceQuery", "MediaPipe"), ("FaceQuery, calibrated", "MediaPipe, offsets removed"),
    ("FaceQuery, calibrated", "MediaPipe, offsets by pose removed"),
)  # fmt: skip
STEADY = ("nmf", "nad1", "nad4", "nad16", "nme", "missed")
_CACHE = Path(".cache")
_STILLS = slice(3, None, 14)  # which photographs of afw are moved

Row = dict[str, Any]


def face_crops(points: NDArray) -> NDArray[np.float64]:
    """Crops (n, 2, 3), turned with the face, of the 68 points (n, 68, 2)."""
    eyes = 0.5 * (points[:, [36, 42]] + points[:, [39, 45]])
    return crop_from_points(np.concatenate([eyes, points[:, [48, 54]]], axis=1))


def without_offsets(
    xy: NDArray, truth: NDArray, guide: tuple[NDArray, NDArray] | None, follow: bool = False
) -> NDArray[np.float64]:
    """Landmarks (n, 68, 2) with their mean offset on `guide` (its landmarks and truth) taken off; None: on themselves,
    in two folds. `follow`: the offset depends on the pose that the landmarks show, as calibrated queries do (see
    `pose_features`). Faces that were missed (NaN) do not count."""
    crops = face_crops(truth)
    local = to_crop(xy, crops)
    if guide is not None:
        offset = _offset(*guide, xy, follow)
    else:
        fold, offset = two_folds(len(xy)), np.empty_like(local)
        for part in (0, 1):
            offset[fold == part] = _offset(xy[fold != part], truth[fold != part], xy[fold == part], follow)
    return apply_affine(crops, local - offset)


def _offset(xy: NDArray, truth: NDArray, asked: NDArray, follow: bool) -> NDArray[np.float64]:
    """Offsets (m, 68, 2), crop coordinates, to expect of the landmarks `asked` (m, 68, 2): least squares over xy."""
    crops = face_crops(truth)
    error = to_crop(xy, crops) - to_crop(truth, crops)
    there = ~np.isnan(error[:, 0, 0])
    known, wanted = _features(xy[there], follow), _features(asked, follow)
    slopes = np.linalg.lstsq(known, error[there].reshape(len(known), -1), rcond=None)[0]
    return (wanted @ slopes).reshape(-1, *error.shape[1:])


def _features(xy: NDArray, follow: bool) -> NDArray[np.float64]:
    if not follow:
        return np.ones((len(xy), 1))
    found = np.zeros((len(xy), 4))
    there = ~np.isnan(xy[:, 0, 0])
    found[there] = pose_features(*pose_of(load_layout("ibug68").positions[17:], xy[there, 17:]))
    return found


def picture_rows(crop: str, detector: Detector, peer: MediaPipe, asked: dict[str, Any]) -> tuple[list[Row], list[str]]:
    """The rows of all sets with one kind of crop, and what is to be said about missed faces. `asked`: for each set what
    `plain_and_calibrated` gives."""
    find = FindFaces(detector, FaceFinder.from_pretrained())
    rows: list[Row] = []
    notes: list[str] = []
    guide: tuple[NDArray, NDArray] | None = None
    false: tuple[Any, Any] = ("", "")
    if crop == "auto":
        counts = peer.on_images((picture, None) for picture in faceless())[1]
        false = (round(100 * float(counts.mean())), round(false_detections(find)))
    for name in SETS:
        chosen = load_annotated(source_data(f"real_dev/{name}"))
        if crop == "points":
            found = predict_points(detector, chosen, asked[name])
            mesh, spent = peer.on_pictures(chosen)
        else:
            found = predict_auto(detector, find, chosen, asked[name])
            mesh, _, spent = peer.on_images(canvases(chosen))
        truth = found.truth
        both_found = ~found.missed & ~np.isnan(mesh[:, 0, 0])
        bare, bent = (without_offsets(mesh, truth, guide, follow) for follow in (False, True))
        guide = guide or (mesh, truth)  # lfpw comes first
        for title, xy, milliseconds, wrong in (
            ("MediaPipe", mesh, spent, false[0]), ("MediaPipe, offsets removed", bare, spent, false[0]),
            ("MediaPipe, offsets by pose removed", bent, spent, false[0]),
            ("FaceQuery", found.xy[:, :68], found.milliseconds, false[1]),
            ("FaceQuery, calibrated", found.xy[:, 68:], found.milliseconds, false[1]),
        ):  # fmt: skip
            errors = normalised_errors(xy, truth, inter_ocular(truth, "ibug68"))
            missed = int(np.isnan(xy[:, 0, 0]).sum())
            common = {"both68": 100 * float(errors[both_found].mean()),
                      "both51": 100 * float(errors[both_found, 17:].mean()),
                      **parted(errors, hard_faces(chosen))}  # fmt: skip
            rows.append({"set": name, "crop": crop, "detector": title, "missed": missed, "false": wrong,
                         "ms": milliseconds, **summary(errors, "ibug68"), **common})  # fmt: skip
        if crop == "points":
            filed = truth + chosen.first_centre
            for title, xy in (("MediaPipe, points as filed", mesh), ("FaceQuery, points as filed", found.xy[:, :68])):
                errors = normalised_errors(xy, filed, inter_ocular(filed, "ibug68"))
                rows.append({"set": name, "crop": crop, "detector": title, "missed": 0, **summary(errors, "ibug68")})
        only_theirs = found.missed & ~np.isnan(mesh[:, 0, 0])
        names = ", ".join(path.name for path, lost in zip(chosen.paths, only_theirs, strict=True) if lost)
        notes.append(f"{name}, {crop}: {only_theirs.sum()} faces that MediaPipe finds and we miss"
                     f"{f' ({names})' if names else ''}, "
                     f"{(~found.missed & np.isnan(mesh[:, 0, 0])).sum()} the other way round.")  # fmt: skip
    return rows, notes


def parted(errors: NDArray, hard: NDArray | None) -> Row:
    """Mean errors, percent, of errors (n, N) of hard faces (n,) and of the rest; empty without a list of them."""
    if hard is None:
        return {"hard68": "", "rest68": ""}
    return {"hard68": 100 * float(errors[hard].mean()), "rest68": 100 * float(errors[~hard].mean())}


def verdicts(rows: list[Row]) -> str:
    """Ours over the peer's, set by set, for all PAIRS. Below 1 ours is ahead."""
    found = {(row["set"], row["crop"], row["detector"]): row for row in rows}
    lines = []
    for ours, theirs in PAIRS:
        for name, crop in dict.fromkeys((row["set"], row["crop"]) for row in rows):
            a, b = found[name, crop, ours], found[name, crop, theirs]
            ratios = [f"{kind} {a[kind]:.2f} / {b[kind]:.2f} = {a[kind] / b[kind]:.2f}" for kind in ("nme68", "nme51")]
            lines.append(f"- {name}, {crop}, {ours} over {theirs}: {', '.join(ratios)}")
    return "\n".join(lines)


def film_rows(weights: str, peer: MediaPipe) -> list[Row]:
    """Steadiness on the three kinds of films."""
    detector = Detector.from_pretrained(weights, mirror=False)  # as films are tracked
    find = FindFaces(detector, FaceFinder.from_pretrained())
    stills: AnnotatedSet = load_annotated(source_data("real_dev/afw")).subset(_STILLS)
    clips = _CACHE / "cycles" / "clips" / "single"
    kinds = {
        "render": rendered_films(_CACHE / "films"),
        "cycles": [sample_film(), *(cycles_films(clips) if has_clips(clips) else [])],
        "moved": moved_films(_CACHE / "films", stills),
    }
    rows = []
    for kind, films in kinds.items():
        count = sum(len(film.paths) for film in films)
        for title, video in (("MediaPipe, alone", False), ("MediaPipe, video", True)):
            tracks, spent = peer.on_films(films, video)
            rows.append({"films": kind, "frames": count, "detector": title, "ms": spent, **stability(tracks, films)})
        begin = time.perf_counter()
        alone = [frame_by_frame(detector, find, film) for film in films]
        between = time.perf_counter()
        shots = [as_a_shot(film, weights, smooth=1.0) for film in films]
        one_by_one, whole = 1000 * (between - begin) / count, 1000 * (time.perf_counter() - between) / count
        own = (
            ("alone", alone, one_by_one), ("shot", [raw for raw, _ in shots], whole),
            ("smoothed", [smooth for _, smooth in shots], whole),
        )  # fmt: skip
        for title, tracks, milliseconds in own:
            figures = stability(tracks, films)
            row = {"films": kind, "frames": count, "detector": f"FaceQuery, {title}", "ms": milliseconds}
            rows.append(row | figures)
    return rows


def table(rows: list[Row], columns: tuple[str, ...], digits: int = 2) -> str:
    """Rows as a table in Markdown."""
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    for row in rows:
        values = {c: row.get(c, "") for c in columns}
        cells = [f"{v:.{0 if c == 'ms' else digits}f}" if isinstance(v, float) else str(v) for c, v in values.items()]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def written_sections(file: Path) -> dict[str, str]:
    """The tables that a results file holds already: those that are not measured now stay."""
    parts = file.read_text().split("\n## ")[1:] if file.exists() else []
    found = {title: body.strip() for title, _, body in (part.partition("\n") for part in parts)}
    return {title: body for title, body in found.items() if title in TITLES}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="landmarks", help="a weights file, or the name of weights that ship")
    parser.add_argument("--environment", type=Path, default=DEFAULT_ENVIRONMENT, help="where MediaPipe is installed")
    parser.add_argument("--only", choices=("pictures", "films"), help="measure one; the other stays as it was written")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "peers.md")
    arguments = parser.parse_args()
    sections = written_sections(arguments.out)
    try:
        detector, peer = Detector.from_pretrained(arguments.weights), MediaPipe(arguments.environment)
        if arguments.only != "films":
            asked = {
                name: plain_and_calibrated(detector, load_annotated(source_data(f"real_dev/{name}"))) for name in SETS
            }
            parts, compared = [], []
            for crop in ("points", "auto"):
                rows, notes = picture_rows(crop, detector, peer, asked)
                parts.append(
                    table(rows, ("set", "crop", "detector", "missed", "false", *ERRORS, *SHARED, *PARTS, "ms"))
                )
                parts.append("\n".join(notes))
                print("\n\n".join(parts[-2:]), flush=True)
                compared += rows
            parts.append(verdicts(compared))
            print(parts[-1], flush=True)
            sections["Pictures"] = "\n\n".join(parts)
        if arguments.only != "pictures":
            rows = film_rows(arguments.weights, peer)
            sections["Films"] = table(rows, ("films", "frames", "detector", *STEADY, "ms"), digits=3)
            print(sections["Films"], flush=True)
    except UserError as error:
        raise SystemExit(str(error)) from None
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    tables = "\n\n".join(f"## {title}\n\n{sections[title]}" for title in TITLES if title in sections)
    arguments.out.write_text(f"# Peers\n\n{(__doc__ or '').strip()}\n\n{tables}\n")


if __name__ == "__main__":
    main()
