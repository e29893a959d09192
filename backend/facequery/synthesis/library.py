"""Source material of the renders: skins, brows, irises, hair, environments, textures; training and held out apart."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

from facequery.assets import source_data
from facequery.head.model import HeadModel
from facequery.synthesis.cutouts import lash_texture, strand_texture
from facequery.synthesis.meshes import source_uv
from facequery.synthesis.portrait_skins import PortraitSkin
from facequery.synthesis.surface import BROW_RIGHT, Surface, bake, texel_of

TEXTURE_SIDE = 512  # texels of one UV tile
SPLITS = ("train", "heldout", "all")
# Held out by name, so that no training run ever draws them, whatever else is added. The rest is for training.
HELD_OUT = frozenset(
    {
        "young_lightskinned_male2", "old_darkskinned_male", "middleage_lightskinned_female2",  # skins
        "bob02", "short03", "ponytail01",  # hair
        "apartment", "forest", "studio", "venice_sunset_1k", "hall",  # environments
        "green_eye", "brownlight_eye",  # irises
        "eyebrow004", "eyebrow008",  # brows
        "cc0tex_Marble01_col_1k",  # textures
    }
)  # fmt: skip


def in_split(name: str, split: str) -> bool:
    """Whether material of this name may be drawn in a split ('train', 'heldout' or 'all')."""
    return split == "all" or (name in HELD_OUT) == (split == "heldout")


@dataclass(frozen=True)
class Skin:
    """texture (H, 2 H, 3) uint8 sRGB over both tiles; mean (3,) linear albedo of the face."""

    name: str
    texture: NDArray[np.uint8]
    mean: NDArray[np.float32]


@dataclass(frozen=True)
class HairMesh:
    """vertices (V, 3) canonical metres on the rest head; triangles (T, 3); corner_uv (T, 3, 2) v up; layer of
    `Library.hair_alpha`, -1 for none; anchors, weights (V, 4): the skin vertices that carry each vertex."""

    name: str
    vertices: NDArray[np.float32]
    triangles: NDArray[np.int32]
    corner_uv: NDArray[np.float32]
    layer: int
    anchors: NDArray[np.int32]
    weights: NDArray[np.float32]


@dataclass(frozen=True)
class Environment:
    """picture (H, W, 3) float32 linear radiance, longitude by latitude, mean 1; directions (N, 3), y up, and
    radiance times solid angle (N, 3) of a coarse grid, for spherical harmonics."""

    name: str
    picture: NDArray[np.float32]
    directions: NDArray[np.float32]
    weighted: NDArray[np.float32]

    @cached_property
    def moments(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Sums over all directions of the weighted radiance (3,), times x, y, z (3, 3), times their products (3, 3, 3);
        the channel comes first."""
        d, w = self.directions.astype(np.float64), self.weighted.T.astype(np.float64)
        return w.sum(1), w @ d, np.einsum("cn,ni,nj->cij", w, d, d)


