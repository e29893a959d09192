"""The face finder as a training task."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facequery.assets import checkout_path, source_data
from facequery.errors import UserError
from facequery.evaluation.annotated import load_annotated, read_rgb
from facequery.models.encoders import channels_last
from facequery.models.finder import FinderConfig, FinderNet, cell_centres, face_sizes, level_size
from facequery.models.landmarks import images_to_input
from facequery.models.mobilenet_v2 import MobileNetV2
from facequery.models.weights import save_weights
from facequery.training.configs import DataConfig, TrainConfig
from facequery.training.examples import Mix, Source
from facequery.training.landmark_task import IMAGENET
from facequery.training.sources import maker_processes
from facequery.training.stream import DirectStream, SharedStream, stream_seed
from facequery.training.whole_pictures import MOST_FACES, PastedPortraitSource, RenderedPictureSource

PICTURE = 256  # side of the training pictures, pixels
OFFSET_WEIGHT = 2.0  # of the points' errors against the centre maps
SPREAD = 0.22  # standard deviation of a centre's bump over the face's size
OVERLAP = 0.2  # octaves are this much wider on either side, so that no size falls between two levels


def make_finder_mix(config: DataConfig, size: int) -> Mix:
    """The finder's sources with their weights. Called in every process that makes pictures."""
    sources: list[Source] = []
    weights: list[float] = []
    if config.renders > 0:
        sources.append(RenderedPictureSource(size))
        weights.append(config.renders)
    if config.portraits > 0:
        sources.append(PastedPortraitSource(checkout_path(config.portrait_labels), size, config))
        weights.append(config.portraits)
    return Mix(sources, weights)


