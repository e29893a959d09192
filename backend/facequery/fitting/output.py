"""From the minimum of a problem to the results: meshes, rigid parts, cameras and quality."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from facequery.errors import UserError
from facequery.fitting.minimise import Minimum
from facequery.fitting.points import eye_matrices, jaw_motion
from facequery.fitting.prepare import FEWEST_LANDMARKS
from facequery.fitting.problem import Problem
from facequery.fitting.results import BRIDGED, DOUBTFUL, GOOD, FaceFit, FitQuality, RigidFit, ShotFit
from facequery.fitting.state import State
from facequery.fitting.trust import focal_sigmas, frame_sigmas
from facequery.geometry.cameras import Camera

if TYPE_CHECKING:
    from facequery.fitting.fit import Prepared
    from facequery.head.model import HeadModel

Array = NDArray[np.float64]
FACE_PARTS = ("skin", "eye_left", "eye_right", "teeth_upper", "teeth_lower", "gums_tongue")
SKULL_PARTS = ("cranium", "teeth_upper")
JAW_PARTS = ("mandible", "teeth_lower")
_CHUNK = 64  # frames whose vertices are made at once
_TOO_FAR, _NO_FACE = 0.1, 0.35  # reprojection as a share of the landmarks' spread: look at it; refuse it
_SEEN = 0.35  # mean weight of the landmarks of a frame, below which the face is hidden
_ENOUGH = 8  # landmarks in a frame, below which its pose is one of several that fit
_UNUSUAL = 2.0  # standard deviations of a person's coefficients, root mean square, that hardly anybody has
_FARTHEST = 5.0  # of them, the same for a single one
_DETERMINED = 0.10  # standard deviation of the logarithm of a focal length above which it is called not determined


def part_mesh(model: "HeadModel", parts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Vertex indices (V,) of some parts of the head, and their triangles (T, 3) renumbered to them."""
    vertices = np.concatenate([np.arange(len(model.rest))[model.parts[p].vertices] for p in parts])
    triangles = np.concatenate([np.asarray(model.triangles)[model.parts[p].triangles] for p in parts])
    place = np.full(len(model.rest), -1, np.int64)
    place[vertices] = np.arange(len(vertices))
    return vertices, place[triangles].astype(np.int32)


def assemble(
    ready: "Prepared",
    problem: Problem,
    minimum: Minimum,
    key_problem: Problem,
    key_minimum: Minimum,
    iterations: int,
    started: float,
    touched: NDArray[np.bool_],
    notes: Sequence[str],
) -> ShotFit:
    """Results in the camera space of the first view.

    `minimum` of `problem` holds the frames, `key_minimum` what the key frames say of shape and cameras; `touched` (F,)
    are the frames that were corrected by hand, `notes` what else is to be said.
    """
    model, state = problem.model, minimum.state
    first = problem.views[0]
    rotation = first.rotation @ state.rotation
    translation = np.einsum("fij,fj->fi", first.rotation, state.translation) + first.translation
    frames = ready.frames
    identity, own = ready.shape(state)
    eyes = eye_matrices(state.eyes)

    vertices, triangles = part_mesh(model, FACE_PARTS)
    mesh = np.empty((len(frames), len(vertices), 3), np.float32)
    jaw = jaw_motion(model, state.identity, state.expression, derivatives=False)
    carried = np.flatnonzero((np.asarray(model.jaw_weight) > 0) & (np.abs(own).max(axis=1) > 0))
    weight = np.asarray(model.jaw_weight, np.float32)[carried, None]
    for start in range(0, len(frames), _CHUNK):
        at = slice(start, start + _CHUNK)
        points = np.asarray(model.vertices(identity, state.expression[at], eyes[at]), np.float32)
        if own.any():
            points += own
            turn = (jaw.rotation[at] - np.eye(3)).astype(np.float32)
            points[:, carried] += weight * (own[carried] @ np.swapaxes(turn, 1, 2))
        np.matmul(points[:, vertices], np.swapaxes(rotation[at], 1, 2).astype(np.float32), out=mesh[at])
        mesh[at] += translation[at, None].astype(np.float32)
    face = FaceFit(
        mesh,
        triangles,
        identity.astype(np.float32),
        state.expression.astype(np.float32),
        tuple(model.expression_names),
        eyes.astype(np.float32),
        rotation,
        translation,
        frames,
        own,
    )
    neutral = np.asarray(model.vertices(identity, None), np.float32) + own
    skull_part, skull_triangles = part_mesh(model, SKULL_PARTS)
    skull = RigidFit(neutral[skull_part], skull_triangles, rotation, translation, frames)
    jaw_part, jaw_triangles = part_mesh(model, JAW_PARTS)
    jaw_fit = RigidFit(
        neutral[jaw_part],
        jaw_triangles,
        rotation @ jaw.rotation,
        np.einsum("fij,fj->fi", rotation, jaw.translation) + translation,
        frames,
    )
    quality = _quality(problem, minimum, key_problem, key_minimum, frames, iterations, started, touched)
    quality.notes.extend(notes)
    return ShotFit(_cameras(problem, state, ready.known), face, skull, jaw_fit, quality)


