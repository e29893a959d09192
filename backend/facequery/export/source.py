"""What an adapter is given: one view's tracks, camera and fits, already chosen, numbered and, if asked, undistorted."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facequery.detection.tracks import Tracks
from facequery.errors import UserError
from facequery.fitting.results import FaceFit, RigidFit
from facequery.geometry.cameras import Camera

VISIBLE = 0.5  # probability from which a point counts as seen

Report = Callable[[int, int], None]  # done, in all


@dataclass(frozen=True, eq=False)
class Source:
    """N points over F frames, and what was fitted to them.

    `name` is the shot's. `frames` (F,) are the numbers to write: those of the plate, or counted from another start;
    they keep the plate's gaps. `xy` (F, N, 2) are plate pixels as filmed (x right, y down, the top-left pixel covers
    [0, 1)), or those of an ideal pinhole camera when `undistorted`; NaN where there is nothing. `usable` (F, N): there
    is a position, the point is seen and in the picture (or only the first, if hidden points are kept). `quads` (Q, 4)
    are columns: lower left, lower right, upper right, upper left of each corner pin. `camera` has the frames'
    rows, or one; `first_camera` is that of the first view, in whose camera space `face`, `skull` and `jaw` stand, with
    F rows each. `timecode` is that of the first frame, or None. `plate` is the
    path of the pictures, `folder` that of the job.
    """

    name: str
    frames: NDArray[np.int64]
    xy: NDArray[np.float64]
    sigma: NDArray[np.float64]
    visible: NDArray[np.float64]
    usable: NDArray[np.bool_]
    names: tuple[str, ...]
    ids: tuple[str, ...]
    groups: tuple[str, ...]
    quads: NDArray[np.int64]
    width: int
    height: int
    fps: float
    pixel_aspect: float = 1.0
    undistorted: bool = False
    camera: Camera | None = None
    first_camera: Camera | None = None
    face: FaceFit | None = None
    skull: RigidFit | None = None
    jaw: RigidFit | None = None
    timecode: str | None = None
    plate: str = ""
    folder: Path | None = None
    report: Report | None = field(default=None, repr=False)

    @property
    def y_up(self) -> NDArray[np.float64]:
        """`xy` with y counted upwards from the picture's lower edge."""
        return self.xy * [1.0, -1.0] + [0.0, float(self.height)]

    def rows(self, point: int) -> NDArray[np.int64]:
        """Indices of the frames in which a point is usable, rising."""
        return np.flatnonzero(self.usable[:, point])

    def need_points(self) -> None:
        """Raise UserError when no point can be written in any frame."""
        if not self.usable.any():
            raise UserError("None of the points is seen in any frame.", "Choose others, or keep hidden ones.", "FQ505")

    def need_face(self) -> FaceFit:
        """The fitted face. Raises UserError when the job has none."""
        if self.face is None:
            raise UserError("The job has no fitted face.", "Track with --fit face.", "FQ503")
        return self.face

    def need_camera(self) -> Camera:
        """The camera. Raises UserError when the job has none."""
        if self.camera is None:
            raise UserError("The job has no camera.", "Track with --fit face, or give one with --camera.", "FQ503")
        return self.camera


def source_from_tracks(
    name: str,
    tracks: Tracks,
    camera: Camera | None = None,
    *,
    points: Sequence[str] | None = None,
    quads: Sequence[Sequence[str]] = (),
    undistorted: bool = False,
    start: int | None = None,
    keep_hidden: bool = False,
    timecode: str | None = None,
    first_camera: Camera | None = None,
    face: FaceFit | None = None,
    skull: RigidFit | None = None,
    jaw: RigidFit | None = None,
) -> Source:
    """Choose the points by id or name (None: all; those of `quads` are always among them), number the frames from
    `start`, undistort.

    Raises UserError for a point that is not there, a quad that is not of four, or undistorting without a camera.
    """
    columns = list(range(len(tracks.queries))) if points is None else [_column(tracks, point) for point in points]
    if len(set(columns)) != len(columns):
        raise UserError("A point is named twice.", code="FQ504")
    corners = []
    for quad in quads:
        if len(quad) != 4:
            raise UserError(f"A corner pin needs 4 points, not {len(quad)}.", code="FQ504")
        corners.append([_column(tracks, point) for point in quad])
        columns += [c for c in corners[-1] if c not in columns]
    xy = np.asarray(tracks.xy[:, columns], np.float64)
    sigma, visible = (np.asarray(a[:, columns], np.float64) for a in (tracks.sigma, tracks.visible))
    usable = np.isfinite(xy).all(-1)
    if not keep_hidden:
        with np.errstate(invalid="ignore"):
            inside = ((xy >= 0) & (xy <= [tracks.width, tracks.height])).all(-1)
        usable &= inside & (visible >= VISIBLE)
    here = None if camera is None else camera.for_frames(tracks.frames)
    if undistorted:
        if here is None:
            raise UserError("The job has no camera to undistort with.", "Track with --camera, or fit one.", "FQ503")
        xy = here.undistort(xy)
        usable &= np.isfinite(xy).all(-1)
    shift = 0 if start is None else start - int(tracks.frames[0])
    q = tracks.queries
    return Source(
        name=name,
        frames=np.asarray(tracks.frames, np.int64) + shift,
        xy=xy,
        sigma=sigma,
        visible=visible,
        usable=usable,
        names=_unique([q.names[c] for c in columns]),
        ids=tuple(q.ids[c] for c in columns),
        groups=tuple(q.groups[c] for c in columns),
        quads=np.array([[columns.index(c) for c in quad] for quad in corners], np.int64).reshape(-1, 4),
        width=tracks.width,
        height=tracks.height,
        fps=tracks.fps,
        pixel_aspect=tracks.pixel_aspect,
        undistorted=undistorted,
        camera=here,
        first_camera=here if first_camera is None else first_camera.for_frames(tracks.frames),
        face=face,
        skull=skull,
        jaw=jaw,
        timecode=timecode,
    )


def plain_name(text: str) -> str:
    """A name of letters, digits and underlines, for formats that know no others; it never starts with a digit."""
    name = re.sub(r"[^0-9A-Za-z_]+", "_", text).strip("_") or "point"
    return f"p{name}" if name[0].isdigit() else name


def plain_names(names: Sequence[str]) -> tuple[str, ...]:
    """`plain_name` of all, numbered where two became the same."""
    return _unique([plain_name(name) for name in names])


def _column(tracks: Tracks, point: str) -> int:
    for known in (tracks.queries.ids, tracks.queries.names):
        if point in known:
            return known.index(point)
    raise UserError(f'The tracks have no point "{point}".', "`facequery export JOB --format csv` lists them.", "FQ504")


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    """The names, with _2, _3, ... where one came before: most programs join tracks of the same name."""
    taken: set[str] = set()
    result = []
    for name in names:
        fresh, count = name, 1
        while fresh in taken:
            count += 1
            fresh = f"{name}_{count}"
        taken.add(fresh)
        result.append(fresh)
    return tuple(result)
