"""From tracks to fits: which points they need, and the files they leave."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from facequery_protocol.job import FITS

from facequery.detection.tracks import Tracks
from facequery.errors import UserError
from facequery.files import load_json, save_arrays, save_text
from facequery.fitting.corrections import Corrections, corrections_from_dict
from facequery.fitting.fit import fit_shot
from facequery.fitting.results import FaceFit, FitQuality, RigidFit, ShotFit
from facequery.fitting.settings import FitSettings
from facequery.geometry.cameras import Camera
from facequery.head.actor import Actor
from facequery.head.model import HeadModel
from facequery.head.queries import QuerySet
from facequery.pipeline.cameras import load_camera
from facequery.pipeline.own_meshes import MeshFile, in_place_of_ours, person_of, with_bones
from facequery.pipeline.preview import Overlay

LAYOUTS = ("ibug68", "dense520", "eyes", "teeth", "skull", "jaw")  # tracked beside the user's own, for the fits
POINTS = ("fit", "own", "both")  # which tracks a fit uses: those of LAYOUTS, the user's own, or both
CORRECTIONS = "corrections.json"
_SHARES = ("visible_floor", "correlation", "silhouette", "common_errors")  # settings from 0 to 1
_FITTED = "work/fitted"  # a mark in a job: its fit belongs to its tracks, and their visibility to the fit


def parse_fits(text: str) -> tuple[str, ...]:
    """The names in "face,skull,jaw". Raises UserError on any other."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in FITS:
            raise UserError(f'There is no fit "{name}".', f"Choose from {', '.join(FITS)}.", "FQ350")
    return tuple(name for name in FITS if name in names)


def settings_from(values: Mapping[str, Any], pixel_aspect: float) -> FitSettings:
    """Settings of a fit, some of them given by name. Raises UserError for an unknown name or a number that is none."""
    settings = FitSettings(pixel_aspect=pixel_aspect)
    kinds = {field.name: type(getattr(settings, field.name)) for field in fields(FitSettings)}
    for name, value in values.items():
        if name not in kinds:
            raise UserError(f'A fit has no setting "{name}".', f"Choose from {', '.join(kinds)}.", "FQ351")
        try:
            number = kinds[name](value)
        except (TypeError, ValueError):
            number = float("nan")
        share, whole = name in _SHARES, kinds[name] is int
        zero = share or name == "shape_spread"
        refused = isinstance(value, bool) or not np.isfinite(number) or number < 0 or (number == 0 and not zero)
        if refused or (share and number > 1):
            wanted = "from 0 to 1" if share else "from 0" if zero else "from 1" if whole else "above 0"
            raise UserError(f'The setting "{name}" of a fit must be a number {wanted}.', code="FQ351")
        settings = replace(settings, **{name: number})
    return settings


def tracks_to_fit(view: Path, points: str = "fit", also: Sequence[str] = ()) -> Tracks:
    """The tracks of a view's folder that a fit uses.

    "fit": those that were tracked for it (in `fit/`), and the user's own points with the ids or names `also`; "own":
    the user's own alone, which it also is where there are no others; "both". Raises UserError when there are none.
    """
    if points not in POINTS:
        raise UserError(f'A fit cannot use the points "{points}".', f"Choose from {', '.join(POINTS)}.", "FQ352")
    if points == "own" or not (view / "fit" / "tracks.json").is_file():
        return Tracks.load(view)
    made = Tracks.load(view / "fit")
    if points == "fit" and not also:
        return made
    own = Tracks.load(view)
    known = {*made.queries.ids, *(made.queries.names if points == "fit" else ())}
    wanted = [
        k
        for k, (one, name) in enumerate(zip(own.queries.ids, own.queries.names, strict=True))
        if one not in known and (points == "both" or ((one in also or name in also) and name not in known))
    ]
    return _joined(made, own, np.array(wanted, np.int64)) if wanted else made


def _joined(one: Tracks, two: Tracks, columns: np.ndarray) -> Tracks:
    """The tracks `one` and some columns of `two`, of the same frames."""
    if not np.array_equal(one.frames, two.frames):
        raise UserError("The job's tracks have other frames than those for its fit.", "Track again.", "FQ353")
    count = len(one.queries)
    arrays = {
        name: np.concatenate([getattr(one, name), getattr(two, name)[:, columns]], axis=1)
        for name in ("xy", "sigma", "visible")
    }
    layouts = {"fit": (0, count), "own": (count, count + len(columns))}
    queries = QuerySet.concat([one.queries, two.queries.subset(columns)])
    return replace(one, queries=queries, layouts=layouts, **arrays)


