"""What grows on a head or is worn on it: hair, caps of hair, beards, hats, hoods, face masks, glasses."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from facequery.head.model import HeadModel
from facequery.synthesis import shading
from facequery.synthesis.backgrounds import muted
from facequery.synthesis.body import Body, cloth_row
from facequery.synthesis.chance import pick
from facequery.synthesis.glasses import Lens, build_glasses
from facequery.synthesis.library import Library
from facequery.synthesis.looks import row
from facequery.synthesis.meshes import Extra, HeadMesh
from facequery.synthesis.scene import Scene
from facequery.synthesis.settings import SampleSettings
from facequery.synthesis.strands import Strands
from facequery.synthesis.surface import MASKS_AT, masks_at

_FREQUENCIES = np.array([12.0, 20.0, 40.0])  # of the bumps on hair and clothes, cycles per metre
_WAVES = 24  # waves kept for each, of which a few are added at a time


@dataclass
class Outfit:
    """What a head wears: opaque meshes, lenses of glasses, and the skin's parameters with hair painted on."""

    extras: list[Extra] = field(default_factory=list)
    lenses: list[Lens] = field(default_factory=list)
    skin_parameters: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))


class Wardrobe:
    """Dresses heads of one model from one library."""

    def __init__(self, model: HeadModel, library: Library, mesh: HeadMesh):
        self.model, self.library = model, library
        self._body = Body(model)
        self._strands = Strands(model, library.lash_layer, library.strand_layer)
        part = model.parts["skin"]
        self._rest = np.ascontiguousarray(model.rest[part.vertices], np.float32)
        self._xyz = np.ascontiguousarray(self._rest.T)
        self._triangles = model.triangles[part.triangles]
        self._masks = np.asfortranarray(masks_at(self._rest), np.float32)  # each mask by itself
        ears = model.region_mask("ear_left") | model.region_mask("ear_right")
        self._masks[ears, MASKS_AT.index("scalp")] = 0
        # 1 on the lips and at the rim round them, where neither a beard nor a shell begins.
        self._lips = np.zeros(len(self._rest), np.float32)
        self._lips[model.region_mask("lips")] = 1
        self._lips[np.unique(self._triangles[(self._lips[self._triangles] > 0).any(1)])] = 1
        bank = np.random.default_rng(5)
        directions = bank.normal(0, 2 * np.pi, (_WAVES, 3)) * _FREQUENCIES[:, None, None]
        phase = bank.uniform(0, 2 * np.pi, (len(_FREQUENCIES), _WAVES, 1))
        self._waves = np.sin(directions @ self._rest.T + phase).astype(np.float32)
        # Only what can carry a shell: not the walls of the eye sockets or the mouth, which lie inside.
        outside = mesh.occlusion[part.vertices] > 0.18
        self._carriers = self._triangles[outside[self._triangles].any(1)]

    def dress(
        self, rng: np.random.Generator, scene: Scene, vertices: NDArray, normals: NDArray, settings: SampleSettings
    ) -> Outfit:
        """Draws and builds an outfit for canonical vertices and normals (V, 3) of the head."""
        outfit = Outfit(self._body.build(rng, scene, vertices), [], scene.skin_parameters.copy())
        skin = outfit.skin_parameters
        hat = rng.random() < settings.hat
        if rng.random() < settings.hair:
            self._grow_hair(rng, scene, vertices, normals, settings, outfit, under_hat=hat)
        elif rng.random() < 0.5:  # shaved: a shadow of hair
            skin[shading.SCALP], skin[shading.HAIRLINE] = rng.uniform(0.2, 0.6), rng.uniform(0.45, 0.75)
        if hat:
            self._put_hat(rng, scene, vertices, normals, outfit)
        bearded = skin[shading.STUBBLE] > 0 or rng.random() < settings.beard * 0.4
        if bearded and rng.random() < settings.beard / max(settings.stubble, 0.05):
            skin[shading.STUBBLE] = max(skin[shading.STUBBLE], rng.uniform(0.6, 1.0))
            if rng.random() < 0.55:
                self._grow_beard(rng, scene, vertices, normals, outfit)
        if rng.random() < settings.lashes:
            strong = skin[shading.LINER] > 0.65
            outfit.extras += self._strands.lashes(rng, scene, vertices, normals, strong)
        if rng.random() < settings.face_mask:
            self._tie_mask(rng, scene, vertices, normals, outfit)
        if rng.random() < settings.glasses:
            frame, lenses = build_glasses(rng, scene, self.model, vertices, rng.random() < settings.sunglasses)
            outfit.extras += frame
            outfit.lenses += lenses
        return outfit

    # ---- shells over the skin

    def _shell(
        self,
        scene: Scene,
        vertices: NDArray,
        normals: NDArray,
        height: NDArray,
        material: NDArray,
        drop: NDArray | None = None,
    ) -> Extra | None:
        """The skin where height (S,) > 0, raised by that many metres; drop (S, 3): moved as well."""
        grows = height > 0
        triangles = self._carriers[
            grows[self._carriers[:, 0]] & grows[self._carriers[:, 1]] & grows[self._carriers[:, 2]]
        ]
        if len(triangles) < 20:
            return None
        taken = np.zeros(len(height), bool)
        taken[triangles.ravel()] = True
        used = np.flatnonzero(taken)
        packed = (np.cumsum(taken, dtype=np.int32) - 1)[triangles]
        points = vertices[used] + normals[used] * height[used, None]
        if drop is not None:
            points = points + drop[used]
        camera = points @ scene.view.rotation.T + scene.view.translation
        return Extra(
            camera.astype(np.float32),
            self._rest[used],
            packed,
            material,
        )

    def _lumps(self, rng: np.random.Generator, frequency: float, count: int = 6) -> NDArray[np.float32]:
        """Smooth noise (S,) on the skin, standard deviation about 1; frequency in cycles per metre."""
        level = int(np.argmin(np.abs(np.log(_FREQUENCIES / frequency))))
        chosen = rng.permutation(_WAVES)[:count]
        signs = np.sign(rng.random(count) - 0.5).astype(np.float32) * np.float32(np.sqrt(2 / count))
        return signs @ self._waves[level, chosen]

    def _hair_row(
        self, rng: np.random.Generator, colour: NDArray, layer: int = -1, gloss: float = 1.0
    ) -> NDArray[np.float32]:
        second = colour * np.exp(rng.normal(0.1, 0.3)) if rng.random() < 0.95 else muted(rng)
        return row(
            shading.HAIR, colour, second, pattern=np.exp(rng.uniform(np.log(25), np.log(90))),
            amount=rng.uniform(0.4, 1.1), specular=gloss * np.exp(rng.normal(-2.7, 0.7)), shine=rng.uniform(15, 70),
            texture=layer,
        )  # fmt: skip

    def _grow_hair(
        self, rng: np.random.Generator, scene: Scene, vertices: NDArray, normals: NDArray, settings: SampleSettings,
        outfit: Outfit, under_hat: bool,
    ) -> None:  # fmt: skip
        skin = outfit.skin_parameters
        scalp = self._masks[:, MASKS_AT.index("scalp")]
        hairline = rng.uniform(0.3, 0.7)
        skin[shading.SCALP], skin[shading.HAIRLINE] = rng.uniform(0.75, 1.0), hairline
        material = self._hair_row(rng, scene.hair)
        long = not under_hat and rng.random() < settings.wig
        if long:
            outfit.extras.append(self._strands.wig(rng, scene, vertices, material))
        elif not under_hat and self.library.hair and rng.random() < settings.hair_mesh:
            outfit.extras.append(self._hair_mesh(rng, scene, vertices))
            skin[shading.HAIRLINE] = rng.uniform(0.45, 0.75)
            return
        elif rng.random() < 0.2:  # cropped: paint alone
            return
        thick = np.exp(rng.uniform(np.log(0.004), np.log(0.012 if under_hat or long else 0.05)))
        value = scalp - hairline + 0.06 * self._lumps(rng, 12)
        x, y, z = self._xyz
        if rng.random() < 0.3:  # a fringe or a receding line
            bump = np.exp(-(((x - rng.normal(0, 0.03)) / 0.04) ** 2)) * (z > -0.02) * (y > 0.04)
            value += rng.normal(0, 0.35) * bump
        style = rng.random()
        profile = np.ones_like(x)
        if style < 0.35 and not long:  # short sides
            profile = np.clip((y - rng.uniform(-0.01, 0.06)) / 0.05, 0.12, 1)
        height = thick * profile * np.clip(value * 4, 0, 1) * (1 + 0.18 * self._lumps(rng, rng.uniform(12, 45)))
        drop = None
        if style > 0.75 and thick > 0.012:  # swept to one side or forward
            sweep = rng.normal(0, 0.6, 3) * thick
            drop = sweep * np.clip(value * 2, 0, 1)[:, None]
        shell = self._shell(
            scene,
            vertices,
            normals,
            np.where(value > 0, np.maximum(height, 2e-4), -1),
            material,
            drop,
        )
        if shell is not None:
            outfit.extras.append(shell)

    def _hair_mesh(self, rng: np.random.Generator, scene: Scene, vertices: NDArray) -> Extra:
        mesh = self.library.hair[rng.integers(len(self.library.hair))]
        shift = vertices[mesh.anchors] - self.model.rest[mesh.anchors]
        moved = np.einsum("vk,vkc->vc", mesh.weights, shift)
        points = mesh.vertices + moved
        centre = np.array([0.0, 0.01, -0.07])
        scale = np.exp(rng.normal(0.01, 0.03, 3)) * np.exp(rng.normal(0.015, 0.025))
        local = (points - centre) * scale
        if rng.random() < 0.5:
            local[:, 0] *= -1
        below = np.clip(-local[:, 1] - 0.02, 0, None)[:, None]
        local = local + below * rng.normal(0, 0.12, 3)  # long hair swings
        waves = rng.normal(0, 8 * 2 * np.pi, (3, 3))
        local = local + 0.003 * np.sin(local @ waves.T + rng.uniform(0, 6, 3))
        points = local + centre
        camera = points @ scene.view.rotation.T + scene.view.translation
        return Extra(
            camera.astype(np.float32), points.astype(np.float32), mesh.triangles,
            self._hair_row(rng, scene.hair, mesh.layer), mesh.corner_uv, mesh.layer,
        )  # fmt: skip

    def _grow_beard(
        self, rng: np.random.Generator, scene: Scene, vertices: NDArray, normals: NDArray, outfit: Outfit
    ) -> None:
        beard = self._masks[:, MASKS_AT.index("beard")]
        x, y = self._xyz[:2]
        style = rng.random()
        value = beard - 0.35 + 0.08 * self._lumps(rng, 20) - 2.0 * self._lips
        if style < 0.25:  # goatee
            value -= np.clip((np.abs(x) - 0.03) / 0.01, 0, 1)
        elif style < 0.4:  # moustache
            value -= (y < -0.07) | (np.abs(x) > 0.032)
        length = np.exp(rng.uniform(np.log(0.003), np.log(0.02)))
        grown = np.clip(value * 3, 0, 1)
        longer = np.clip((-y - 0.08) / 0.03, 0, 1)
        height = length * grown * (0.5 + longer) * (1 + 0.25 * self._lumps(rng, 40))
        drop = np.stack([0 * x, -1.5 * length * longer * grown, 0 * x], -1)
        shell = self._shell(
            scene,
            vertices,
            normals,
            np.where(value > 0, np.maximum(height, 3e-4), -1),
            self._hair_row(rng, scene.hair, gloss=0.3),
            drop,
        )
        if shell is not None:
            outfit.extras.append(shell)

    def _put_hat(
        self, rng: np.random.Generator, scene: Scene, vertices: NDArray, normals: NDArray, outfit: Outfit
    ) -> None:
        x, y, z = self._xyz
        kind = pick(rng, ("beanie", "cap", "helmet", "hood", "band"), (0.3, 0.25, 0.12, 0.25, 0.08))
        material = cloth_row(rng)
        tilt = rng.uniform(-0.15, 0.35)
        rim = y - tilt * (z + 0.03) - rng.uniform(0.04, 0.072)
        if kind == "hood":  # all but an oval round the face
            oval = np.hypot(x / rng.uniform(0.07, 0.085), (y + 0.02) / rng.uniform(0.085, 0.105))
            rim = np.where(z > -0.035, (oval - 1) * 0.05, 0.05) + 0.002 * self._lumps(rng, 15)
        if kind == "band":
            rim = np.minimum(rim, rng.uniform(0.015, 0.03) - rim)
        if kind == "helmet":
            material = row(
                shading.PLAIN, muted(rng), muted(rng), pattern=15, amount=rng.uniform(0, 0.5), specular=0.25, shine=90
            )
        thick = rng.uniform(0.012, 0.025) if kind == "helmet" else rng.uniform(0.004, 0.012)
        height = np.where(
            rim > 0, thick * (0.6 + 0.4 * np.clip(rim / 0.01, 0, 1)) * (1 + 0.1 * self._lumps(rng, 20)), -1
        )
        if kind in ("beanie", "cap"):
            height = np.where(rim > 0, height + np.clip(rim, 0, 0.05) * rng.uniform(0, 0.5), -1)
        shell = self._shell(scene, vertices, normals, height, material)
        if shell is None:
            return
        outfit.extras.append(shell)
        if kind == "cap" or (kind == "helmet" and rng.random() < 0.3):
            outfit.extras.append(self._visor(rng, scene, vertices, material))

    def _visor(self, rng: np.random.Generator, scene: Scene, vertices: NDArray, material: NDArray) -> Extra:
        turn = np.linspace(-1.25, 1.25, 13)
        skin = vertices[: len(self._rest)]
        forehead = skin[(np.abs(self._rest[:, 1] - 0.06) < 0.008) & (np.abs(self._rest[:, 0]) < 0.01)]
        front = forehead[:, 2].max() + 0.004
        y0 = 0.062 + rng.uniform(-0.012, 0.01)
        reach = rng.uniform(0.045, 0.075)
        rings = []
        for t in np.linspace(0, 1, 4):
            radius = 0.075 + t * reach * np.cos(turn * 0.7)
            fall = t * reach * rng.uniform(0.1, 0.14)
            y = y0 - 0.012 * np.sin(turn) ** 2 - fall
            ring = np.stack([radius * np.sin(turn), y, front - 0.075 + radius * np.cos(turn)], -1)
            rings.append(ring)
        points = np.stack(rings).reshape(-1, 3)
        i, j = np.meshgrid(np.arange(3), np.arange(12), indexing="ij")
        a = i * 13 + j
        triangles = np.stack([np.stack([a, a + 1, a + 14], -1), np.stack([a, a + 14, a + 13], -1)], 2).reshape(-1, 3)
        camera = points @ scene.view.rotation.T + scene.view.translation
        return Extra(camera.astype(np.float32), points.astype(np.float32), triangles.astype(np.int32), material)

    def _tie_mask(
        self, rng: np.random.Generator, scene: Scene, vertices: NDArray, normals: NDArray, outfit: Outfit
    ) -> None:
        x, y, z = self._xyz
        top = rng.uniform(-0.03, -0.012) - 0.25 * np.abs(x)
        value = np.minimum(np.minimum(top - y, y + 0.118), z + 0.03) - 0.002
        value = np.where(np.abs(x) < 0.068, value, -1)
        smooth = np.where(
            value > 0, 0.003 + 0.008 * np.exp(-((x / 0.03) ** 2)) * np.clip((-y - 0.045) / 0.02, 0, 1), -1
        )
        shell = self._shell(scene, vertices, normals, smooth, cloth_row(rng))
        if shell is not None:
            outfit.extras.append(shell)
