"""The landmark detector over pictures: crops in, landmarks with sigma out, in plate pixels."""

import copy
import hashlib
import itertools
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facequery.detection.anchors import Anchors
from facequery.detection.devices import bfloat16_is_faster, pick_device, reduced_precision
from facequery.detection.finder import FaceFinder
from facequery.detection.prepared import prepared
from facequery.errors import UserError
from facequery.geometry.crops import apply_affine, compose, crop_from_points, crop_from_similarity, sample_crop
from facequery.head.model import HeadModel
from facequery.head.queries import QuerySet
from facequery.head.query_space import QuerySpace
from facequery.head.slide import Slide
from facequery.models.landmarks import LandmarkNet, images_to_input
from facequery.models.weights import load_landmark_net, weights_version
from facequery.stages import stage

ZOOM = 0.9  # a tighter crop than `crop_from_points` holds less of a neighbour's face, which misleads
_MIRROR = np.array([-1, 1, 1], np.float32)  # of canonical space: the rest head is symmetric
_PAIRS = 400_000  # queries times images decoded at once on a GPU: bounds memory (about 1 KB a pair)
_CACHED = 4096  # and on the processor: what is in the works fits its cache
_SIZES, _PADDED = (32, 16, 8, 4, 1), 4  # pictures encoded at once there: kernels are made anew for every other number
_CHUNKS = 16  # decoded before they are copied to where they belong: small results between large ones hold memory up


