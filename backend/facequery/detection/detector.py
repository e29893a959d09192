"""The landmark detector over pictures: crops in, landmarks with sigma out, in plate pixels."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facequery.detection.devices import bfloat16_is_faster, pick_device, reduced_precision
from facequery.detection.finder import FaceFinder
from facequery.errors import UserError
from facequery.geometry.crops import apply_affine, crop_from_points, sample_crop
from facequery.head.model import HeadModel
from facequery.head.queries import QuerySet
from facequery.models.landmarks import LandmarkNet, images_to_input
from facequery.models.weights import load_landmark_net

_PAIRS = 400_000  # queries times images decoded at once: bounds memory (about 1 KB a pair)


class Detector:
    """Landmarks of face crops, for any queries.

        detector = Detector.from_pretrained()
        xy, sigma = detector.landmarks(picture, load_layout("ibug68"))

    Queries are canonical positions on the head's rest mesh, in metres.
    """

    def __init__(self, network: LandmarkNet, device: torch.device | str = "cpu", units_per_metre: float | None = None):
        self.device = torch.device(device)
        self.network = network.eval().to(self.device)
        self.size = network.config.input_size
        self.units_per_metre = units_per_metre or HeadModel.load().scale
        self.card: dict[str, Any] = {}
        self.half = bfloat16_is_faster(self.device)

    @classmethod
    def from_pretrained(cls, name: str = "landmarks", device: str = "cpu") -> "Detector":
        """The detector of a weights file, or of a name under assets/weights. Raises UserError when there is none."""
        network, card = load_landmark_net(name)
        detector = cls(network, pick_device(device))
        detector.card = card
        return detector

    @torch.inference_mode()
    def encode(self, crops: NDArray[np.uint8]) -> Tensor:
        """Crops (B, S, S, 3), uint8 RGB display pictures -> descriptors (B, d) on the device."""
        images = images_to_input(torch.from_numpy(np.ascontiguousarray(crops)).to(self.device))
        with reduced_precision(self.device, self.half):
            return self.network.encode(images.contiguous(memory_format=torch.channels_last)).float()

    @torch.inference_mode()
    def decode(self, descriptor: Tensor, positions: NDArray) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Descriptors (B, d) and canonical positions (N, 3) or (B, N, 3), metres -> xy (B, N, 2) and sigma (B, N), the
        standard deviation per axis, both in crop coordinates [-1, 1]."""
        queries = torch.from_numpy(np.asarray(positions, dtype=np.float32) * np.float32(self.units_per_metre))
        queries = queries.to(self.device)
        images, count = len(descriptor), queries.shape[-2]
        xy, sigma = np.empty((images, count, 2), np.float32), np.empty((images, count), np.float32)
        rows = max(1, _PAIRS // max(count, 1))
        for start in range(0, images, rows):
            part = slice(start, start + rows)
            where, log_sigma = self.network.decode(
                descriptor[part], queries if queries.ndim == 2 else queries[part], chunk=max(512, _PAIRS // rows)
            )
            xy[part], sigma[part] = where.float().cpu().numpy(), log_sigma.float().exp().cpu().numpy()
        return xy, sigma

    def look(self, crops: NDArray[np.uint8], positions: NDArray) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Crops (B, S, S, 3), uint8 RGB, and canonical positions (N, 3) or (B, N, 3), metres -> xy (B, N, 2) and sigma
        (B, N) in crop coordinates: `encode` and `decode` in one."""
        return self.decode(self.encode(crops), positions)

    def landmarks(
        self, image: NDArray[np.uint8], queries: QuerySet, crop: NDArray | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Landmarks of one picture: xy (N, 2) and sigma (N,) in its pixels (the top-left pixel covers [0, 1)).

        `image` (H, W, 3) uint8 RGB with square pixels; `crop` the crop_to_image (2, 3), else the largest face is
        looked for. Raises UserError when there is no face.
        """
        if crop is None:
            faces = FaceFinder.from_pretrained(device=str(self.device)).find(image)
            if not faces:
                raise UserError("No face was found in the picture.", "Give a crop, or a region.", "FQ320")
            crop = crop_from_points(faces[0].points)
        descriptor = self.encode(sample_crop(image, crop, self.size)[None])
        xy, sigma = self.decode(descriptor, queries.positions)
        return to_pixels(xy[0], sigma[0], crop)


def to_pixels(xy: NDArray, sigma: NDArray, crop_to_image: NDArray) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Crop coordinates to image pixels: xy (..., N, 2), sigma (..., N), by crops (..., 2, 3).

    A crop of a squeezed picture is no similarity; sigma then takes the mean scale of the two axes.
    """
    scale = np.sqrt(np.abs(np.linalg.det(np.asarray(crop_to_image)[..., :2])))
    return (
        apply_affine(crop_to_image, xy).astype(np.float32),
        (np.asarray(sigma) * scale[..., None]).astype(np.float32),
    )
