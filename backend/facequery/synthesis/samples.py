"""Training samples: a face crop with the labels of a set of queries, made on the fly."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facequery.head.binding import Binding
from facequery.head.model import HeadModel
from facequery.synthesis.backgrounds import draw_background
from facequery.synthesis.expressions import ExpressionSampler
from facequery.synthesis.labels import labels, surface_points
from facequery.synthesis.library import Library
from facequery.synthesis.looks import creased
from facequery.synthesis.occluders import draw_occluder
from facequery.synthesis.off_basis import Features, OffBasisShapes
from facequery.synthesis.paint import Painter
from facequery.synthesis.picture import composed, defocus, develop, exposure, resolution
from facequery.synthesis.portrait_skins import load_portrait_skins
from facequery.synthesis.render import Render, Renderer
from facequery.synthesis.scene import Scene, sample_scene
from facequery.synthesis.settings import SampleSettings
from facequery.synthesis.wear import Wardrobe

DATASET = "renders"
_TOGETHER = 24  # heads evaluated at once: the bases pass through the cache once for all of them


@dataclass(frozen=True)
class Sample:
    """image (S, S, 3) uint8 sRGB; query (n, 3) canonical rest positions, metres; xy (n, 2) crop coordinates, exact also
    where the point is hidden or outside the crop; depth (n,) metres along the camera's axis; visible (n,) bool (always
    False for points inside the head: bones, volume); mask (n,) bool: xy is meant to be learned; index (n,) into the
    pool that was asked; identity, expression, rotation (3, 3), translation (3,) canonical -> camera; focal, cx, cy in
    units of the crop's side; yaw, pitch radians."""

    image: NDArray[np.uint8]
    query: NDArray[np.float32]
    xy: NDArray[np.float32]
    depth: NDArray[np.float32]
    visible: NDArray[np.bool_]
    mask: NDArray[np.bool_]
    index: NDArray[np.int64]
    dataset: str
    identity: NDArray[np.float32]
    expression: NDArray[np.float32]
    rotation: NDArray[np.float32]
    translation: NDArray[np.float32]
    focal: float
    cx: float
    cy: float
    yaw: float
    pitch: float


