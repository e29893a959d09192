"""Landmarks of 68-point layouts, whose contour follows the outline of the face in tracks that others made."""

import numpy as np
import pytest
from facequery.fitting.fit import fit_shot
from facequery.fitting.results import ShotFit
from facequery.fitting.settings import FitSettings
from facequery.geometry.cameras import Camera
from facequery.geometry.rotations import euler_to_matrix
from facequery.head.layouts import load_layout
from facequery.head.model import HeadModel
from facequery.head.queries import QuerySet
from facequery.head.slide import pose_of
from scenes import degrees_between
from toy_head import ToyTracks

CAMERA = Camera.pinhole(1280, 720, 1500.0)
YAWS = np.radians([-35.0, -20.0, 0.0, 20.0, 35.0])
TURNS = np.diag([1.0, -1.0, -1.0]) @ euler_to_matrix(YAWS, 0.0, 0.0)


def seen(queries: QuerySet, outline: bool) -> ToyTracks:
    """The mean head at the yaws above; its contour at rest, or where the layout says the outline is."""
    slide = queries.slide
    assert slide is not None
    found = []
    for turn in TURNS:
        positions = queries.positions.astype(np.float64)
        flat = positions @ turn.T
        if outline:
            positions[slide.indices] = slide.at(float(pose_of(positions[None], flat[None, :, :2])[0][0]))
        found.append(CAMERA.project((positions @ turn.T + [0.0, 0.0, 0.7])[None])[0])
    xy = np.stack(found)
    full = np.ones(xy.shape[:2])
    return ToyTracks(xy, 0.5 * full, full, np.arange(1, len(xy) + 1), queries)


def width_error(fit: ShotFit, model: HeadModel) -> float:
    """Millimetres by which the fitted face is off the mean head, root mean square over the face."""
    use = np.flatnonzero(model.region_mask("face"))
    neutral = np.asarray(model.vertices(fit.face.identity), np.float64) + fit.face.offsets
    gap = (neutral - np.asarray(model.rest, np.float64))[use]
    return 1000.0 * float(np.sqrt((gap**2).sum(1).mean()))


@pytest.fixture(scope="module")
def model() -> HeadModel:
    return HeadModel.load()


def test_tracks_at_rest_and_on_the_outline_give_the_same_head(model: HeadModel) -> None:
    queries = load_layout("ibug68")
    at_rest = fit_shot(model, [seen(queries, False)], [CAMERA])
    told = fit_shot(model, [seen(queries, True)], [CAMERA], FitSettings(silhouette=1))
    untold = fit_shot(model, [seen(queries, True)], [CAMERA])
    assert degrees_between(at_rest.skull.rotation, TURNS).max() < 0.5 and width_error(at_rest, model) < 1.0
    assert degrees_between(told.skull.rotation, TURNS).max() < 1.5 and width_error(told, model) < 2.0
    assert width_error(untold, model) > 1.5 * width_error(told, model)
