"""The real head: a jaw that closes on its teeth and swings clear of the skull; free-form shape."""

from itertools import pairwise

import numpy as np
import pytest
from facequery.fitting.contact import JawContact
from facequery.fitting.fit import fit_shot
from facequery.fitting.freeform import FaceField
from facequery.fitting.settings import FitSettings
from facequery.geometry.cameras import Camera
from facequery.geometry.rotations import euler_to_matrix, rotation_mean
from facequery.head.layouts import load_layout
from facequery.head.model import HeadModel
from facequery.head.queries import QuerySet
from scenes import degrees_between
from scipy.sparse import identity
from scipy.spatial import cKDTree
from toy_head import ToyActor, ToyTracks

CAMERA = Camera.pinhole(1280, 720, 1500.0)


@pytest.fixture(scope="module")
def model() -> HeadModel:
    return HeadModel.load()


def posed(model: HeadModel, part: str, identity_: np.ndarray | None, **weights: float) -> np.ndarray:
    expression = np.zeros(52)
    for name, value in weights.items():
        expression[model.expression_names.index(name)] = value
    return np.asarray(model.vertices(identity_, expression)[model.parts[part].vertices], np.float64)


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_teeth_meet_at_closed_mouth_and_part_as_it_opens(model: HeadModel, seed: int | None) -> None:
    person = None if seed is None else np.random.default_rng(seed).normal(size=len(model.identity_basis))
    gaps = []
    for opening in (0.0, 0.15, 0.3, 0.6, 1.0):
        upper, lower = (posed(model, part, person, jawOpen=opening) for part in ("teeth_upper", "teeth_lower"))
        gaps.append(cKDTree(upper).query(lower)[0].min())
    assert gaps[0] < 0.0006
    assert all(one < two for one, two in pairwise(gaps)) and gaps[2] > 0.003


@pytest.fixture(scope="module", params=[None, 1], ids=["mean", "somebody"])
def contact(request: pytest.FixtureRequest, model: HeadModel) -> JawContact:
    size = len(model.identity_basis)
    person = np.zeros(size) if request.param is None else np.random.default_rng(request.param).normal(size=size)
    return JawContact(model, np.asarray(model.vertices(person), np.float64), person)


def test_the_jaw_cannot_go_into_the_skull(model: HeadModel, contact: JawContact) -> None:
    """Every jaw that a fit may return, drawn at random up to its bounds, lies clear of the cranium's mesh."""
    rng = np.random.default_rng(0)
    at = [model.expression_names.index(n) for n in ("jawOpen", "jawForward", "jawLeft", "jawRight")]
    wanted = np.zeros((40, 52))
    wanted[:, at] = rng.uniform(size=(40, 4)) ** [1.0, 2.0, 0.5, 3.0]
    allowed = np.minimum(wanted, contact.upper(wanted))
    depths = [contact.depth(o, f, one - two) for o, f, one, two in allowed[:, at]]
    before = [contact.depth(o, f, one - two) for o, f, one, two in wanted[:, at]]
    assert max(depths) < 0.0007 and max(before) > 0.0012
    assert np.array_equal(np.delete(allowed, at, 1), np.delete(wanted, at, 1))
    wide = np.zeros((1, 52))
    wide[0, at] = 1.0, 0.0, 1.0, 0.0
    assert contact.upper(wide).min() == 1.0  # the mouth wide open, the jaw is free


def test_a_fit_keeps_the_jaw_out_of_the_skull(model: HeadModel) -> None:
    """Landmarks that ask for a jaw pushed through bone get the one that touches it."""
    queries = QuerySet.concat([load_layout("dense520"), load_layout("jaw"), load_layout("teeth")])
    expression = np.zeros((4, 52))
    expression[:, model.expression_names.index("jawLeft")] = 1.0
    expression[:, model.expression_names.index("jawOpen")] = [0.1, 0.2, 0.3, 0.4]
    points = model.points(queries, None, expression) @ np.diag([1.0, -1.0, -1.0]) + [0.0, 0.0, 0.6]
    identity_ = np.zeros(len(model.identity_basis), np.float32)
    person = ToyActor("known", identity_, None)
    fit = fit_shot(model, [tracks_of(points, queries, 0.2)], [CAMERA], FitSettings(), person)
    contact = JawContact(model, np.asarray(model.vertices(), np.float64), identity_.astype(np.float64))
    names = ("jawOpen", "jawForward", "jawLeft", "jawRight")
    found = fit.face.expression[:, [model.expression_names.index(n) for n in names]]
    assert max(contact.depth(o, f, left - right) for o, f, left, right in found) < 0.0007
    assert (found[:, 2] - found[:, 3]).min() > 0.3


