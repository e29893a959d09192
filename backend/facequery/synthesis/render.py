"""The renderer: a scene's meshes into a z-buffer at twice the size, shaded where it shows, with exact geometry."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from facequery.head.model import HeadModel
from facequery.synthesis import kernels, shading
from facequery.synthesis.glasses import Lens
from facequery.synthesis.library import Library
from facequery.synthesis.lighting import irradiance
from facequery.synthesis.meshes import Extra, HeadMesh
from facequery.synthesis.scene import Scene
from facequery.synthesis.shade_light import lit
from facequery.synthesis.shade_surface import surfaces
from facequery.synthesis.stage import Stage

_SHADOW_SIDE = 160
_SHADOW_HALF = 0.24  # metres that the shadow map reaches from the head's middle
_CULLED_KINDS = (shading.SKIN, shading.EYE, shading.TOOTH, shading.MOUTH)


@dataclass(frozen=True)
class Render:
    """What the renderer knows of a picture of S x S pixels.

    colour (S, S, 3) float32 linear light, premultiplied; coverage (S, S) 0..1; depth (S, S) metres to the nearest
    opaque surface, inf for none; nearness (2 S, 2 S) inverse depth of the z-buffer, 0 for none; vertices (V, 3) the
    head's, canonical (all of the model's, bones too); normals (V', 3) of the drawn ones, canonical; focal, cx, cy in
    pixels; illuminant (3,) the light's colour.
    """

    scene: Scene
    size: int
    colour: NDArray[np.float32]
    coverage: NDArray[np.float32]
    depth: NDArray[np.float32]
    nearness: NDArray[np.float32]
    vertices: NDArray[np.float32]
    normals: NDArray[np.float32]
    focal: float
    cx: float
    cy: float
    illuminant: NDArray[np.float64]

    def project(self, points: NDArray) -> NDArray[np.float64]:
        """Pixels (..., 2) of camera-space points (..., 3)."""
        p = np.asarray(points, np.float64)
        return np.stack(
            [self.focal * p[..., 0] / p[..., 2] + self.cx, self.focal * p[..., 1] / p[..., 2] + self.cy], -1
        )


class Renderer:
    """Renders scenes of one head model with one library. Keeps its buffers: one renderer per thread."""

    def __init__(self, model: HeadModel, library: Library):
        self.model, self.library = model, library
        self.mesh = HeadMesh.of(model)
        linear = np.arange(256) / 255.0
        self._to_linear = np.where(linear <= 0.04045, linear / 12.92, ((linear + 0.055) / 1.055) ** 2.4).astype(
            np.float32
        )
        self._empty_overlay = np.zeros((*library.surface.covered.shape, 4), np.uint8)
        self._levels = [_Level([s.texture for s in library.skins], library.surface.masks, library.brows)]
        for _ in range(2):
            self._levels.append(self._levels[-1].coarser())
        # Portraits are kept at half the resolution, so their finest level is the second.
        portraits = [p.texture for p in library.portraits]
        for k, level in enumerate(self._levels):
            if k > 1:
                portraits = [_halved(p) for p in portraits]
            level.skins.extend(portraits)
        height = library.surface.covered.shape[0]
        along = np.diff(library.surface.positions[height // 4 : height // 2, height // 4 : 3 * height // 4], axis=1)
        self._texel = float(np.median(np.linalg.norm(along, axis=-1)))  # metres, in the middle of the face
        self._stage = Stage(model, self.mesh)
        self._scratch = _Scratch(0)
        self._no_shadow = np.zeros((2, 2), np.float32)

    def render(
        self,
        scene: Scene,
        size: int,
        vertices: NDArray | None = None,
        normals: NDArray | None = None,
        extras: Sequence[Extra] = (),
        lenses: Sequence[Lens] = (),
        overlay: NDArray[np.uint8] | None = None,
    ) -> Render:
        """Renders a scene at `size` pixels.

        vertices (V, 3): the model's, canonical, already evaluated (else the model is asked), normals of the drawn ones;
        extras: further meshes in camera space; lenses: panes of glasses, blended over; overlay
        (H, W, 4) uint8: paint on the skin's texture, alpha last.
        """
        view = scene.view
        if vertices is None:
            vertices = self.model.vertices(scene.identity, scene.expression)
        if normals is None:
            normals = self.normals(vertices)
        self._stage.set(vertices, normals, view.rotation, view.translation, scene.head_rows, extras)
        return self._draw(scene, size, self._stage, vertices, normals, overlay, lenses)

    def normals(self, vertices: NDArray) -> NDArray[np.float32]:
        """Unit normals (V', 3) of the drawn vertices of canonical (or camera-space) vertices (V, 3)."""
        drawn = np.ascontiguousarray(vertices[: self.mesh.vertex_count], np.float32)
        normals = np.empty_like(drawn)
        kernels.vertex_normals(drawn, self.mesh.triangles, normals)
        return normals

    def _draw(
        self,
        scene: Scene,
        size: int,
        a: Stage,
        vertices: NDArray,
        normals: NDArray,
        overlay: NDArray | None,
        lenses: Sequence[Lens],
    ) -> Render:
        view, library, light = scene.view, self.library, scene.light
        focal, cx, cy = np.float32(view.focal * size), np.float32(view.cx * size), np.float32(view.cy * size)
        for run in a.vertex_runs:
            kernels.project(a.points[run], focal, focal, cx, cy, np.float32(2.0), a.screen[run])
        kinds = a.table[:, shading.KIND].astype(int)
        culled = np.isin(kinds, _CULLED_KINDS).astype(np.int32)
        room = 4 * size * size
        scratch = self._scratch if self._scratch.room >= room else _Scratch(room)
        self._scratch = scratch
        ids = scratch.ids[:room].reshape(2 * size, 2 * size)
        ids.fill(-1)
        best = np.zeros((2 * size, 2 * size), np.float32)
        for first, last in a.runs:
            kernels.fill(
                first, last, a.screen, a.triangles, a.material, culled, a.layers, a.corner_uv, library.hair_alpha, 110,
                ids, best,
            )  # fmt: skip
        sample_tri, sample_xy, sample_pixel = scratch.triangles, scratch.xy, scratch.pixels
        sample_weight, surface = scratch.weights, scratch.surface
        depth = np.empty((size, size), np.float32)
        group = np.arange(len(a.table), dtype=np.int32)
        samples = kernels.plan_samples(
            ids, best, a.material, group, sample_tri, sample_xy, sample_pixel, sample_weight, depth
        )
        middle = (view.rotation @ np.array([0.0, -0.02, -0.05]) + view.translation).astype(np.float32)
        shadow_map, basis = self._no_shadow, np.eye(3, dtype=np.float32)
        if len(light.lamps) and light.shadow > 0:
            shadow_map, basis = self._shadow_map(a, light.lamps[0], middle, culled)
        sh = irradiance(library.environments[light.environment], light.turn, light.ambient)
        sh[1:] *= np.float32(1 - light.flat)
        pixel = float(middle[2]) / float(focal)  # metres
        finest = int(scene.skin >= len(library.skins))
        level = self._levels[int(np.clip(np.log2(max(pixel / self._texel, 1e-3)) + 0.4, finest, len(self._levels) - 1))]
        parameters = scene.skin_parameters
        if overlay is not None:
            parameters = parameters.copy()
            parameters[shading.OVERLAY] = 1
        colour = np.zeros((size * size, 3), np.float32)
        coverage = np.zeros(size * size, np.float32)
        surfaces(
            samples, sample_tri, sample_xy,
            a.points, a.normals, a.rest, a.occlusion, a.triangles, a.corner_uv, a.material, a.table,
            focal, focal, cx, cy,
            parameters, level.skins[scene.skin], level.masks, level.brows,
            self._empty_overlay if overlay is None else overlay, library.noise, library.hair_shade,
            library.irises if len(library.irises) else np.zeros((1, 8, 8, 3), np.uint8), self._to_linear, surface,
        )  # fmt: skip
        lit(
            samples, sample_xy, sample_pixel, sample_weight, surface, focal, focal, cx, cy,
            sh, light.lamps, light.colours, shadow_map, basis, middle, np.float32(_SHADOW_HALF),
            np.float32(light.shadow if len(light.lamps) else 0.0),
            (view.rotation @ np.array([0.0, -1.0, 0.0])).astype(np.float32), colour, coverage,
        )  # fmt: skip
        picture, alpha = colour.reshape(size, size, 3), coverage.reshape(size, size)
        contact_shadow(picture, depth, float(focal))
        for lens in lenses:
            self._blend_lens(scene, lens, picture, alpha, best, sh)
        return Render(
            scene, size, picture, alpha, depth, best, vertices, normals, float(focal), float(cx), float(cy),
            np.maximum(sh[0], 0.01).astype(float) + 0.5 * light.colours.sum(0),
        )  # fmt: skip

    def _blend_lens(
        self, scene: Scene, lens: Lens, colour: NDArray, coverage: NDArray, best: NDArray, sh: NDArray
    ) -> None:
        """Blends a pane over the picture where nothing is before it; dark panes are written into the z-buffer."""
        size, view = len(coverage), scene.view
        screen = np.empty((len(lens.vertices), 4), np.float32)
        f, cx, cy = (np.float32(v * size) for v in (view.focal, view.cx, view.cy))
        kernels.project(lens.vertices, f, f, cx, cy, np.float32(2.0), screen)
        ids = np.full(best.shape, -1, np.int32)
        covered = best if lens.dark else best.copy()
        zero = np.zeros(len(lens.triangles), np.int32)
        kernels.fill(
            0, len(zero), screen, lens.triangles, zero, zero[:1], zero[:1] - 1, np.zeros((len(zero), 3, 2), np.float32),
            self.library.hair_alpha, 110, ids, covered,
        )  # fmt: skip
        share = cv2.resize((ids >= 0).astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
        rows, columns = np.flatnonzero(share.any(1)), np.flatnonzero(share.any(0))
        if len(rows) == 0:
            return
        box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        pane = share[box][..., None]
        sky = lens.colour * np.maximum(sh[0], 0) * lens.opacity
        if lens.reflection > 0:
            environment = self.library.environments[scene.light.environment]
            h, w = environment.picture.shape[:2]
            corner = scene.seed % (h // 3), (scene.seed // 97) % (w // 2)
            window = environment.picture[corner[0] : corner[0] + h // 3, corner[1] : corner[1] + w // 4]
            mirrored = cv2.resize(window, (pane.shape[1], pane.shape[0]), interpolation=cv2.INTER_LINEAR)
            sky = sky + np.minimum(mirrored, 6.0) * (0.15 * lens.reflection * scene.light.ambient)
        opacity = pane * lens.opacity
        colour[box] = colour[box] * (1 - opacity) + pane * sky
        coverage[box] = coverage[box] * (1 - opacity[..., 0]) + opacity[..., 0]

    def _shadow_map(self, a: Stage, lamp: NDArray, middle: NDArray, culled: NDArray) -> tuple[NDArray, NDArray]:
        x, y, z = (float(v) for v in lamp)
        right = np.array([z, 0.0, -x]) if abs(y) < 0.9 else np.array([0.0, -z, y])  # across the lamp
        right /= np.sqrt(right @ right)
        p, q, r = (float(v) for v in right)
        down = np.array([q * z - r * y, r * x - p * z, p * y - q * x])
        basis = np.array([right, down, lamp], np.float32)
        for run in a.vertex_runs:
            kernels.project_light(
                a.points[run], basis, middle, np.float32(_SHADOW_HALF), np.float32(_SHADOW_SIDE), a.screen[run]
            )
        ids = np.full((_SHADOW_SIDE, _SHADOW_SIDE), -1, np.int32)
        best = np.zeros((_SHADOW_SIDE, _SHADOW_SIDE), np.float32)
        # What lies inside the head casts no shadow that could be seen.
        for first, last in ((0, self.mesh.skin_triangles), a.runs[-1]):
            kernels.fill(
                first, last, a.screen, a.triangles, a.material, culled, a.layers, a.corner_uv,
                self.library.hair_alpha, 110, ids, best,
            )  # fmt: skip
        return best, basis


def contact_shadow(colour: NDArray, depth: NDArray, focal: float) -> None:
    """Darkens, in place, what lies just behind its surroundings: under lids, beside the nose, under hair and glasses.

    An ambient occlusion in screen space (Mittring 2007, Finding Next Gen): the mean depth of the neighbourhood, some 12
    and 4 mm wide, against the pixel's own.
    """
    size = len(depth)
    half = (size + 1) // 2
    coarse = cv2.resize(depth, (half, half), interpolation=cv2.INTER_NEAREST)  # soft shadows need no more
    seen = coarse < np.inf
    if not seen.any():
        return
    middle = float(coarse[seen].mean())
    filled = np.where(seen, coarse, np.float32(middle + 0.05))
    dark = np.zeros_like(filled)
    for reach in (0.012, 0.004):
        radius = max(round(reach * focal / middle / 2), 1)
        behind = filled - cv2.blur(filled, (2 * radius + 1, 2 * radius + 1))
        dark += np.clip(behind * np.float32(1 / reach) - np.float32(0.05), 0, 1)
    light = cv2.resize(1 - np.minimum(np.float32(0.35) * dark, np.float32(0.6)), (size, size))
    kernels.dim(colour, light)


def _halved(texture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(texture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))


@dataclass(frozen=True)
class _Level:
    """The skin's textures at one resolution: skins, each (H, W, 3), masks (H, W, 8), brows (L, H, H)."""

    skins: list[NDArray]
    masks: NDArray
    brows: NDArray

    def coarser(self) -> "_Level":
        """Half the resolution; a pixel then covers about a texel, and nothing flickers."""
        if min(self.masks.shape[0], self.brows.shape[1]) < 16:
            return self
        skins = [_halved(s) for s in self.skins]
        halves = (self.masks[..., :4], self.masks[..., 4:])  # OpenCV resizes four channels at most
        masks = [cv2.resize(m, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for m in halves]
        brows = [cv2.resize(b, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for b in self.brows]
        return _Level(skins, np.ascontiguousarray(np.concatenate(masks, -1)), np.stack(brows))


class _Scratch:
    """What the kernels write for each other, for pictures of up to `room` samples: fresh arrays cost page faults."""

    def __init__(self, room: int):
        self.room = room
        self.ids, self.triangles, self.pixels = (np.empty(room, np.int32) for _ in range(3))
        self.xy, self.weights = np.empty((room, 2), np.float32), np.empty(room, np.float32)
        self.surface = np.empty((room, shading.SURFACE_COLUMNS), np.float32)
