"""What a fit minimises: robust reprojection of all landmarks in all frames and views, priors and smoothness.

Unknowns of one frame (62): rotation (3, radians, turns the head in the world: R <- exp(w) R), translation (3, metres),
52 expression weights, yaw and pitch of each eye (4). Shared: identity (K), and per view that is solved the logarithm
of its focal length (1) and its pose (6: rotation, translation of world to camera), and per view the errors that its
landmarks have in common (2 M).

Where the focal length of the first view is solved, the depth of the head is carried along with it (z / f stays): the
picture then hardly changes with f, and what remains is perspective alone. This keeps the system well conditioned.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from facequery.fitting.arrow import ArrowSystem
from facequery.fitting.common import SHORT
from facequery.fitting.points import JawMotion, PointBasis, evaluate, eye_angles, frame_jacobian, jaw_motion
from facequery.fitting.rows import fill_rows
from facequery.fitting.settings import FitSettings
from facequery.fitting.smoothness import grouped, second_differences
from facequery.fitting.state import EXPRESSION, EYES, PER_FRAME, State, View
from facequery.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle

if TYPE_CHECKING:
    from facequery.head.model import HeadModel

Array = NDArray[np.float64]
Moved = tuple[Array, JawMotion]
_CHUNK = 4000  # landmarks whose Jacobian is held at once
_THREADS = 2  # that build the normal equations
_NEAR = 1e-3  # metres: nothing is seen nearer to the camera than this


@dataclass
class Problem:
    """The cost of a fit and its normal equations. `times` (F,): the frames' places in time, 25 to a second."""

    model: "HeadModel"
    basis: PointBasis
    views: list[View]
    settings: FitSettings
    times: Array
    lock_identity: bool = False
    lock_shared: bool = False  # frames alone: identity and cameras stay as they are
    robust: float = 4.0
    model_error: float = 0.0  # metres: what the model cannot follow, added to sigma
    data_weight: float = 1.0  # share of the landmarks that count as independent of each other
    expression_weight: float = 1.0  # of the expression prior: less where landmarks agree better than their sigma says
    common: float = 0.0  # share of the landmarks' variance in which they are wrong together
    identity_weight: float = 1.0  # how often priors on what is shared count, for frames that are not independent
    focal_tilt: tuple[float, ...] = ()  # per view: slope of a cost that is linear in the logarithm of its focal length
    frozen: NDArray[np.bool_] | None = None  # (F,) frames that stay as they are
    upper: Array | None = None  # (F, 52) bounds of the expressions, where it is not 1
    names: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.names = list(self.model.expression_names)
        self.modes = 0 if self.lock_identity or self.lock_shared else self.basis.identity.shape[2]
        sizes = [size for view in self.views for size in (view.solve_focal, 6 * view.solve_pose)]
        sizes += [2 * view.alike.shape[1] for view in self.views]
        sizes = [0 if self.lock_shared else size for size in sizes]
        ends = self.modes + np.cumsum(sizes)
        first = [int(end) - size if size else -1 for end, size in zip(ends, sizes, strict=True)]
        cameras = 2 * len(self.views)
        self.focal_column, self.pose_column = first[:cameras:2], first[1:cameras:2]
        self.common_column = first[cameras:]
        self.shared = int(ends[-1])
        self._columns: list[NDArray[np.float32]] = []
        self._gaze = self._gaze_map()
        self._stencil = second_differences(self.times)

    @property
    def frames(self) -> int:
        return len(self.times)

    def _linear_columns(self) -> list[NDArray[np.float32]]:
        """Derivative (N, 3, 56 + K) of the canonical points by expression, eyes and identity, but for jaw and eyes.

        Made once for each thread; `frame_jacobian` overwrites the rest for each frame, always in the same places.
        """
        if not self._columns:
            columns = np.zeros((len(self.basis.rest), 3, 56 + self.modes), np.float32)
            columns[:, :, :52] = self.basis.expression
            if self.modes:
                columns[:, :, 56:] = self.basis.identity
            self._columns = [columns, *(columns.copy() for _ in range(_THREADS - 1))]
        return self._columns

    # ---- landmarks -----------------------------------------------------------------------------------------------

    def canonical(self, state: State) -> Array:
        """(F, N, 3) canonical positions of the landmarks."""
        jaw = jaw_motion(self.model, state.identity, state.expression, derivatives=False)
        return evaluate(self.basis, state.identity, state.expression, state.eyes, jaw)

    def project(self, state: State) -> tuple[list[Array], list[Array]]:
        """Per view the ideal pixels (F, N, 2) and the depth (F, N) metres of every landmark."""
        points = self.canonical(state)
        world = points @ np.swapaxes(state.rotation, 1, 2) + state.translation[:, None]
        pixels, depths = [], []
        for v, view in enumerate(self.views):
            rotation, translation = self.to_camera(state, v)
            seen = world @ np.swapaxes(rotation, 1, 2) + translation[:, None]
            z = np.maximum(seen[..., 2], _NEAR)
            u = view.fx[:, None] * state.focal[v] * seen[..., 0] / z + view.cx[:, None]
            w = view.fy[:, None] * state.focal[v] * seen[..., 1] / z + view.cy[:, None]
            pixels.append(np.stack([u, w], -1))
            depths.append(seen[..., 2])
        return pixels, depths

    def errors(self, state: State, v: int) -> Array:
        """(F, N, 2) px by which the landmarks of view v are wrong in common."""
        view = self.views[v]
        return view.size[:, None, None] * self._wrong * (view.alike @ state.common[v])

    @property
    def _wrong(self) -> float:
        """Standard deviation, in sigma, of what landmarks get wrong in common beyond what any have."""
        return float(np.sqrt(SHORT * max(self.common - self.settings.correlation, 0.0)))

    def gaps(self, state: State) -> tuple[list[Array], list[Array]]:
        """Per view how far (F, N, 2) px the model with the errors in common misses the landmarks, and their depth."""
        pixels, depths = self.project(state)
        return [p + self.errors(state, v) - self.views[v].xy for v, p in enumerate(pixels)], depths

    def to_camera(self, state: State, v: int) -> tuple[Array, Array]:
        """Rotation (F, 3, 3) and translation (F, 3) of view v, from the world."""
        view = self.views[v]
        if not view.solve_pose:
            return view.rotation, view.translation
        rotation = state.camera_rotation[v] @ view.rotation
        return rotation, view.translation @ state.camera_rotation[v].T + state.camera_translation[v]

    def precision(self, state: State, v: int, depth: Array) -> Array:
        """1 / variance (F, N) of a landmark of view v: its sigma and what the model cannot follow, at its depth."""
        view = self.views[v]
        blur = self.model_error * view.fy[:, None] * state.focal[v] / np.maximum(depth, 0.05)
        return 1.0 / (view.sigma**2 + blur**2)

    def residuals(self, state: State) -> tuple[list[Array], list[Array], list[Array]]:
        """Per view the gaps (F, N, 2) px between model and landmarks, their weights (F, N) in the normal equations, and
        the precision (F, N)."""
        gaps, depths = self.gaps(state)
        weights, precision = [], []
        c2 = self.robust**2  # of the Geman-McClure kernel
        for v, view in enumerate(self.views):
            inverse = self.precision(state, v, depths[v])
            kernel = (c2 / (c2 + (gaps[v] ** 2).sum(-1) * inverse)) ** 2
            weight = inverse * (self.data_weight * view.weight * kernel)
            precision.append(inverse)
            weights.append(np.where(depths[v] > _NEAR, weight, 0.0))
        return gaps, weights, precision

    # ---- cost ----------------------------------------------------------------------------------------------------

    def cost(self, state: State, precision: list[Array]) -> float:
        """Minus log posterior up to a constant. `precision` is held fixed while one set of unknowns is compared."""
        gaps, _ = self.gaps(state)
        total = self.prior_cost(state)
        c2 = self.robust**2
        for v, view in enumerate(self.views):
            square = (gaps[v] ** 2).sum(-1) * precision[v]
            total += 0.5 * self.data_weight * float((view.weight * square * c2 / (c2 + square)).sum())
        return total

    def prior_cost(self, state: State) -> float:
        """Priors and smoothness alone."""
        s = self.settings
        cost = float((state.expression / s.expression_mean).sum())
        cost += 0.5 * float(((state.expression / s.expression_spread) ** 2).sum())
        cost *= self.expression_weight
        gaze = state.eyes.reshape(-1, 4) - state.expression @ self._gaze.T
        cost += 0.5 * float(((gaze / s.gaze_prior) ** 2).sum())
        if self.modes:
            cost += 0.5 * self.identity_weight * float(((state.identity / s.identity_prior) ** 2).sum())
        if not self.lock_shared:
            cost += 0.5 * float((state.common**2).sum())
        for v, view in enumerate(self.views):
            if view.solve_focal:
                cost += 0.5 * self._focal_residual(state, v) ** 2
                cost += float(np.log(state.focal[v])) * (self.focal_tilt[v] if self.focal_tilt else 0.0)
        bends, weights = self._bends(state)
        return cost + 0.5 * float(np.log1p(grouped(bends**2 * weights)).sum())

    def _focal_residual(self, state: State, v: int) -> float:
        view, s = self.views[v], self.settings
        guess = s.focal_guess * max(view.width * s.pixel_aspect, view.height)
        return float(np.log(view.fy[0] * state.focal[v] / guess) / s.focal_prior)

    def smooth_weights(self) -> Array:
        """(62,) 1 / variance of the second difference of each unknown of a frame."""
        s = self.settings
        jerk = np.repeat([s.rotation_jerk, s.translation_jerk, s.expression_jerk, s.gaze_jerk], [3, 3, 52, 4])
        weights = 1.0 / jerk**2
        weights[EXPRESSION] *= np.sqrt(self.expression_weight)  # as far as landmarks agree, so do their movements
        return weights

    def _bends(self, state: State) -> tuple[Array, Array]:
        """Second differences (F - 2, 62) of the frames' unknowns and their weights (62,)."""
        weights = self.smooth_weights()
        if self.frames < 3:
            return np.zeros((0, PER_FRAME)), weights
        before, here, after = self._stencil.T[:, :, None]
        # Depth as its unknown has it: smoothness must not prefer a focal length.
        translation = state.translation / self.depth_scale(state)
        values = np.concatenate(
            [np.zeros((self.frames, 3)), translation, state.expression, state.eyes.reshape(-1, 4)], axis=1
        )
        bends = before * values[:-2] + here * values[1:-1] + after * values[2:]
        steps = matrix_to_axis_angle(state.rotation[1:] @ np.swapaxes(state.rotation[:-1], 1, 2))
        bends[:, :3] = after * steps[1:] - before * steps[:-1]
        return bends, weights

    def depth_scale(self, state: State) -> Array:
        """(3,) translation over its unknowns: where the first view's focal length is solved, depth goes with it."""
        return np.array([1.0, 1.0, state.focal[0] if self.views[0].solve_focal else 1.0])

    def _gaze_map(self) -> Array:
        """(4, 52): yaw and pitch of both eyes by expression weight, linear through the model's own gaze at 0.5."""
        weights = np.concatenate([0.5 * np.eye(52), np.zeros((1, 52))])
        angles = eye_angles(np.asarray(self.model.gaze(weights), np.float64)).reshape(53, 4)
        return ((angles[:-1] - angles[-1]) / 0.5).T

    # ---- normal equations ----------------------------------------------------------------------------------------

    def linearise(self, state: State) -> tuple[ArrowSystem, list[Array]]:
        """Gauss-Newton normal equations at `state`, and the precision per view that they were made with."""
        system = ArrowSystem.zeros(self.frames, PER_FRAME, self.shared)
        points, jaw = self.moved(state)
        gaps, weights, precision = self.residuals(state)

        def part(frames: NDArray[np.int64], columns: NDArray[np.float32]) -> tuple[Array, Array]:
            """Adds some frames to the system; returns what they add to what is shared."""
            shared, shared_gradient = np.zeros_like(system.shared), np.zeros_like(system.shared_gradient)
            p = PER_FRAME
            for f in frames:
                frame_jacobian(self.basis, state.identity, state.eyes, jaw, f, self.names, columns)
                for v in range(len(self.views)):
                    used = np.flatnonzero(weights[v][f])
                    for start in range(0, len(used), _CHUNK):
                        some = used[start : start + _CHUNK]
                        root = np.sqrt(weights[v][f, some])
                        rows = self._rows(state, v, f, points[f], some, columns, root).reshape(2 * len(some), -1)
                        residual = (gaps[v][f, some] * root[:, None]).reshape(-1).astype(np.float32)
                        square, gradient = rows.T @ rows, rows.T @ residual
                        system.frame[f] += square[:p, :p]
                        system.border[f] += square[:p, p:]
                        system.frame_gradient[f] += gradient[:p]
                        shared += square[p:, p:]
                        shared_gradient += gradient[p:]
            return shared, shared_gradient

        # Always the same halves, so that results do not depend on the machine.
        halves = np.array_split(np.arange(self.frames), _THREADS if self.frames >= 2 * _THREADS else 1)
        for shared, gradient in _pool().map(part, halves, self._linear_columns()):
            system.shared += shared
            system.shared_gradient += gradient
        self._add_priors(system, state)
        return system, precision

    def _rows(
        self,
        state: State,
        v: int,
        f: int,
        points: Array,
        some: NDArray[np.int64],
        columns: NDArray[np.float32],
        root: Array,
    ) -> NDArray[np.float32]:
        """Jacobian (n, 2, 62 + S) of the pixels of the landmarks `some` (n,) in frame f of view v; see `fill_rows`."""
        view = self.views[v]
        rotation, translation = self.to_camera(state, v)
        solved = state.camera_translation[v] if view.solve_pose else np.zeros(3)
        head = np.concatenate([state.rotation[f], state.translation[f, :, None]], axis=1)
        camera = np.concatenate([rotation[f], np.stack([translation[f], solved], 1)], axis=1)
        scales = np.array([view.fx[f] * state.focal[v], view.fy[f] * state.focal[v], self.depth_scale(state)[2]])
        places = np.array([self.focal_column[0], self.focal_column[v], self.pose_column[v]])
        places = np.where(places >= 0, places + PER_FRAME, -1)
        out = np.empty((len(some), 2, PER_FRAME + self.shared), np.float32)
        fill_rows(points, some, columns, root, head, camera, scales, places, _NEAR, out)
        if self.common_column[v] >= 0:
            at, wide = PER_FRAME + self.common_column[v], view.alike.shape[1]
            own = (self._wrong * view.size[f] * root)[:, None] * view.alike[some]
            out[:, 0, at : at + wide] = out[:, 1, at + wide : at + 2 * wide] = own
        return out

    def jacobian(
        self, state: State, v: int, f: int, some: NDArray[np.int64] | None = None, moved: Moved | None = None
    ) -> NDArray[np.float32]:
        """Jacobian (n, 2, 62 + S) of the pixels of one frame of one view by its unknowns and the shared ones.

        `some` (n,): of these landmarks alone; `moved`: what `moved(state)` gave, for many frames of one state.
        """
        points, jaw = moved or self.moved(state)
        columns = self._linear_columns()[0]
        frame_jacobian(self.basis, state.identity, state.eyes, jaw, f, self.names, columns)
        some = np.arange(len(columns)) if some is None else some
        return self._rows(state, v, f, points[f], some, columns, np.ones(len(some)))

    def moved(self, state: State) -> Moved:
        """The canonical landmarks (F, N, 3) of a state and its jaw."""
        jaw = jaw_motion(self.model, state.identity, state.expression, by_identity=self.modes > 0)
        return self.canonical(state), jaw

    def _add_priors(self, system: ArrowSystem, state: State) -> None:
        s = self.settings
        where = np.arange(6, 58)
        pull = 1.0 / s.expression_mean + state.expression / s.expression_spread**2
        system.frame_gradient[:, EXPRESSION] += self.expression_weight * pull
        system.frame[:, where, where] += self.expression_weight / s.expression_spread**2
        gaze_rows = np.concatenate([np.zeros((4, 6)), -self._gaze, np.eye(4)], axis=1) / s.gaze_prior
        residual = (state.eyes.reshape(-1, 4) - state.expression @ self._gaze.T) / s.gaze_prior
        system.frame += gaze_rows.T @ gaze_rows
        system.frame_gradient += residual @ gaze_rows
        if self.modes:
            modes = np.arange(self.modes)
            system.shared[modes, modes] += self.identity_weight / s.identity_prior**2
            system.shared_gradient[modes] += self.identity_weight * state.identity / s.identity_prior**2
        for v, column in enumerate(self.common_column):
            if column >= 0:
                at = np.arange(column, column + state.common[v].size)
                system.shared[at, at] += 1.0
                system.shared_gradient[at] += state.common[v].T.ravel()
        for v, column in enumerate(self.focal_column):
            if column >= 0:
                system.shared[column, column] += 1.0 / s.focal_prior**2
                system.shared_gradient[column] += self._focal_residual(state, v) / s.focal_prior
                system.shared_gradient[column] += self.focal_tilt[v] if self.focal_tilt else 0.0
        bends, weights = self._bends(state)
        if not len(bends):
            return
        relief = 1.0 / (1.0 + grouped(bends**2 * weights))
        weights = weights * np.repeat(relief, [3, 3, *[1] * 52, 2, 2], axis=1)
        index = np.arange(PER_FRAME)
        for k in range(3):
            part = self._stencil[:, k, None]
            rows = slice(k, k + len(bends))
            system.frame_gradient[rows] += part * bends * weights
            system.frame[rows, index, index] += part**2 * weights
            system.smooth[rows] += part**2 * weights
        before, here, after = self._stencil.T[:, :, None]
        system.next[:-1] += before * here * weights
        system.next[1:] += here * after * weights
        system.after += before * after * weights

    # ---- moving --------------------------------------------------------------------------------------------------

    @property
    def most(self) -> Array | float:
        """The greatest expression weights: 1, or (F, 52)."""
        return 1.0 if self.upper is None else self.upper

    def free(self, state: State, gradient: Array) -> NDArray[np.bool_]:
        """(F, 62) which unknowns may move: not those of a frozen frame, nor an expression at a bound that the gradient
        pushes outwards."""
        free = np.ones(gradient.shape, bool)
        pull = gradient[:, EXPRESSION]
        free[:, EXPRESSION] = ~(((state.expression <= 0) & (pull > 0)) | ((state.expression >= self.most) & (pull < 0)))
        if self.frozen is not None:
            free[self.frozen] = False
        return free

    def step(self, state: State, frame: Array, shared: Array) -> State:
        """The state moved by a step (F, 62) and (S,), expressions kept within their bounds."""
        identity = state.identity + shared[: self.modes] if self.modes else state.identity
        focal = state.focal.copy()
        camera_rotation, camera_translation = state.camera_rotation.copy(), state.camera_translation.copy()
        common = state.common.copy()
        translation = state.translation + frame[:, 3:6] * self.depth_scale(state)
        for v in range(len(self.views)):
            if (at := self.focal_column[v]) >= 0:
                grow = float(np.exp(np.clip(shared[at], -0.5, 0.5)))
                focal[v] *= grow
                if v == 0:
                    translation[:, 2] *= grow
            if (at := self.pose_column[v]) >= 0:
                camera_rotation[v] = axis_angle_to_matrix(shared[at : at + 3]) @ camera_rotation[v]
                camera_translation[v] = camera_translation[v] + shared[at + 3 : at + 6]
            if (at := self.common_column[v]) >= 0:
                common[v] += shared[at : at + common[v].size].reshape(2, -1).T
        return replace(
            state,
            identity=identity,
            expression=np.clip(state.expression + frame[:, EXPRESSION], 0.0, self.most),
            rotation=axis_angle_to_matrix(frame[:, 0:3]) @ state.rotation,
            translation=translation,
            eyes=state.eyes + frame[:, EYES].reshape(-1, 2, 2),
            focal=focal,
            camera_rotation=camera_rotation,
            camera_translation=camera_translation,
            common=common,
        )


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, "facequery-fit")
