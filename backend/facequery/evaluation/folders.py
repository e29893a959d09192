"""`facequery eval`: figures of a detector on one folder of annotated pictures."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from facequery.detection.detector import Detector
from facequery.detection.finder import FaceFinder
from facequery.errors import UserError
from facequery.evaluation import errors as measures
from facequery.evaluation.annotated import AnnotatedSet, load_annotated
from facequery.evaluation.calibration import Placed, calibrated
from facequery.evaluation.dense import dense_figures, is_rendered, look_dense
from facequery.evaluation.hard import hard_faces
from facequery.evaluation.pose import yaw_of
from facequery.evaluation.predict import FindFaces, Prediction, false_detections, predict_auto, predict_points
from facequery.evaluation.sigma import sigma_figures
from facequery.head.layouts import layout_names, load_layout
from facequery.synthesis.cycles.dataset import CyclesSet


@dataclass(frozen=True)
class Evaluation:
    """`figures`: what `facequery eval --json` prints; errors (n,) of faces over sqrt(h w) of their boxes; yaw (n,) in
    degrees, None where it cannot be told."""

    figures: dict[str, Any]
    box_errors: NDArray[np.float64]
    yaw: NDArray[np.float64] | None


def evaluate_folder(
    folder: Path, weights: Path | str = "landmarks", crop: Literal["points", "auto"] = "points",
    layout: str | None = None, calibrate: bool = False, slide: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """The figures of `evaluate` for weights given by file or name."""
    return evaluate(folder, Detector.from_pretrained(str(weights)), crop, layout, calibrate, slide=slide).figures


def evaluate(
    folder: Path, detector: Detector, crop: Literal["points", "auto"] = "points", layout: str | None = None,
    calibrate: bool = False, finder: FaceFinder | None = None, slide: bool = True, first_centre: float | None = None,
) -> Evaluation:  # fmt: skip
    """Figures of a detector on one folder of annotated pictures (see `load_annotated` for its form).

    `crop` "points": crops from the annotation's box, as protocols have it; "auto": the whole pipeline, every picture
    pasted onto a canvas so that the face is 8-60 % of its height, anywhere, turned by up to 45 degrees, from a seed;
    a missed face counts as an error of 100 %. `layout`: the query positions, by default the set's own layout.
    `calibrate`: queries are optimised on `real_dev/lfpw` first; on that set itself in two folds, so that no face is
    scored with points placed on it. `finder` replaces the shipped face finder. `slide`: points
    of layouts that say so follow the head's pose, and so do calibrated ones. `first_centre`: see `load_annotated`.
    """
    chosen = load_annotated(folder, first_centre)
    name = layout or chosen.layout
    queries = load_layout(name)
    positions, follows = queries.positions, queries.slide if slide else None
    if len(positions) != chosen.points.shape[1]:
        raise UserError(
            f'The layout "{name}" has {len(positions)} points, the pictures in "{folder}" have '
            f"{chosen.points.shape[1]}.", f"Layouts: {', '.join(layout_names())}.", "FQ264",
        )  # fmt: skip
    asked = Placed.everywhere(chosen, positions, follows)
    if calibrate:
        asked = calibrated(detector.network, chosen, queries, detector.mirror, slide)
    extra: dict[str, Any] = {}
    if crop == "points":
        prediction = predict_points(detector, chosen, asked)
    else:
        find = FindFaces(detector, finder or FaceFinder.from_pretrained(device=str(detector.device)))
        prediction = predict_auto(detector, find, chosen, asked)
        extra["false_per_100"] = false_detections(find)
    if is_rendered(folder):
        extra |= dense_figures(look_dense(detector, CyclesSet.open(folder)))
    title = name + ("+calibrated" if calibrate else "") + ("+fixed" if queries.slide and not slide else "")
    head = {"set": chosen.name, "crop": crop, "layout": title, "first_centre": chosen.first_centre}
    return summarised(chosen, prediction, head, extra)


def summarised(chosen: AnnotatedSet, prediction: Prediction, head: dict[str, Any], extra: dict[str, Any]) -> Evaluation:
    """All figures of a prediction, led by `head`, with `extra` before the time."""
    size = measures.inter_ocular(prediction.truth, chosen.layout)
    box = measures.box_size(prediction.truth)
    box_errors = measures.normalised_errors(prediction.xy, prediction.truth, box).mean(1)
    yaw = yaw_of(chosen.points) if chosen.layout == "ibug68" else None
    errors = measures.normalised_errors(prediction.xy, prediction.truth, size)
    hard = hard_faces(chosen)
    figures = {
        **head, "faces": len(chosen.paths), "missed": int(prediction.missed.sum()),
        **measures.summary(errors, chosen.layout),
        **({} if hard is None else {"hard": int(hard.sum()), "nme_hard": _percent(errors[hard]),
                                    "nme_rest": _percent(errors[~hard])}),
        "nme_box": _percent(box_errors),
        **({} if yaw is None else measures.by_yaw(box_errors, yaw)),
        **extra, **sigma_figures(prediction, size), "ms_per_face": round(prediction.milliseconds, 2),
    }  # fmt: skip
    return Evaluation(figures, box_errors, yaw)


def _percent(errors: NDArray) -> float:
    return round(100 * float(errors.mean()), 3)