def read_corrections(path: Path) -> dict[str, Any] | None:
    """The document of corrections in a file, not yet checked; None where there is no file. Raises UserError."""
    try:
        document = load_json(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(f'The corrections "{path}" cannot be read ({error}).', code="FQ434") from None
    if not isinstance(document, dict):
        raise UserError(f'"{path}" holds no corrections.', "They are a JSON object; see docs/fitting.md.", "FQ434")
    return document


def save_corrections(document: Mapping[str, Any], path: Path) -> None:
    """Write a document of corrections."""
    save_text(path, json.dumps(document, indent=1) + "\n")


def corrections_for(document: Mapping[str, Any] | None, tracks: Sequence[Tracks]) -> Corrections | None:
    """Corrections of a document for tracks, one a view. Raises UserError."""
    if document is None:
        return None
    queries = tracks[0].queries
    return corrections_from_dict(document, queries.ids, queries.names, len(tracks))


def fit_job(
    folder: Path,
    tracks: Sequence[Tracks],
    cameras: Sequence[Camera | None],
    fits: Sequence[str],
    actor: Path | None = None,
    corrections: Corrections | None = None,
    settings: Mapping[str, Any] | None = None,
    tick: Callable[[], None] | None = None,
    meshes: Sequence[MeshFile] = (),
) -> ShotFit:
    """Fit and write `camera.json`, `fit.json` and, of `fits`, `face.npz`, `skull.npz`, `jaw.npz` into `folder`.

    `tracks`, `cameras`: one a view; results stand in the first view's camera space. Without an `actor` what the shot
    taught about the person is written as `actor.npz`, to be given to their other shots. `settings` are values of
    FitSettings by name; `tick` is called now and then and may raise to end the work. `meshes` are the user's own: a
    head is the person, and points on bone then lie on their skull and jaw.
    """
    model, given = HeadModel.load(), Actor.load(actor) if actor else None
    used = settings_from(settings or {}, tracks[0].pixel_aspect)

    def fitted(person: Actor | None) -> ShotFit:
        return fit_shot(model, list(tracks), list(cameras), used, person, corrections, tick)

    def learned(fit: ShotFit) -> Actor:
        return Actor(folder.name, fit.face.identity, offsets=fit.face.offsets, locked=True)

    person = given
    for mesh in meshes:
        if mesh.part == "head":
            if given is not None:
                raise UserError("An actor and a head are given: who is it?", "Leave out one of them.", "FQ356")
            person = person_of(model, folder.name, mesh)
    if any(mesh.part != "head" for mesh in meshes):
        person = with_bones(model, person or learned(fitted(None)), meshes)
    fit = fitted(person)
    if given is None:
        (person or learned(fit)).save(folder / "actor.npz")
    return write_fit(folder, fit, fits, [one.frames for one in tracks], settings or {}, meshes)


def write_fit(
    folder: Path,
    fit: ShotFit,
    fits: Sequence[str],
    frames: Sequence[np.ndarray],
    settings: Mapping[str, Any],
    meshes: Sequence[MeshFile] = (),
) -> ShotFit:
    """Write the files of a fit into `folder`, the user's meshes for ours; returns the fit with them.

    Files of an earlier fit that would not belong to it go.
    """
    mark_fitted(folder, False)
    fit, head, triangles = in_place_of_ours(HeadModel.load(), fit, meshes)
    parts: dict[str, FaceFit | RigidFit] = {"face": fit.face, "skull": fit.skull, "jaw": fit.jaw}
    for name, part in parts.items():
        if name in fits:
            part.save(folder / f"{name}.npz")
        else:
            (folder / f"{name}.npz").unlink(missing_ok=True)
    if head is not None and triangles is not None:
        save_arrays(folder / "head.npz", vertices=head, triangles=triangles, frames=fit.face.frames)
    else:
        (folder / "head.npz").unlink(missing_ok=True)
    for view, camera in enumerate(fit.cameras):
        save_camera(camera, camera_file(folder, view), frames[view])
    save_text(folder / "fit.json", json.dumps(fit.quality.to_dict() | {"settings": dict(settings)}))
    return fit


def is_fitted(folder: Path) -> bool:
    """Whether a job's folder holds a fit that was finished, by `run_job` or by `facequery fit`."""
    return (folder / _FITTED).is_file() and (folder / "fit.json").is_file()


def mark_fitted(folder: Path, done: bool = True) -> None:
    """Say in a job's folder that its fit is finished, or, not `done`, that it no longer fits the tracks."""
    mark = folder / _FITTED
    if done:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    else:
        mark.unlink(missing_ok=True)


def kept_overlay(folder: Path, tracks: Tracks, view: int) -> Overlay:
    """What a preview shows of a view (from 0) with the fit that is in a job's folder, whichever parts that has.

    Raises UserError when it cannot be read.
    """
    first, own = (load_camera(camera_file(folder, v)).for_frames(tracks.frames) for v in (0, view))
    face = folder / "face.npz"
    skull, jaw = (folder / f"{name}.npz" for name in ("skull", "jaw"))
    return Overlay(
        tracks,
        own.relative_to(own if view == 0 else first),
        FaceFit.load(face) if face.is_file() else None,
        RigidFit.load(skull) if skull.is_file() else None,
        RigidFit.load(jaw) if jaw.is_file() else None,
        read_quality(folder),
    )


def read_quality(folder: Path) -> FitQuality | None:
    """How good the fit in a folder is, from its fit.json; None where there is none. Raises UserError."""
    path = folder / "fit.json"
    if not path.is_file():
        return None
    try:
        return FitQuality.from_dict(load_json(path))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f'"{path}" cannot be read ({error}).', "Fit the shot again.", "FQ401") from None


def camera_file(folder: Path, view: int) -> Path:
    """Where a job keeps a view's camera, counted from 0: camera.json, camera_2.json, ..."""
    return folder / ("camera.json" if view == 0 else f"camera_{view + 1}.json")


def save_camera(camera: Camera, path: Path, frames: np.ndarray) -> None:
    """Write a camera with the file numbers its rows belong to."""
    document = camera.to_dict()
    if len(camera) == len(frames):
        document["frames"] = np.asarray(frames).tolist()
    save_text(path, json.dumps(document))