def tracks_of(points: np.ndarray, queries: QuerySet, noise: float, seed: int = 0) -> ToyTracks:
    xy = CAMERA.project(points) + noise * np.random.default_rng(seed).normal(size=(*points.shape[:2], 2))
    full = np.ones(points.shape[:2])
    return ToyTracks(xy, max(noise, 0.1) * full, full, np.arange(1, len(points) + 1), queries)


def test_a_closed_mouth_stays_closed_and_a_head_at_rest_still(model: HeadModel) -> None:
    queries = QuerySet.concat([load_layout("dense520"), load_layout("teeth")])
    turn = np.diag([1.0, -1.0, -1.0]) @ euler_to_matrix(0.2, 0.1, 0.0)
    points = np.repeat((model.points(queries, None, None) @ turn.T + [0.0, 0.0, 0.6])[None], 12, 0)
    fit = fit_shot(model, [tracks_of(points, queries, 1.0)], [CAMERA], FitSettings(shape_spread=0.0))
    assert degrees_between(fit.jaw.rotation, fit.skull.rotation).max() < 0.7
    mean = np.repeat(rotation_mean(fit.skull.rotation)[None], 12, 0)
    assert np.sqrt((degrees_between(fit.skull.rotation, mean) ** 2).mean()) < 0.1


def test_somebody_far_from_the_mean_is_fitted_and_told(model: HeadModel) -> None:
    """Four standard deviations in every coefficient: no head that lives. It is found, and called unusual."""
    queries = load_layout("dense520")
    far = 4.0 * np.sign(np.random.default_rng(0).normal(size=len(model.identity_basis)))
    yaw = np.array([-0.4, -0.1, 0.2, 0.5])
    turn = np.diag([1.0, -1.0, -1.0]) @ euler_to_matrix(yaw, 0.0, 0.0)
    points = model.points(queries, far, None) @ np.swapaxes(turn, 1, 2) + [0.0, 0.0, 0.6]
    fit = fit_shot(model, [tracks_of(points, queries, 0.3)], [CAMERA], FitSettings())
    assert np.isfinite(fit.face.vertices).all() and np.abs(fit.face.vertices).max() < 2.0
    assert any("unusual" in note for note in fit.quality.notes)
    assert fit.quality.mean_reprojection < 1.0
    turned = degrees_between(fit.skull.rotation, turn)
    assert turned.max() < 6.0 and (turned < 3.0 * np.array(fit.quality.rotation_sigma)).all()
    low, high = fit_shot(
        model, [tracks_of(points, queries, 0.3)], [None], FitSettings(shape_spread=0.0)
    ).quality.focal_interval[0]
    assert low < CAMERA.fx[0] < high


def test_free_form_follows_what_is_seen_and_rests_elsewhere(model: HeadModel) -> None:
    field = FaceField(model)
    place = np.asarray(model.rest, np.float64)[field.use]
    middle = place[np.argmin(np.linalg.norm(place - [0.035, -0.02, 0.03], axis=1))]
    bump = 0.001 * np.exp(-0.5 * (np.linalg.norm(place - middle, axis=1) / 0.008) ** 2)[:, None] * [0.0, 0.0, 1.0]
    weights = identity(len(field.use)).tocsr()
    information = np.tile(np.eye(3) / 0.0001**2, (len(place), 1, 1))
    found = field.solve(weights, information, bump / 0.0001**2)
    assert np.abs(found - bump).max() < 0.0001
    far = np.linalg.norm(place - middle, axis=1) > 0.05
    blind = np.where((place[:, 0] < 0)[:, None, None], 0.0, information)
    half = field.solve(weights, blind, bump / 0.0001**2 * (place[:, :1] >= 0))
    assert np.abs(half - bump)[place[:, 0] >= 0.005].max() < 0.0001 and np.abs(half[far]).max() < 0.0001
