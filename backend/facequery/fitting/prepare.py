"""From tracks and cameras to the views of a problem: undistortion, NaN, hidden landmarks, and what cannot be fitted."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from facequery.errors import UserError
from facequery.fitting.common import common_errors
from facequery.fitting.initialise import FRONTAL, weak_perspective
from facequery.fitting.settings import FitSettings
from facequery.fitting.state import View
from facequery.geometry.cameras import Camera
from facequery.geometry.rotations import rotation_mean
from facequery.head.slide import Slide

Array = NDArray[np.float64]
FEWEST_LANDMARKS = 4  # a pose has six unknowns; with three points it is ambiguous
_REFERENCE_RATE = 25.0
_GLANCES, _GLANCED = 20, 300  # frames and landmarks for a first idea of how the head is turned
_OUTLINE = 0.1  # share of the way from the points at rest to the outline by which the way is uncertain


class Points(Protocol):
    """What a fit reads of a query set: its canonical `positions` (N, 3) metres."""

    @property
    def positions(self) -> NDArray[Any]: ...
    def __len__(self) -> int: ...


class Person(Protocol):
    """What a fit reads of an actor: `identity` (K,) and `offsets` (V, 3) metres over all vertices, or None."""

    @property
    def name(self) -> str: ...
    @property
    def identity(self) -> NDArray[Any]: ...
    @property
    def offsets(self) -> NDArray[Any] | None: ...


class Landmarks(Protocol):
    """What a fit reads of tracks: `xy` (F, N, 2) plate px, `sigma` (F, N) px, `visible` (F, N) probability, `frames`
    (F,) file numbers, the `queries` they belong to, and the picture's `width`, `height` and `fps`."""

    @property
    def xy(self) -> NDArray[Any]: ...
    @property
    def sigma(self) -> NDArray[Any]: ...
    @property
    def visible(self) -> NDArray[Any]: ...
    @property
    def frames(self) -> NDArray[Any]: ...
    @property
    def queries(self) -> Points: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def fps(self) -> float: ...


def make_views(
    tracks: Sequence[Landmarks], cameras: Sequence[Camera | None], settings: FitSettings
) -> tuple[list[View], list[Camera | None]]:
    """Views of a problem, and the cameras at the shot's frames. Raises UserError where nothing can be fitted."""
    if not tracks:
        raise UserError("There are no tracks to fit.", "Track the shot first.", "FQ410")
    if len(cameras) != len(tracks):
        raise UserError(
            f"{len(tracks)} views came with {len(cameras)} cameras.", "Give one, or none, per view.", "FQ411"
        )
    first = tracks[0]
    count = len(first.queries)
    views: list[View] = []
    at_frames: list[Camera | None] = []
    for v, (one, camera) in enumerate(zip(tracks, cameras, strict=True)):
        if not np.array_equal(one.frames, first.frames):
            raise UserError(
                f"View {v + 1} has other frames than view 1 ({len(one.frames)} against {len(first.frames)}).",
                "Track all views over the same frames.",
                "FQ412",
            )
        if len(one.queries) != count or not np.allclose(one.queries.positions, first.queries.positions, atol=1e-6):
            raise UserError(f"View {v + 1} was tracked with other points than view 1.", "Use one layout.", "FQ413")
        known = None if camera is None else camera.for_frames(one.frames)
        views.append(_view(one, known, settings, first=v == 0))
        at_frames.append(known)
    if count < FEWEST_LANDMARKS:
        raise UserError(
            f"{count} landmark{'s do' if count != 1 else ' does'} not determine where a head is.",
            f"Track at least {FEWEST_LANDMARKS}, better 20, spread over the face.",
            "FQ414",
        )
    seen = sum((view.weight > 0).sum(1) for view in views)
    if not (np.asarray(seen) >= FEWEST_LANDMARKS).any():
        raise UserError(
            f"No frame shows {FEWEST_LANDMARKS} landmarks: all are hidden, lost or not a number.",
            "Look at the tracks, or fit a range of frames in which the face is seen.",
            "FQ415",
        )
    if np.ptp(np.asarray(first.queries.positions, np.float64), axis=0).max() < 0.02:
        raise UserError(
            "All landmarks lie within 2 cm of the head: too close together to find its pose.",
            "Track points that are spread over the face.",
            "FQ416",
        )
    return views, at_frames