class Detector:
    """Landmarks of faces, for any queries. From a picture to landmarks it takes three lines:

        detector = Detector.from_pretrained("landmarks")
        picture = read_rgb(Path("face.jpg"))                                # (H, W, 3) uint8
        xy, sigma = detector.landmarks(picture, load_layout("ibug68"))      # (68, 2), (68,) float32, pixels

    Queries are canonical positions on the rest mesh, in metres; any number of them costs one look at the picture.
    `encode` and `decode` are the two halves of that look, for who wants a descriptor once and landmarks often.

    Weights of any architecture will do. Those with a spatial transformer look at a larger square, find the face in it
    themselves, and so need no face finder; those that ask by UV know points of the skin alone.
    """

    def __init__(
        self,
        network: LandmarkNet,
        device: torch.device | str = "cpu",
        units_per_metre: float | None = None,
        mirror: bool = False,
    ):
        self.device = torch.device(device)
        self.network = network.eval().to(self.device)
        self.size = network.config.picture
        self._units_per_metre = units_per_metre
        self.mirror = mirror
        self.sigma_map = (1.0, 1.0)  # sigma is scale * (the network's sigma) ** power, crop units
        self.card: dict[str, Any] = {}
        self.half = bfloat16_is_faster(self.device)
        self.ready = prepared(self.network, self.half) if self.device.type == "cpu" else self.network

    @classmethod
    def from_pretrained(cls, name: str = "landmarks", device: str = "cpu", mirror: bool = True) -> "Detector":
        """The detector of a weights file, or of weights that ship (`facequery models` lists them).

        `device`: auto, cpu, cuda or mps. `mirror`: every picture is also seen mirrored, and the mean taken; landmarks
        are about 2 % better for twice the time (films are tracked without, unless asked). A file is read once a
        process, until it changes. Raises UserError when there are no such weights.
        """
        detector = copy.copy(_loaded(*weights_version(name), str(pick_device(device))))
        detector.mirror = mirror
        return detector

    @cached_property
    def units_per_metre(self) -> float:
        """What canonical metres are multiplied by to make the network's queries. Raises UserError for weights that ask
        by UV: whoever makes or optimises queries in space cannot use them."""
        if self.network.config.query_dims != 3:
            raise UserError(
                "These weights ask for points by their place in the skin's atlas (UV), and this step needs positions "
                "in space.", "Take weights with model.query_dims=3, such as those that ship.", "FQ408",
            )  # fmt: skip
        return self._units_per_metre or HeadModel.load().scale

    @property
    def answers_singly(self) -> bool:
        """Whether the answer at a point hangs on its place in space alone: neither on the other points, nor on UV."""
        return self.network.config.query_dims == 3 and not self.network.predictor.attends

    @cached_property
    def _atlas(self) -> QuerySpace:
        return QuerySpace(HeadModel.load(), 2)

    def queries(self, positions: NDArray) -> Tensor:
        """What the network is asked for at canonical positions (N, 3) or (B, N, 3), metres. Raises UserError when the
        weights ask by UV and a position is not on the skin."""
        if self.network.config.query_dims == 3:
            scaled = np.asarray(positions, dtype=np.float32) * np.float32(self.units_per_metre)
            return torch.from_numpy(scaled).to(self.device)
        positions = np.asarray(positions)
        places, on_skin = self._atlas(positions.reshape(-1, 3))
        if not on_skin.all():
            raise UserError(
                f"These weights know points of the skin alone, and {int((~on_skin).sum())} of those asked for are not "
                "on it.", "Take a layout of skin points, or weights with model.query_dims=3.", "FQ409",
            )  # fmt: skip
        return torch.from_numpy(places[:, :2].reshape(*positions.shape[:-1], 2)).to(self.device)

    @cached_property
    def fingerprint(self) -> str:
        """Eight hexadecimal digits that other weights do not have: what was made with these is told by them."""
        digest = hashlib.sha256()
        for value in self.network.state_dict().values():
            digest.update(value.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:8]

    @torch.inference_mode()
    def encode(self, crops: NDArray[np.uint8]) -> Tensor:
        """Crops (B, S, S, 3), uint8 RGB display pictures, S = `size` -> descriptors (B, d) on the device."""
        with stage("encode"):
            return self._encode(crops)

    def _encode(self, crops: NDArray[np.uint8]) -> Tensor:
        if self.device.type != "cpu" or not len(crops):
            return self._encode_batch(crops)
        parts, start = [], 0
        while start < len(crops):
            left = len(crops) - start
            size = next(size for size in _SIZES if size <= left)
            if 1 < left < _PADDED:
                part = np.concatenate([crops[start:], np.repeat(crops[-1:], _PADDED - left, 0)])
                parts.append(self._encode_batch(part)[:left])
                break
            parts.append(self._encode_batch(crops[start : start + size]))
            start += size
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _encode_batch(self, crops: NDArray[np.uint8]) -> Tensor:
        images = images_to_input(torch.from_numpy(np.ascontiguousarray(crops)).to(self.device))
        with reduced_precision(self.device, self.half):
            return self.ready.encode(images.contiguous(memory_format=torch.channels_last)).float()

    @torch.inference_mode()
    def decode(self, descriptor: Tensor, positions: NDArray) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Descriptors (B, d) and canonical positions (N, 3) or (B, N, 3), metres -> xy (B, N, 2) and sigma (B, N), the
        standard deviation per axis, both in crop coordinates [-1, 1]. Sigma passes through the monotone map that
        `tools.calibrate_sigma` fitted on held-out renders, if the weights' card has one."""
        with stage("decode"):
            return self._decode(descriptor, self.queries(positions))

    def _decode(self, descriptor: Tensor, queries: Tensor) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        images, count = len(descriptor), queries.shape[-2]
        xy, sigma = np.empty((images, count, 2), np.float32), np.empty((images, count), np.float32)
        on_cpu = self.device.type == "cpu"
        rows = max(1, images if on_cpu else _PAIRS // max(count, 1))
        least = self.network.attention_chunk if self.network.predictor.attends else 64
        chunk = max(_CACHED // rows, least) if on_cpu else max(512, _PAIRS // rows)
        for start, first in itertools.product(range(0, images, rows), range(0, count, _CHUNKS * chunk)):
            part, some = slice(start, start + rows), slice(first, first + _CHUNKS * chunk)
            asked = queries[some] if queries.ndim == 2 else queries[part, some]
            where, log_sigma = self.ready.decode(descriptor[part], asked, chunk=chunk)
            xy[part, some], sigma[part, some] = where.float().cpu().numpy(), log_sigma.float().exp().cpu().numpy()
        scale, power = self.sigma_map
        return xy, sigma if self.sigma_map == (1.0, 1.0) else np.float32(scale) * sigma ** np.float32(power)

    def look(
        self, crops: NDArray[np.uint8], positions: NDArray, slide: Slide | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Crops (B, S, S, 3), uint8 RGB, and canonical positions (N, 3) or (B, N, 3), metres -> xy (B, N, 2) and sigma
        (B, N) in crop coordinates: `encode` and `decode`, and the mean with the mirrored picture if `mirror` is set.

        `slide`: a layout's points that go where the head's pose has them; they are asked for again when it is known.
        """
        views = self.see(crops)
        xy, sigma = self.read(views, positions)
        return (xy, sigma) if slide is None else self.read(views, slide.followed(positions, xy))

    def see(self, crops: NDArray[np.uint8]) -> Tensor:
        """Crops (B, S, S, 3), uint8 RGB -> descriptors (V, B, d): V is 2 with those of the mirror images if `mirror` is
        set, else 1."""
        seen = self.encode(np.concatenate([crops, crops[:, :, ::-1]]) if self.mirror else crops)
        return seen.unflatten(0, (-1, len(crops)))

    def read(self, views: Tensor, positions: NDArray) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What `see` gave (V, B, d) and canonical positions (N, 3) or (B, N, 3) -> xy (B, N, 2), sigma (B, N) in crop
        coordinates."""
        xy, sigma = self.decode(views[0], positions)
        if len(views) == 1:
            return xy, sigma
        other, spread = self.decode(views[1], np.asarray(positions, np.float32) * _MIRROR)
        return 0.5 * (xy + other * _MIRROR[:2]), np.sqrt(0.5 * (sigma**2 + spread**2))

    def landmarks(
        self, image: NDArray[np.uint8], queries: QuerySet, crop: NDArray | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Landmarks of one picture: xy (N, 2) float32 and sigma (N,) float32, the standard deviation per axis, in its
        pixels (the top-left pixel covers [0, 1) x [0, 1)).

        `image` (H, W, 3) uint8 RGB with square pixels; `queries` N points of the head, `load_layout(name)`; `crop` the
        crop_to_image (2, 3) to look at, else the surest face is looked for, or with a spatial transformer the whole
        picture is looked at (the face has to be 15 % of its longer side or more). Points that slide with the head's
        pose (see `head.slide`) do; tracks ask for them where they are at rest, so that a track is one point of the
        skin. Raises UserError when there is no face.
        """
        if crop is None and self.network.config.spatial:
            height, width = image.shape[:2]
            crop = crop_from_similarity([width / 2, height / 2], max(height, width) / 2, 0.0)
        elif crop is None:
            found = FaceFinder.from_pretrained(device=str(self.device)).find(image)
            faces = Anchors(self, HeadModel.load()).look_again([image], [found])[0]
            if not faces:
                raise UserError("No face was found in the picture.", "Give a crop, or a region.", "FQ294")
            crop = tightened(crop_from_points(faces[0].points))
        xy, sigma = self.look(sample_crop(image, crop, self.size)[None], queries.positions, queries.slide)
        return to_pixels(xy[0], sigma[0], crop)


@lru_cache(maxsize=2)
def _loaded(file: Path, changed: int, device: str) -> Detector:
    """Weights as they were when their file was `changed`."""
    network, card = load_landmark_net(file)
    detector = Detector(network, device)
    detector.card = card
    fitted = card.get("sigma", {})
    detector.sigma_map = (float(fitted.get("scale", 1.0)), float(fitted.get("power", 1.0)))
    return detector


def tightened(crops: NDArray) -> NDArray[np.float64]:
    """The crops (..., 2, 3) that are looked at, for crops that describe faces (`crop_from_points`)."""
    return compose(crops, np.array([[ZOOM, 0.0, 0.0], [0.0, ZOOM, 0.0]]))


def to_pixels(xy: NDArray, sigma: NDArray, crop_to_image: NDArray) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Crop coordinates to image pixels: xy (..., N, 2), sigma (..., N), by crops (..., 2, 3).

    A crop of a squeezed picture is no similarity; sigma then takes the mean scale of the two axes.
    """
    scale = np.sqrt(np.abs(np.linalg.det(np.asarray(crop_to_image)[..., :2])))
    return (
        apply_affine(crop_to_image, xy).astype(np.float32),
        (np.asarray(sigma) * scale[..., None]).astype(np.float32),
    )