def _cameras(problem: Problem, state: State, known: Sequence[Camera | None]) -> list[Camera]:
    """The cameras of all views; those of solved views stand relative to the first one's world."""
    cameras = []
    for v, view in enumerate(problem.views):
        rotation, translation = (view.rotation, view.translation)
        if view.solve_pose:
            rotation, translation = state.camera_rotation[v][None], state.camera_translation[v][None]
        given = known[v]
        if given is not None and not view.solve_pose:
            cameras.append(given)
            continue
        cameras.append(
            Camera(
                width=view.width,
                height=view.height,
                fx=view.fx[:1] * state.focal[v] if given is None else given.fx,
                fy=view.fy[:1] * state.focal[v] if given is None else given.fy,
                cx=view.cx[:1] if given is None else given.cx,
                cy=view.cy[:1] if given is None else given.cy,
                pixel_aspect=float(view.fy[0] / view.fx[0]) if given is None else given.pixel_aspect,
                **({} if given is None else {"lens": given.lens}),  # type: ignore[arg-type]
                rotation=rotation if view.solve_pose else None,
                translation=translation if view.solve_pose else None,
            )
        )
    return cameras


def _quality(
    problem: Problem,
    minimum: Minimum,
    key_problem: Problem,
    key_minimum: Minimum,
    frames: NDArray[np.int64],
    iterations: int,
    started: float,
    touched: NDArray[np.bool_],
) -> FitQuality:
    state = minimum.state
    pixels, _ = problem.project(state)
    square = np.zeros(len(frames))
    total = np.zeros(len(frames))
    count = np.zeros(len(frames), np.int64)
    for v, view in enumerate(problem.views):
        weight = view.weight / view.sigma**2
        gap = ((pixels[v] - view.xy) ** 2).sum(-1)
        square += (weight * gap).sum(1)
        total += weight.sum(1)
        count += (view.weight > 0).sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.sqrt(square / total)
    error[count == 0] = np.nan
    strange = _strangeness(key_problem, key_minimum)
    sigmas = strange * frame_sigmas(problem, minimum)
    size, seen = _face_size(problem)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = error / size
    # Where a hand has put the head elsewhere, the landmarks are not to blame.
    if not touched.any() and np.isfinite(share).any() and np.nanmedian(share) > _NO_FACE:
        raise UserError(
            f"The landmarks do not form a face: the best one misses them by {np.nanmedian(error):.0f} px.",
            "Look at the tracks.",
            "FQ420",
        )
    floor = problem.settings.sigma_floor
    status = _status(error, floor, count, sigmas, (share > _TOO_FAR) | (seen < _SEEN))
    status = [GOOD if by_hand else one for one, by_hand in zip(status, touched, strict=True)]
    focal, interval, solved, notes = _focal(key_problem, key_minimum, strange)
    suspicion = np.nan_to_num(error, nan=np.inf) / max(float(np.nanmedian(error)), 1e-9) + sigmas[:, 0]
    bad = np.array([s != GOOD for s in status])
    worst = np.lexsort((-suspicion, ~bad))[:10]
    bridged = status.count(BRIDGED)
    if bridged:
        notes.append(f"{bridged} frames show too little of the face; the fit is bridged over them.")
    if len(frames) == 1:
        notes.append("One frame does not tell a person's shape from their expression: add frames or an actor.")
    if strange > 1.0:
        notes.append("The shape found is very unusual; the tracks may belong to several faces or be wrong.")
    return FitQuality(
        frames=[int(f) for f in frames],
        reprojection=[float(e) for e in error],
        landmarks=[int(c) for c in count],
        rotation_sigma=[float(s) for s in np.degrees(sigmas[:, 0])],
        depth_sigma=[float(s) for s in sigmas[:, 1]],
        jaw_sigma=[float(s) for s in sigmas[:, 2]],
        status=status,
        worst_frames=[int(frames[i]) for i in worst],
        focal=focal,
        focal_interval=interval,
        focal_solved=solved,
        model_error=float(problem.model_error),
        iterations=iterations,
        seconds=time.perf_counter() - started,
        notes=notes,
        estimated=_estimated(key_problem),
    )


