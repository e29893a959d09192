"""Renders that training never sees, with exact truth: errors by attribute, and what sigma is worth."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facequery.detection.detector import Detector
from facequery.evaluation.errors import YAW_BINS, box_size, inter_ocular
from facequery.evaluation.films import LAYOUT, OFF_BASIS
from facequery.head.binding import Binding
from facequery.head.layouts import load_layout
from facequery.synthesis import shading
from facequery.synthesis.labels import labels, surface_points
from facequery.synthesis.samples import FaceSampler
from facequery.synthesis.scene import Scene
from facequery.synthesis.settings import SampleSettings

BASE = SampleSettings(off_basis=OFF_BASIS)
_MOST_DRAWS = 4000  # scenes looked through for one group
_BATCH = 32

Wanted = Callable[[Scene, tuple[str, ...]], bool]  # a scene and the names of its expression -> does it belong?


@dataclass(frozen=True)
class Group:
    """Faces of one kind: drawn with `settings`, of which those are kept that are `wanted`."""

    name: str
    settings: SampleSettings = BASE
    wanted: Wanted = lambda scene, names: True


def _expression(*wanted: str, least: float) -> Wanted:
    def check(scene: Scene, names: tuple[str, ...]) -> bool:
        return min(float(scene.expression[names.index(name)]) for name in wanted) >= least

    return check


def _yaw(low: float, high: float) -> Wanted:
    return lambda scene, names: low <= abs(np.degrees(scene.view.yaw)) < high


def groups() -> list[Group]:
    """The attributes of the table. "all" is drawn as training draws; the others differ from it in one thing."""
    turned = [Group(f"yaw {a} to {b}", BASE, _yaw(a, b)) for a, b in YAW_BINS]
    return [
        Group("all"),
        *turned,
        Group("hand or thing in front", replace(BASE, occluder=1.0)),
        Group("glasses", replace(BASE, glasses=1.0, sunglasses=0.0)),
        Group("dark glasses", replace(BASE, glasses=1.0, sunglasses=1.0)),
        Group("beard", replace(BASE, beard=1.0, stubble=1.0), lambda s, n: s.skin_parameters[shading.STUBBLE] > 0),
        Group("light skin", BASE, lambda s, n: s.tone < 0.2),
        Group("dark skin", BASE, lambda s, n: s.tone > 0.6),
        Group("young skin", BASE, lambda s, n: s.skin_parameters[shading.WRINKLES] == 0),
        Group("old skin", BASE, lambda s, n: s.skin_parameters[shading.WRINKLES] > 0.3),
        Group("open mouth", BASE, _expression("jawOpen", least=0.4)),
        Group("closed eyes", BASE, _expression("eyeBlinkLeft", "eyeBlinkRight", least=0.7)),
    ]


@dataclass(frozen=True)
class Rendered:
    """n pictures (n, S, S, 3) uint8; truth (n, N, 2) crop coordinates; visible (n, N); yaw (n,) degrees."""

    images: NDArray[np.uint8]
    truth: NDArray[np.float64]
    visible: NDArray[np.bool_]
    yaw: NDArray[np.float64]


class HeldOut:
    """Draws and renders groups of held-out faces, labelled with the points of ibug68."""

    def __init__(self, size: int) -> None:
        self.size = size
        first = FaceSampler(BASE, "heldout")
        self.model, self.library = first.model, first.library
        self.binding: Binding = self.model.bind(load_layout(LAYOUT).positions)
        self._surface = surface_points(self.binding, self.model)
        self._samplers = {BASE: first}

    def render(self, group: Group, count: int, seed: int = 0) -> Rendered:
        """`count` faces of a group; group and seed alone decide which."""
        sampler = self._sampler(group.settings)
        rng = np.random.default_rng([seed, *group.name.encode()])
        images: list[NDArray[np.uint8]] = []
        truth, visible, yaw = [], [], []
        for _ in range(_MOST_DRAWS):
            if len(images) == count:
                break
            scene = sampler.draw_scene(rng)
            if group.wanted(scene, sampler.expressions.names):
                image, render = sampler.draw(rng, scene, self.size)
                found = labels(render, self.binding, self.model, self._surface)
                images.append(image)
                truth.append(found.xy)
                visible.append(found.visible)
                yaw.append(np.degrees(scene.view.yaw))
        return Rendered(np.stack(images), np.array(truth, np.float64), np.array(visible), np.array(yaw))

    def _sampler(self, settings: SampleSettings) -> FaceSampler:
        if settings not in self._samplers:
            self._samplers[settings] = FaceSampler(settings, "heldout", self.model, self.library)
        return self._samplers[settings]


def look(detector: Detector, rendered: Rendered) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The detector's landmarks (n, N, 2) and sigma (n, N) of rendered crops, crop coordinates."""
    positions = load_layout(LAYOUT).positions
    parts = [detector.look(rendered.images[i : i + _BATCH], positions) for i in range(0, len(rendered.images), _BATCH)]
    return tuple(np.concatenate([part[k] for part in parts]).astype(np.float64) for k in (0, 1))  # type: ignore[return-value]


def attribute_row(xy: NDArray, rendered: Rendered) -> dict[str, Any]:
    """Errors of landmarks (n, N, 2) in percent: `box` over sqrt(h w) of the box, all points, and its `median` over
    faces; `seen`: the visible points alone; `nme` over the inter-ocular distance, of faces turned by less than 60
    degrees (beyond, that goes to nothing); `hidden`: share of points that are not seen."""
    error = np.linalg.norm(xy - rendered.truth, axis=-1)
    relative = error / box_size(rendered.truth)[:, None]
    facing = np.abs(rendered.yaw) < 60
    ocular = error[facing] / inter_ocular(rendered.truth[facing], LAYOUT)[:, None]
    return {
        "faces": len(error),
        "box": 100 * float(relative.mean()),
        "median": 100 * float(np.median(relative.mean(1))),
        "seen": 100 * float(relative[rendered.visible].mean()),
        "nme": 100 * float(ocular.mean()) if facing.any() else float("nan"),
        "hidden": 100 * float((~rendered.visible).mean()),
    }