@dataclass(frozen=True)
class Library:
    """Everything that scenes draw from, of one split. Empty lists are allowed: scenes then go without."""

    split: str
    surface: Surface
    skins: list[Skin]
    brows: NDArray[np.uint8]
    irises: NDArray[np.uint8]
    hair: list[HairMesh]
    hair_alpha: NDArray[np.uint8]
    hair_shade: NDArray[np.uint8]
    environments: list[Environment]
    textures: list[NDArray]
    noise: NDArray[np.uint8]
    lash_layer: int
    strand_layer: int
    names: dict[str, list[str]] = field(default_factory=dict)
    portraits: list[PortraitSkin] = field(default_factory=list)  # their index goes on after that of the skins

    @cached_property
    def lightness(self) -> NDArray[np.float64]:
        """Mean linear albedo of each skin (skins,)."""
        return np.array([skin.mean.mean() for skin in self.skins])

    @staticmethod
    def load(model: HeadModel, split: str = "train") -> "Library":
        """Reads the source data for a head model. split: 'train', 'heldout' or 'all'. UserError when it is absent."""
        if split not in SPLITS:
            raise ValueError(f"split must be one of {SPLITS}, not {split!r}")
        root = source_data()
        for part in ("skins", "hdri", "eyes", "hair", "brows_lashes", "textures"):
            source_data(part)
        surface = _surface(model)
        skins = _load_skins(root / "skins", split, surface)
        brows = _load_brows(root, split, model, surface)
        irises, iris_names = _load_irises(root / "eyes", split)
        hair, alpha, shade = _load_hair(root / "hair", split, model)
        environments = [
            make_environment(p.stem, cv2.imread(str(p), cv2.IMREAD_UNCHANGED)[..., ::-1])
            for p in sorted((root / "hdri").glob("*.hdr"))
            if in_split(p.stem, split)
        ]
        paths = [p for p in sorted((root / "textures").glob("*.jpg")) if in_split(p.stem, split)]
        textures = [cv2.resize(_read(p)[..., ::-1], (512, 512), interpolation=cv2.INTER_AREA) for p in paths]
        names = {
            "skins": [s.name for s in skins],
            "hair": [h.name for h in hair],
            "environments": [e.name for e in environments],
            "irises": iris_names,
            "brows": [p.stem for p in _brow_paths(root, split)],
            "textures": [p.stem for p in paths],
        }
        return Library(
            split, surface, skins, brows, irises, hair, alpha, shade, environments, textures, make_noise(),
            len(alpha) - 2, len(alpha) - 1, names,
        )  # fmt: skip

    @staticmethod
    def plain(model: HeadModel) -> "Library":
        """A library without any source data: one procedural skin, painted irises, a sky. For tests and for a start."""
        surface = _surface(model)
        texture = np.full((*surface.covered.shape, 3), (205, 160, 140), np.uint8)
        skins = [Skin("plain", texture, _linear(np.array([205, 160, 140])).astype(np.float32))]
        latitude = np.linspace(1, -1, 32)[:, None, None]
        sky = np.clip(0.6 + 0.5 * latitude, 0.1, None) * np.array([0.9, 1.0, 1.15])
        environment = make_environment("plain", np.broadcast_to(sky, (32, 64, 3)).astype(np.float32))
        alpha = np.stack([lash_texture(256), strand_texture(256)])
        return Library(
            "train", surface, skins, np.zeros((1, 8, 8), np.uint8), np.zeros((0, 8, 8, 3), np.uint8), [], alpha,
            np.full_like(alpha, 128), [environment], [], make_noise(), 0, 1,
            {"skins": ["plain"], "environments": ["plain"]},
        )  # fmt: skip


def _surface(model: HeadModel) -> Surface:
    part = model.parts["skin"]
    corner_uv = source_uv()[part.triangles] * np.array([0.5, 1.0])
    ears = np.zeros(len(model.rest), np.float32)
    ears[part.vertices] = model.region_mask("ear_left") | model.region_mask("ear_right")
    return bake(model.rest, model.triangles[part.triangles], corner_uv, TEXTURE_SIDE, ears)


def _read(path: Path) -> NDArray[np.uint8]:
    return np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED))


def _linear(srgb: NDArray) -> NDArray:
    v = np.asarray(srgb, np.float64) / 255
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def make_noise(side: int = 256, seed: int = 7) -> NDArray[np.uint8]:
    """Tiling noise (N, N, 4): fine, cloudy, and the two slopes of a pore relief; uint8 about 128."""
    rng = np.random.default_rng(seed)

    def octave(sigma: float) -> NDArray:
        spectrum = np.fft.rfft2(rng.standard_normal((side, side)))
        fy, fx = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]
        smooth = np.fft.irfft2(spectrum * np.exp(-2 * (np.pi * sigma) ** 2 * (fx**2 + fy**2)), s=(side, side))
        return smooth / smooth.std()

    fine = octave(0.8) + 0.5 * octave(2)
    cloudy = octave(20) + 0.6 * octave(9) + 0.35 * octave(4)
    relief = octave(1.2) + 0.6 * octave(3)
    du = np.roll(relief, -1, 1) - np.roll(relief, 1, 1)
    dv = np.roll(relief, 1, 0) - np.roll(relief, -1, 0)
    channels = [c / c.std() for c in (fine, cloudy, du, dv)]
    return np.clip(128 + 42 * np.stack(channels, -1), 0, 255).astype(np.uint8)


def make_environment(name: str, picture: NDArray) -> Environment:
    """An environment from a longitude-latitude picture (H, W, 3) of linear radiance, its mean set to 1."""
    picture = np.minimum(np.nan_to_num(np.asarray(picture, np.float32)), 2000.0)
    coarse = cv2.resize(picture, (32, 16), interpolation=cv2.INTER_AREA)
    latitude = (0.5 - (np.arange(16) + 0.5) / 16) * np.pi
    longitude = ((np.arange(32) + 0.5) / 32 * 2 - 1) * np.pi
    lat, lon = np.meshgrid(latitude, longitude, indexing="ij")
    directions = np.stack([np.cos(lat) * np.sin(lon), np.sin(lat), np.cos(lat) * np.cos(lon)], -1).reshape(-1, 3)
    solid = (np.cos(lat) * (np.pi / 16) * (2 * np.pi / 32)).reshape(-1, 1)
    weighted = coarse.reshape(-1, 3) * solid
    mean = float(weighted.sum(0).mean() / (4 * np.pi))
    return Environment(name, picture / mean, directions.astype(np.float32), (weighted / mean).astype(np.float32))