class FaceSampler:
    """Makes samples of one library with one settings object. One per process; loading takes a few seconds.

    `face_sample` makes one; `batch` shares the head's evaluation among several and is faster.
    """

    def __init__(
        self,
        settings: SampleSettings | None = None,
        split: str = "train",
        model: HeadModel | None = None,
        library: Library | None = None,
    ):
        self.settings = settings or SampleSettings()
        self.model = model or HeadModel.load()
        self.library = library or Library.load(self.model, split)
        if self.settings.portrait_skins > 0 and split == "train":
            sizes = self.model.identity_size, len(self.model.expression_names)
            self.library = replace(
                self.library, portraits=load_portrait_skins(Path(self.settings.portrait_folder), *sizes)
            )
        self.renderer = Renderer(self.model, self.library)
        self.wardrobe = Wardrobe(self.model, self.library, self.renderer.mesh)
        self.painter = Painter(self.library.surface)
        self._face_vertices = np.flatnonzero(self.model.region_mask("face"))
        self._mouth_vertices = np.flatnonzero(self.model.region_mask("lips") | self.model.region_mask("chin"))
        self.expressions = ExpressionSampler(self.model.expression_names)
        shapes = self.settings.off_basis_shapes if self.settings.off_basis > 0 else 0
        self._offsets = OffBasisShapes(self.model, split, self.settings.off_basis, shapes)
        self._features = Features.of(self.model) if self.settings.features > 0 else None
        self._surface: tuple[Binding, NDArray[np.bool_]] | None = None

    def face_sample(
        self, rng: np.random.Generator, size: int, binding: Binding, n_queries: int | None = None
    ) -> Sample:
        """One sample: an image of `size` pixels and labels of `n_queries` random points of the binding (None: all)."""
        return self.batch(rng, 1, size, binding, n_queries)[0]

    def batch(
        self, rng: np.random.Generator, count: int, size: int, binding: Binding, n_queries: int | None = None
    ) -> list[Sample]:
        """`count` samples; the same state of rng gives the same samples."""
        scenes = [self.draw_scene(rng) for _ in range(count)]
        samples = []
        for start in range(0, count, _TOGETHER):
            some = scenes[start : start + _TOGETHER]
            samples += [
                self._sample(rng, scene, v, size, binding, n_queries)
                for scene, v in zip(some, self.shapes(some), strict=True)
            ]
        return samples

    def shapes(self, scenes: list[Scene]) -> NDArray[np.float32]:
        """Canonical vertices (n, V, 3) of the scenes' heads, off-basis offsets included."""
        vertices = self.model.vertices(np.stack([s.identity for s in scenes]), np.stack([s.expression for s in scenes]))
        for scene, own in zip(scenes, vertices, strict=True):
            if scene.offsets is not None:
                own += scene.offsets
        return vertices

    def draw_scene(self, rng: np.random.Generator) -> Scene:
        """Draws a scene with this sampler's library and settings."""
        known = self.model, self.library, self.expressions, self.settings
        return sample_scene(rng, *known, self._offsets, self._features)

    def dressed(self, scene: Scene, size: int, vertices: NDArray | None = None) -> Render:
        """Dresses the scene's head, puts things in front of it, and renders it; a function of the scene alone."""
        if vertices is None:
            vertices = self.shapes([scene])[0]
        normals = self.renderer.normals(vertices)
        own = np.random.default_rng(scene.seed)
        outfit = self.wardrobe.dress(own, scene, vertices, normals, self.settings)
        extras = list(outfit.extras)
        if own.random() < self.settings.occluder:
            view = scene.view
            face, mouth = (
                vertices[some] @ view.rotation.T + view.translation
                for some in (self._face_vertices, self._mouth_vertices)
            )
            over = mouth if own.random() < self.settings.at_mouth else face
            extras.append(draw_occluder(own, scene, over, face, self.settings.hand))
        blink = [scene.expression[self.expressions.names.index(name)] for name in ("eyeBlinkLeft", "eyeBlinkRight")]
        skin = creased(outfit.skin_parameters, self.expressions.creases(scene.expression), float(max(blink)))
        dressed = replace(scene, skin_parameters=skin)
        overlay = self.painter.paint(own, scene.albedo, self.settings)
        return self.renderer.render(dressed, size, vertices, normals, extras, outfit.lenses, overlay)

    def draw(
        self, rng: np.random.Generator, scene: Scene, size: int, vertices: NDArray | None = None
    ) -> tuple[NDArray[np.uint8], Render]:
        """The finished picture (S, S, 3) of a scene, and its render, which may have fewer pixels."""
        small = resolution(rng, size, self.settings)
        render = self.dressed(scene, small, vertices)
        background = draw_background(rng, self.library, scene.light.environment, small, small)
        gain = exposure(rng, render.colour, render.coverage, float(scene.albedo.mean()), render.illuminant)
        image = composed(render.colour, render.coverage, gain, background)
        if rng.random() < self.settings.depth_of_field:
            image = defocus(rng, image, render.depth)
        return develop(rng, image, self.settings, size=(size, size)), render

    def _sample(
        self,
        rng: np.random.Generator,
        scene: Scene,
        vertices: NDArray,
        size: int,
        binding: Binding,
        n_queries: int | None,
    ) -> Sample:
        image, render = self.draw(rng, scene, size, vertices)
        if self._surface is None or self._surface[0] is not binding:
            self._surface = (binding, surface_points(binding, self.model))
        surface = self._surface[1]
        index = np.arange(len(binding)) if n_queries is None else rng.integers(len(binding), size=n_queries)
        chosen = binding.subset(index)
        found = labels(render, chosen, self.model, surface[index])
        view = scene.view
        return Sample(
            image=image,
            query=chosen.positions,
            xy=found.xy,
            depth=found.depth,
            visible=found.visible,
            mask=found.depth > 0.02,
            index=index,
            dataset=DATASET,
            identity=scene.identity,
            expression=scene.expression,
            rotation=view.rotation.astype(np.float32),
            translation=view.translation.astype(np.float32),
            focal=view.focal,
            cx=view.cx,
            cy=view.cy,
            yaw=view.yaw,
            pitch=view.pitch,
        )


_SAMPLERS: dict[tuple[SampleSettings, str], FaceSampler] = {}


def face_sample(
    rng: np.random.Generator,
    size: int,
    binding: Binding,
    n_queries: int | None = None,
    settings: SampleSettings | None = None,
    split: str = "train",
) -> Sample:
    """One sample with a sampler that is made on the first call and kept for the process; see FaceSampler."""
    key = (settings or SampleSettings(), split)
    if key not in _SAMPLERS:
        _SAMPLERS[key] = FaceSampler(*key)
    return _SAMPLERS[key].face_sample(rng, size, binding, n_queries)