def _strangeness(problem: Problem, minimum: Minimum) -> float:
    """How much less is sure than is reckoned for people: 1, or as a shape that nobody has shows (no actor's)."""
    if not problem.modes:
        return 1.0
    own = np.abs(minimum.state.identity[: len(problem.model.identity_basis)])
    typical, farthest = float(np.sqrt((own**2).mean())), float(own.max())
    return max(typical, farthest / 2.0) if typical > _UNUSUAL or farthest > _FARTHEST else 1.0


def _estimated(problem: Problem) -> list[str]:
    """What a fit found, as opposed to what it was given."""
    found = ["pose", "expression"] + ["shape"] * bool(problem.modes)
    several = len(problem.views) > 1
    for v, view in enumerate(problem.views):
        of_view = f" of view {v + 1}" if several else ""
        found += [f"focal length{of_view}"] * view.solve_focal + [f"place{of_view}"] * view.solve_pose
    return found


def _face_size(problem: Problem) -> tuple[Array, Array]:
    """(F,) how far landmarks spread in px, and (F,) how visible they are on the whole, in the view that is best."""
    size, seen = np.full(problem.frames, 1e-9), np.zeros(problem.frames)
    for view in problem.views:
        there = view.weight > 0
        count = np.maximum(there.sum(1), 1)
        middle = (view.xy * there[..., None]).sum(1) / count[:, None]
        square = (((view.xy - middle[:, None]) ** 2).sum(-1) * there).sum(1) / count
        size = np.maximum(size, np.sqrt(square))
        seen = np.maximum(seen, view.weight.sum(1) / count)
    return size, seen


def _status(
    error: Array, floor: float, count: NDArray[np.int64], sigmas: Array, suspect: NDArray[np.bool_]
) -> list[str]:
    typical = float(np.nanmedian(error)) if np.isfinite(error).any() else 0.0
    spread = 1.4826 * float(np.nanmedian(np.abs(error - typical))) if np.isfinite(error).any() else 0.0
    limit = max(typical + 4.0 * spread + 0.25 * typical, floor)
    status = []
    for e, c, s, odd in zip(error, count, sigmas, suspect, strict=True):
        if c < FEWEST_LANDMARKS:
            status.append(BRIDGED)
        elif e > limit or s[0] > np.radians(3.0) or c < _ENOUGH or odd:
            status.append(DOUBTFUL)
        else:
            status.append(GOOD)
    return status


def _focal(
    problem: Problem, minimum: Minimum, strange: float
) -> tuple[list[float], list[list[float]], list[bool], list[str]]:
    """Focal lengths, their intervals of 95 %, which were solved, and notes on those that are not determined.

    `strange` as `_strangeness` has it.
    """
    notes: list[str] = []
    focal, interval, solved = [], [], []
    sigmas = iter(_focal_sigmas(problem, minimum, strange))
    for v, view in enumerate(problem.views):
        value = float(np.median(view.fx) * minimum.state.focal[v])
        focal.append(value)
        solved.append(view.solve_focal)
        if problem.focal_column[v] < 0:
            interval.append([value, value])
            continue
        sigma = next(sigmas)
        interval.append([float(value * np.exp(-1.96 * sigma)), float(value * np.exp(1.96 * sigma))])
        if sigma > _DETERMINED:
            notes.append(
                f"The focal length of view {v + 1} is not determined by this shot ({interval[-1][0]:.0f} to "
                f"{interval[-1][1]:.0f} px): give the camera, or a frame in which the face comes nearer."
            )
    return focal, interval, solved, notes


def _focal_sigmas(problem: Problem, minimum: Minimum, strange: float) -> list[float]:
    """Standard deviations of the logarithms of the solved focal lengths; their prior's where nothing else is known."""
    prior = problem.settings.focal_prior
    solved = sum(column >= 0 for column in problem.focal_column)
    if not solved:
        return []
    try:
        honest = strange * focal_sigmas(problem, minimum)
    except np.linalg.LinAlgError:
        return [prior] * solved
    return [float(1.0 / np.sqrt(1.0 / s**2 + 1.0 / prior**2)) for s in honest]
