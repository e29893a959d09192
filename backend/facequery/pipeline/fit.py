"""From tracks to fits: which points they need, and the files they leave."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from facequery.detection.tracks import Tracks, save_text
from facequery.errors import UserError
from facequery.fitting.fit import fit_shot
from facequery.fitting.results import FaceFit, RigidFit, ShotFit
from facequery.fitting.settings import FitSettings
from facequery.geometry.cameras import Camera
from facequery.head.actor import Actor
from facequery.head.model import HeadModel

FITS = ("face", "skull", "jaw")
LAYOUTS = ("ibug68", "dense520", "eyes", "teeth", "skull", "jaw")  # tracked beside the user's own, for the fits


def parse_fits(text: str) -> tuple[str, ...]:
    """The names in "face,skull,jaw". Raises UserError on any other."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in FITS:
            raise UserError(f'There is no fit "{name}".', f"Choose from {', '.join(FITS)}.", "FQ350")
    return tuple(name for name in FITS if name in names)


def fit_job(
    folder: Path,
    tracks: Sequence[Tracks],
    cameras: Sequence[Camera | None],
    fits: Sequence[str],
    actor: Path | None = None,
) -> ShotFit:
    """Fit and write `camera.json`, `fit.json` and, of `fits`, `face.npz`, `skull.npz`, `jaw.npz` into `folder`.

    `tracks`, `cameras`: one a view; results stand in the first view's camera space. Without an `actor` what the shot
    taught about the person is written as `actor.npz`, to be given to their other shots.
    """
    settings = FitSettings(pixel_aspect=tracks[0].pixel_aspect)
    person = Actor.load(actor) if actor else None
    fit = fit_shot(HeadModel.load(), list(tracks), list(cameras), settings, person)
    parts: dict[str, FaceFit | RigidFit] = {"face": fit.face, "skull": fit.skull, "jaw": fit.jaw}
    for name in fits:
        parts[name].save(folder / f"{name}.npz")
    if person is None:
        learned = Actor(folder.name, fit.face.identity, offsets=fit.face.offsets, locked=True)
        learned.save(folder / "actor.npz")
    for view, camera in enumerate(fit.cameras):
        save_camera(camera, camera_file(folder, view), tracks[view].frames)
    save_text(folder / "fit.json", json.dumps(fit.quality.to_dict()))
    return fit


def camera_file(folder: Path, view: int) -> Path:
    """Where a job keeps a view's camera, counted from 0: camera.json, camera_2.json, ..."""
    return folder / ("camera.json" if view == 0 else f"camera_{view + 1}.json")


def save_camera(camera: Camera, path: Path, frames: np.ndarray) -> None:
    """Write a camera with the file numbers its rows belong to."""
    document = camera.to_dict()
    if len(camera) == len(frames):
        document["frames"] = np.asarray(frames).tolist()
    save_text(path, json.dumps(document))