def _load_skins(folder: Path, split: str, surface: Surface) -> list[Skin]:
    skins = []
    # What lies outside the skin's pieces takes the nearest texel's colour, so that no seam is seen at coarser levels.
    inside = cv2.erode(surface.covered.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    nearest = np.moveaxis(distance_transform_edt(~inside, return_distances=False, return_indices=True), 0, -1)
    face = (surface.positions[..., 2] > 0.0) & (np.abs(surface.positions[..., 1] + 0.02) < 0.07) & surface.covered
    for path in sorted(folder.glob("*_face.jpg")):
        name = path.stem.removesuffix("_face")
        if not in_split(name, split):
            continue
        tiles = [_read(path), _read(path.with_name(f"{name}_head.jpg"))]
        texture = np.concatenate(
            [cv2.resize(t, (TEXTURE_SIDE, TEXTURE_SIDE), interpolation=cv2.INTER_AREA) for t in tiles], axis=1
        )[..., ::-1]
        texture = np.ascontiguousarray(texture)[nearest[..., 0], nearest[..., 1]]
        mean = np.median(_linear(texture[face]), axis=0).astype(np.float32)
        skins.append(Skin(name, texture, mean))
    return skins


def read_obj(path: Path) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Vertices (V, 3), triangles (T, 3), texture coordinates (U, 2) and the triangles' corners into them (T, 3)."""
    vertices, uv, faces, faces_uv = [], [], [], []
    for line in path.read_text().splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == "v":
            vertices.append([float(w) for w in words[1:4]])
        elif words[0] == "vt":
            uv.append([float(w) for w in words[1:3]])
        elif words[0] == "f":
            corners = [w.split("/") for w in words[1:]]
            for k in range(1, len(corners) - 1):
                chosen = (corners[0], corners[k], corners[k + 1])
                faces.append([int(c[0]) - 1 for c in chosen])
                faces_uv.append([int(c[1]) - 1 if len(c) > 1 and c[1] else 0 for c in chosen])
    return np.array(vertices), np.array(faces, np.int32), np.array(uv), np.array(faces_uv, np.int32)


def _to_canonical(model: HeadModel, vertices: NDArray) -> NDArray:
    return np.asarray((vertices - model.source_origin) * 0.01)


def _brow_paths(root: Path, split: str) -> list[Path]:
    return [p for p in sorted((root / "hair").glob("eyebrow*.obj")) if in_split(p.stem, split)]


def _load_brows(root: Path, split: str, model: HeadModel, surface: Surface) -> NDArray[np.uint8]:
    """Brow cards laid on the face's tile (L, H, H): opacity of the nearest point of the card, within 6 mm."""
    side = TEXTURE_SIDE
    positions = surface.positions[:, :side]
    x, y, z = (positions[..., k] for k in range(3))
    near = surface.covered[:, :side] & (y > 0.004) & (y < 0.055) & (z > -0.02) & (np.abs(x) < 0.075)
    rows, columns = np.nonzero(near)
    texels = positions[rows, columns]
    rng = np.random.default_rng(0)
    level = float(texel_of(surface.positions, surface.covered, np.array(BROW_RIGHT))[:, 1].mean())
    layers = []
    for path in _brow_paths(root, split):
        vertices, faces, uv, faces_uv = read_obj(path)
        vertices = _to_canonical(model, vertices)
        bary = rng.dirichlet((1, 1, 1), (len(faces), 220)).astype(np.float32)
        cloud = np.einsum("tsk,tkc->tsc", bary, vertices[faces]).reshape(-1, 3)
        cloud_uv = np.einsum("tsk,tkc->tsc", bary, uv[faces_uv]).reshape(-1, 2)
        alpha = _read(root / "brows_lashes" / f"{path.stem}.png")[..., 3]
        i = np.clip(((1 - cloud_uv[:, 1]) * alpha.shape[0]).astype(int), 0, alpha.shape[0] - 1)
        j = np.clip((cloud_uv[:, 0] * alpha.shape[1]).astype(int), 0, alpha.shape[1] - 1)
        opacity = alpha[i, j].astype(np.float32)
        # In the plane: the cards float a few millimetres in front of the skin.
        distance, index = cKDTree(cloud[:, :2]).query(texels[:, :2], k=6, distance_upper_bound=0.0025)
        value = np.append(opacity, 0.0)[np.minimum(index, len(opacity))].mean(axis=1)
        layer = np.zeros((side, side), np.float32)
        layer[rows, columns] = np.where(np.isfinite(distance[:, 0]), value, 0)
        # Where a brow's points are is where people mark its hair: all cards lie at their height, in shape they differ.
        height = (np.arange(side) * layer.sum(1)).sum() / max(float(layer.sum()), 1.0)
        layer = np.roll(layer, round(level - height), axis=0)
        layers.append(np.clip(cv2.GaussianBlur(layer, (0, 0), 0.5) * 1.9, 0, 255).astype(np.uint8))
    return np.stack(layers) if layers else np.zeros((1, 8, 8), np.uint8)


def _load_irises(folder: Path, split: str) -> tuple[NDArray[np.uint8], list[str]]:
    """Irises unrolled: (L, 96 round, 24 from the pupil outwards, 3)."""
    names = [p for p in sorted(folder.glob("*_eye.png")) if in_split(p.stem, split)]
    layers = []
    for path in names:
        image = _read(path)[..., :3].astype(np.float32)
        scale = image.shape[0] / 512
        # Each texture shows two eyes; the lower left one's pupil is the darkest blob near (152, 358) of 512.
        area = cv2.GaussianBlur(image.mean(-1), (0, 0), 8 * scale)
        y0, x0 = int(330 * scale), int(120 * scale)
        window = area[y0 : int(390 * scale), x0 : int(185 * scale)]
        cy, cx = np.unravel_index(int(np.argmin(window)), window.shape)
        cx, cy = cx + x0, cy + y0
        turn = np.arange(96) / 96 * 2 * np.pi
        radius = (22 + np.arange(24) / 24 * 34) * scale
        mx = (cx + np.cos(turn)[:, None] * radius).astype(np.float32)
        my = (cy + np.sin(turn)[:, None] * radius).astype(np.float32)
        layers.append(cv2.remap(image, mx, my, cv2.INTER_LINEAR)[..., ::-1].astype(np.uint8))
    return (np.stack(layers) if layers else np.zeros((0, 8, 8, 3), np.uint8)), [p.stem for p in names]


def _load_hair(
    folder: Path, split: str, model: HeadModel
) -> tuple[list[HairMesh], NDArray[np.uint8], NDArray[np.uint8]]:
    part = model.parts["skin"]
    skin = np.asarray(model.rest)[part.vertices]
    carriers = np.nonzero((skin[:, 1] > -0.16) & ((skin[:, 1] > 0.03) | (skin[:, 2] < -0.03)))[0][::6]
    tree = cKDTree(skin[carriers])
    meshes: list[HairMesh] = []
    alphas: list[NDArray] = []
    shades: list[NDArray] = []
    for path in sorted(folder.glob("*.obj")):
        if path.stem.startswith("eyebrow") or not in_split(path.stem, split):
            continue
        vertices, faces, uv, faces_uv = read_obj(path)
        vertices = _to_canonical(model, vertices)
        distance, index = tree.query(vertices, k=4)
        weights = 1 / (distance + 0.004)
        weights /= weights.sum(1, keepdims=True)
        layer = -1
        image_path = folder / f"{path.stem}_diffuse.png"
        if image_path.exists():
            image = cv2.resize(_read(image_path), (512, 512), interpolation=cv2.INTER_AREA)
            layer = len(alphas)
            alphas.append(image[..., 3] if image.shape[-1] == 4 else np.full((512, 512), 255, np.uint8))
            shade = image[..., :3].mean(-1)
            shades.append(np.clip(shade * (110 / max(shade[alphas[-1] > 128].mean(), 1)), 0, 255).astype(np.uint8))
        corner_uv = uv[faces_uv] % 1.0 if len(uv) else np.zeros((len(faces), 3, 2))
        meshes.append(
            HairMesh(
                path.stem, vertices.astype(np.float32), faces, corner_uv.astype(np.float32), layer,
                carriers[index].astype(np.int32), weights.astype(np.float32),
            )
        )  # fmt: skip
    alphas += [lash_texture(512), strand_texture(512)]
    shades += [np.full((512, 512), 128, np.uint8)] * 2
    return meshes, np.stack(alphas), np.stack(shades)


def fingerprint(library: Library) -> str:
    """Short hash of what a library holds, for records of data sets."""
    digest = hashlib.sha256(repr(sorted(library.names.items())).encode())
    return digest.hexdigest()[:12]