def _view(tracks: Landmarks, camera: Camera | None, settings: FitSettings, first: bool) -> View:
    frames = len(tracks.frames)
    xy = np.asarray(tracks.xy, np.float64)
    sigma = np.asarray(tracks.sigma, np.float64)
    visible = np.nan_to_num(np.asarray(tracks.visible, np.float64), nan=0.0)
    width, height = int(tracks.width), int(tracks.height)
    rotation = np.tile(np.eye(3), (frames, 1, 1))
    translation = np.zeros((frames, 3))
    solve_pose = not first
    if camera is None:
        guess = settings.focal_guess * max(width * settings.pixel_aspect, height)
        focal = [np.full(frames, value) for value in (guess / settings.pixel_aspect, guess, width / 2, height / 2)]
    else:
        focal = [np.array(np.broadcast_to(a, frames), np.float64) for a in (camera.fx, camera.fy, camera.cx, camera.cy)]
        with np.errstate(invalid="ignore"):
            xy = camera.undistort(xy)
    aspect = float(focal[1][0] / focal[0][0])
    slide = getattr(tracks.queries, "slide", None) if settings.silhouette else None
    if slide is not None:
        xy, sigma = _from_outline(slide, np.asarray(tracks.queries.positions, np.float64), xy, sigma, aspect)
    if camera is not None and camera.rotation is not None and camera.translation is not None:
        rotation = np.array(np.broadcast_to(camera.rotation, (frames, 3, 3)), np.float64)
        translation = np.array(np.broadcast_to(camera.translation, (frames, 3)), np.float64)
        solve_pose = False
    there = np.isfinite(xy).all(-1) & np.isfinite(sigma) & (sigma > 0)
    # A landmark far outside the picture was never seen: a network may say anything there.
    margin = 0.5 * max(width, height)
    with np.errstate(invalid="ignore"):
        there &= (xy[..., 0] > -margin) & (xy[..., 0] < width + margin)
        there &= (xy[..., 1] > -margin) & (xy[..., 1] < height + margin)
    there &= ~_collapsed(xy, there)[:, None]
    weight = settings.visible_floor + (1.0 - settings.visible_floor) * np.clip(visible, 0.0, 1.0)
    sigma = np.where(there, np.maximum(sigma, settings.sigma_floor), 1.0)
    places = np.asarray(tracks.queries.positions, np.float64)
    turned = _mean_rotation(places, xy * [aspect, 1.0], sigma, there)
    alike, size = common_errors(places, xy, sigma, there, turned, bool(settings.common_errors))
    return View(
        xy=np.where(there[..., None], xy, 0.0),
        sigma=sigma,
        alike=alike,
        size=size,
        weight=np.where(there, weight, 0.0),
        fx=focal[0],
        fy=focal[1],
        cx=focal[2],
        cy=focal[3],
        rotation=rotation,
        translation=translation,
        width=width,
        height=height,
        solve_focal=camera is None,
        solve_pose=solve_pose,
    )


def _mean_rotation(places: Array, xy: Array, sigma: Array, there: NDArray[np.bool_]) -> Array:
    """(3, 3) how the head is turned on the whole, at a glance."""
    frames = np.flatnonzero(there.any(1))[:: max(int(there.any(1).sum()) // _GLANCES, 1)]
    some = slice(None, None, max(len(places) // _GLANCED, 1))
    there = there[frames][:, some]
    seen = np.where(there[..., None], xy[frames][:, some], 0.0)
    rotation, _, _, _ = weak_perspective(places[some], seen, np.where(there, 1.0 / sigma[frames][:, some] ** 2, 0.0))
    return rotation_mean(rotation) if len(rotation) else FRONTAL


def _from_outline(slide: Slide, positions: Array, xy: Array, sigma: Array, aspect: float) -> tuple[Array, Array]:
    """Where the points at rest would be, (F, N, 2), and sigma (F, N), for contour points that lie on the outline.

    A turned head shows another line of its skin as its outline. How far that line is from the points at rest the layout
    knows by yaw; seen under the pose that the other points show, it is taken off. A tenth of it is added to sigma.
    """
    square = np.array([aspect, 1.0])
    still = slide.still(len(positions))
    there = np.isfinite(xy[:, still]).all(-1) & np.isfinite(sigma[:, still]) & (sigma[:, still] > 0)
    seen = np.where(there[..., None], xy[:, still], 0.0) * square
    weight = np.where(there, 1.0 / np.where(there, sigma[:, still], 1.0) ** 2, 0.0)
    rotation, scale, _, _ = weak_perspective(positions[still], seen, weight)
    yaw = np.degrees(np.arctan2(rotation[:, 0, 2], -rotation[:, 2, 2]))
    moved = np.asarray(slide.at(yaw), np.float64) - slide.at(0.0)
    shift = scale[:, None, None] * (moved @ np.swapaxes(rotation, 1, 2))[..., :2]
    xy, sigma = xy.copy(), sigma.copy()
    xy[:, slide.indices] -= shift / square
    sigma[:, slide.indices] = np.hypot(sigma[:, slide.indices], _OUTLINE * np.linalg.norm(shift, axis=-1))
    return xy, sigma


def _collapsed(xy: Array, there: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(F,) frames whose landmarks lie all but on a point or on a line: lost, for no face looks so."""
    count = np.maximum(there.sum(1), 1)
    points = np.where(there[..., None], xy, 0.0)
    centred = np.where(there[..., None], points - (points.sum(1) / count[:, None])[:, None], 0.0)
    spread = np.sqrt(np.linalg.eigvalsh(np.swapaxes(centred, 1, 2) @ centred / count[:, None, None]).clip(0))
    return (there.sum(1) >= FEWEST_LANDMARKS) & ((spread[:, 1] < 1.5) | (spread[:, 0] < 0.03 * spread[:, 1]))


def frame_times(frames: NDArray[Any], fps: float) -> Array:
    """(F,) the frames' places in time in units of 1/25 s, so that smoothness means the same at every frame rate."""
    numbers = np.asarray(frames, np.float64)
    if len(numbers) > 1 and not (np.diff(numbers) > 0).all():
        raise UserError("The tracks' frame numbers do not increase.", "Track the shot again.", "FQ417")
    rate = float(fps) if fps and np.isfinite(fps) and fps > 0 else _REFERENCE_RATE
    return numbers * (_REFERENCE_RATE / rate)