def level_targets(
    faces: np.ndarray, present: np.ndarray, h: int, w: int, stride: int, last: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a level should say. `faces` (B, M, 4, 2) pixels, `present` (B, M).

    Returns the centre map (B, h, w) in [0, 1], 1 in the cell nearest to a centre; the points (B, 4, 2, h, w) of the
    face that a cell belongs to; and where the points count (B, h, w). The last level also takes all larger faces.
    """
    batch, most = present.shape
    cells = cell_centres(h, w, stride).numpy()
    heat = np.zeros((batch, h, w), np.float32)
    points = np.zeros((batch, 4, 2, h, w), np.float32)
    centres, sizes = face_sizes(faces)
    low = level_size(stride) / 2**0.5 * (1 - OVERLAP) if stride > 8 else 0.0
    high = np.inf if last else level_size(stride) * 2**0.5 * (1 + OVERLAP)
    for b in range(batch):
        for m in range(most):
            if not present[b, m] or not low <= sizes[b, m] < high:
                continue
            distance = ((cells - centres[b, m][:, None, None]) ** 2).sum(0)
            sigma = max(SPREAD * sizes[b, m], 0.4 * stride)
            bump = np.exp(-distance / (2 * sigma**2)).astype(np.float32)
            bump.flat[distance.argmin()] = 1.0 if distance.min() < stride**2 else bump.flat[distance.argmin()]
            better = bump > heat[b]
            heat[b][better] = bump[better]
            points[b][:, :, better] = faces[b, m][:, :, None]
    return heat, points, (heat > 0.35).astype(np.float32)


def finder_loss(outputs: list[tuple[Tensor, Tensor]], targets: list[tuple[Tensor, ...]], strides: list[int]) -> Tensor:
    """Penalty-reduced focal loss of the centre maps (Zhou et al., equation 1) and L1 of the points over the size."""
    focal = outputs[0][0].new_zeros(())
    offset = outputs[0][0].new_zeros(())
    found = outputs[0][0].new_zeros(())
    cells = outputs[0][0].new_zeros(())
    for (logits, predicted), (heat, points, inside), stride in zip(outputs, targets, strides, strict=True):
        score = torch.sigmoid(logits)
        positive = heat > 0.999
        hit = -F.logsigmoid(logits) * (1 - score) ** 2
        miss = -F.logsigmoid(-logits) * score**2 * (1 - heat) ** 4
        focal = focal + torch.where(positive, hit, miss).sum()
        found = found + positive.sum()
        error = (predicted - points).abs().mean((1, 2)) / level_size(stride)
        offset = offset + (error * inside).sum()
        cells = cells + inside.sum()
    return focal / found.clamp(min=1) + OFFSET_WEIGHT * offset / cells.clamp(min=1)


class FinderLearner(nn.Module):
    """The network with its loss as the forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.network = FinderNet(FinderConfig())

    def forward(self, images: Tensor, *flat: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """uint8 pictures (B, S, S, 3) and the targets of every level, three tensors each."""
        outputs = self.network(images_to_input(images))
        targets = [flat[i : i + 3] for i in range(0, len(flat), 3)]
        with torch.autocast(images.device.type, enabled=False):
            loss = finder_loss(outputs, targets, list(self.network.strides))
        return loss, {}


class FinderTask:
    """Training of a FinderNet on whole pictures."""

    def __init__(self, config: TrainConfig, checkpointed: bool = False) -> None:
        self.config = config
        self.module: FinderLearner = channels_last(FinderLearner())
        self.encoder = self.module.network.encoder
        if config.imagenet and not checkpointed:
            assert isinstance(self.encoder, MobileNetV2)
            self.encoder.load_imagenet(source_data(IMAGENET))
        for stage in self.encoder.stages()[: config.frozen_stages]:
            stage.requires_grad_(False)
        data = replace(config.data, queries=MOST_FACES * 4)
        self.stream: DirectStream | SharedStream
        if config.deterministic:
            self.stream = DirectStream(make_finder_mix(data, PICTURE), stream_seed(config.seed))
        else:
            shares = [s for s in (data.renders, data.portraits) if s > 0]
            self.stream = SharedStream(
                make_finder_mix, (data, PICTURE), [s / sum(shares) for s in shares], PICTURE, data.queries,
                data.slots, data.reuse, maker_processes(config),
                stream_seed(config.seed, checkpointed),
            )  # fmt: skip

    def batch(self, step: int) -> tuple[Tensor, ...]:
        batch = self.stream.batch(step, self.config.batch)
        faces = (batch.xy.reshape(len(batch.xy), MOST_FACES, 4, 2) + 1) * (PICTURE / 2)
        present = batch.weight[:, ::4] > 0
        tensors = [torch.from_numpy(np.ascontiguousarray(batch.images))]
        strides = list(self.module.network.strides)
        for stride in strides:
            side = PICTURE // stride
            parts = level_targets(faces, present, side, side, stride, stride == strides[-1])
            tensors += [torch.from_numpy(part) for part in parts]
        return tuple(tensors)

    def network(self, state: dict[str, Tensor]) -> FinderNet:
        """A FinderNet with the weights of a state of the learner, for inference."""
        network = FinderNet(FinderConfig())
        network.load_state_dict({k[len("network.") :]: v.cpu() for k, v in state.items()})
        return channels_last(network.eval().requires_grad_(False))

    def evaluate(self, state: dict[str, Tensor]) -> dict[str, float]:
        """On the pictures of `afw`, whole: share of the annotated faces found (percent) and the median error of the
        points over the inter-ocular distance (percent). Empty when the source data is absent."""
        try:
            annotated = load_annotated(source_data("real_dev/afw"))
        except UserError:
            return {}
        network = self.network(state)
        errors, scores = [], []
        for path, points in zip(annotated.paths, annotated.points, strict=True):
            image, scale = fit_picture(read_rgb(path), 256)
            found = find_faces(network, image, 0.05)
            truth = scale * np.stack(
                [points[36:42].mean(0), points[42:48].mean(0), points[48], points[54]]
            )  # near enough to the middle of the corners
            ocular = scale * np.linalg.norm(points[36] - points[45])
            error = np.linalg.norm(found.points - truth, axis=-1).mean(-1) / ocular if len(found.scores) else np.ones(1)
            errors.append(error.min())
            scores.append(found.scores[error.argmin()] if error.min() < 0.3 else 0.0)
        hit = np.array(errors) < 0.3
        return {
            "afw_found": 100 * float((np.array(scores) > 0.4).mean()),
            "afw_error": 100 * float(np.median(np.array(errors)[hit])) if hit.any() else 100.0,
            "afw_score": float(np.median(scores)),
        }

    def sheet(self, state: dict[str, Tensor], path: Path) -> None:
        """Contact sheet of training pictures with the faces found."""
        network = self.network(state)
        tiles = []
        for image in self.batch(0)[0].numpy()[:16]:
            tile = np.ascontiguousarray(image[..., ::-1])
            draw_faces(tile, find_faces(network, image, 0.3))
            tiles.append(tile)
        rows = [np.hstack(tiles[i : i + 8]) for i in range(0, len(tiles) - 7, 8)]
        cv2.imwrite(str(path), np.vstack(rows))

    def export(self, state: dict[str, Tensor], path: Path, metrics: dict[str, Any]) -> None:
        """Write the averaged weights with their card."""
        config = self.config
        card = {
            "kind": "finder",
            "architecture": self.module.network.config.to_dict(),
            "preprocessing": "picture with its longer side at 384 px, padded to multiples of 32, value / 127.5 - 1",
            "data": [
                "renders of the project's own head (sources MIT and CC0, listed in assets/head/NOTICE.md)",
                "generated portraits (CC0, MIT) with labels by MediaPipe 0.10.21 (Apache-2.0)",
                "initial weights: MobileNetV2 trained on ImageNet (Apache-2.0, Google Coral test data)",
            ],
            "licence": "Apache-2.0",
            "command": f"facequery train {config.name} --minutes {config.minutes:g}",
            "metrics": metrics,
        }
        save_weights(path, {n[len("network.") :]: v for n, v in state.items()}, card)

    def close(self) -> None:
        self.stream.close()


def fit_picture(image: np.ndarray, side: int) -> tuple[np.ndarray, float]:
    """The picture with its longer side at `side` pixels, padded right and below to multiples of 32, and the scale."""
    scale = side / max(image.shape[:2])
    width, height = max(8, round(image.shape[1] * scale)), max(8, round(image.shape[0] * scale))
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return cv2.copyMakeBorder(small, 0, -height % 32, 0, -width % 32, cv2.BORDER_REPLICATE), scale


def find_faces(network: FinderNet, image: np.ndarray, threshold: float) -> Any:
    """Faces of one picture (H, W, 3) uint8 whose sides are multiples of 32."""
    with torch.no_grad():
        outputs = network(images_to_input(torch.from_numpy(np.ascontiguousarray(image))[None]))
    return FinderNet.decode(outputs, threshold)[0]


def draw_faces(image: np.ndarray, found: Any) -> None:
    """Draw points and scores of faces into a BGR picture."""
    for points, score, (x, y, w, h) in zip(found.points, found.scores, found.boxes, strict=True):
        cv2.rectangle(image, (int(x), int(y)), (int(x + w), int(y + h)), (60, 230, 60), 1)
        cv2.putText(image, f"{score:.2f}", (int(x), int(y) - 2), cv2.FONT_HERSHEY_SIMPLEX, 0.35, (60, 230, 60), 1)
        for u, v in points:
            cv2.circle(image, (int(u), int(v)), 1, (40, 40, 255), -1)
