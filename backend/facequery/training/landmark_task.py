"""The landmark detector as a training task: its data, its loss, its measurements, its weights file."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facequery.assets import source_data
from facequery.errors import UserError
from facequery.evaluation import annotated, calibration
from facequery.evaluation.errors import normalised_errors, summary
from facequery.models.encoders import channels_last
from facequery.models.landmarks import LandmarkNet
from facequery.models.mobilenet_v2 import MobileNetV2
from facequery.models.weights import save_weights
from facequery.training.configs import TrainConfig
from facequery.training.learner import Learner
from facequery.training.revive import revive
from facequery.training.sources import learner_mix, make_mix, maker_processes, shares_and_frames
from facequery.training.stream import DirectStream, SharedStream, stream_seed

IMAGENET = "weights/mobilenetv2_imagenet_bnfolded_f16.npz"  # in the source data


class LandmarkTask:
    """Training of a LandmarkNet on renders and portraits."""

    def __init__(self, config: TrainConfig, checkpointed: bool = False) -> None:
        self.config = config
        self.module: Learner = channels_last(Learner(config))
        self.encoder = self.module.network.encoder
        if config.imagenet and not checkpointed:
            if not isinstance(self.encoder, MobileNetV2):
                raise UserError("ImageNet weights exist for mobilenet_v2 alone.", "Set imagenet to false.", "FQ250")
            self.encoder.load_imagenet(source_data(IMAGENET))
            if self.module.network.localiser is not None:
                self.module.network.localiser.backbone.load_imagenet(source_data(IMAGENET))
        for stage in self.encoder.stages()[: config.frozen_stages]:
            stage.requires_grad_(False)
        self.stream: DirectStream | SharedStream
        if config.deterministic:
            self.stream = DirectStream(make_mix(*learner_mix(config), True), stream_seed(config.seed))
        else:
            data, (shares, frames) = config.data, shares_and_frames(config.data)
            self.stream = SharedStream(
                make_mix, learner_mix(config), shares, config.model.picture, data.queries, data.slots, data.reuse,
                maker_processes(config), stream_seed(config.seed, checkpointed), frames,
            )  # fmt: skip
        self.sets: list[tuple[annotated.AnnotatedSet, NDArray, NDArray]] | None = None

    def batch(self, step: int) -> tuple[Tensor, ...]:
        b = self.stream.batch(step, self.config.batch)
        arrays = (b.images, b.query, b.xy, b.weight, b.dataset, b.unit, b.clip)
        return tuple(torch.from_numpy(np.ascontiguousarray(a)) for a in arrays)

    def network(self, state: dict[str, Tensor]) -> LandmarkNet:
        """A LandmarkNet with the weights of a state of the learner, for inference."""
        network = LandmarkNet(self.config.model)
        prefix = "network."
        network.load_state_dict({k[len(prefix) :]: v.cpu() for k, v in state.items() if k.startswith(prefix)})
        return channels_last(network.eval().requires_grad_(False))

    def evaluate(self, state: dict[str, Tensor]) -> dict[str, float]:
        """NME on `lfpw` and `afw` from the annotations' boxes: with the clean layout, and with queries optimised on
        `lfpw` (named `fit`: for `lfpw` itself it is the training error of 204 numbers, for `afw` it is a test); and
        the share of units that no picture of a batch switches on (`dead`; see `revive`).

        Empty when the source data is absent.
        """
        from facequery.head.layouts import load_layout
        from facequery.head.model import HeadModel

        network = self.network(state)
        if self.config.model.query_dims != 3 or self.config.model.spatial:
            return {}  # the sets have normalised crops and canonical queries
        start = load_layout("ibug68").positions * HeadModel.load().scale
        figures: dict[str, float] = {}
        fitted = None
        for chosen, crops, images in self._real_sets():
            descriptors = calibration.describe(network, images)
            if fitted is None:
                target = annotated.to_crop(chosen.points, crops)
                fitted = calibration.optimise_queries(network, descriptors, target, start)
            for suffix, queries in (("", start), ("_fit", fitted)):
                xy, _ = calibration.locate(network, descriptors, queries)
                image_xy = xy @ np.swapaxes(crops[..., :2], -1, -2) + crops[:, None, :, 2]
                errors = normalised_errors(image_xy, chosen.points, chosen.ocular)
                for name, value in summary(errors, chosen.layout).items():
                    if name in ("nme68", "nme51", "mouth", "eyes", "brows", "nose", "contour", "fail10"):
                        figures[f"{chosen.name}{suffix}_{name}"] = value
        if figures:
            counts = revive(network, self.batch(0)[0], torch.as_tensor(start).float()).values()
            figures["dead"] = sum(dead for dead, _ in counts) / sum(units for _, units in counts)
        return figures

    def _real_sets(self) -> list[tuple[annotated.AnnotatedSet, NDArray, NDArray]]:
        if self.sets is None:
            self.sets = []
            for name in ("lfpw", "afw"):
                try:
                    chosen = annotated.load_annotated(source_data(f"real_dev/{name}"))
                except UserError:
                    continue
                crops = chosen.crops()
                self.sets.append((chosen, crops, chosen.images(crops, self.config.model.input_size)))
        return self.sets

    def sheet(self, state: dict[str, Tensor], path: Path) -> None:
        """Contact sheet of a training batch: labels green, predictions red."""
        learner = Learner(self.config, self.module.names)
        learner.load_state_dict({name: value.cpu() for name, value in state.items()})
        images, query, xy, weight, dataset, *_ = self.batch(0)
        with torch.no_grad():
            predicted, _ = channels_last(learner.eval()).predict(images, query, dataset)[0][-1]
        write_sheet(path, images.numpy(), xy.numpy(), predicted.numpy(), weight.numpy())

    def export(self, state: dict[str, Tensor], path: Path, metrics: dict[str, Any]) -> None:
        """Write the averaged weights with their card."""
        names = [n for n in state if n.startswith("network.")]
        save_weights(path, {n[len("network.") :]: state[n] for n in names}, landmark_card(self.config, metrics))

    def close(self) -> None:
        self.stream.close()


def landmark_card(config: TrainConfig, metrics: dict[str, Any]) -> dict[str, Any]:
    """The card of landmark weights: all that is needed to use and to judge them."""
    data = []
    if config.data.renders + config.data.render_clips > 0:
        data.append("renders of the project's own head (sources MIT and CC0, listed in assets/head/NOTICE.md)")
    if config.data.portraits + config.data.portrait_clips > 0:
        data.append("generated portraits (CC0, MIT) with labels by MediaPipe 0.10.21 (Apache-2.0)")
    data += [f"data set on disk: {Path(entry.folder).name}" for entry in config.data.sets if entry.weight > 0]
    if config.imagenet:
        data.append("initial weights: MobileNetV2 trained on ImageNet (Apache-2.0, Google Coral test data)")
    return {
        "kind": "landmarks",
        "architecture": config.model.to_dict(),
        "preprocessing": (
            f"square region with the face in it, {config.model.region} px"
            if config.model.spatial
            else f"square crop by four points, {config.model.input_size} px"
        )
        + ", sRGB, value / 127.5 - 1",
        "query_scale": "canonical metres * HeadModel.scale" if config.model.query_dims == 3 else "atlas, [-1, 1]",
        "data": data,
        "licence": "Apache-2.0",
        "command": f"facequery train {config.name} --minutes {config.minutes:g}",
        "metrics": metrics,
    }


def write_sheet(
    path: Path, images: NDArray, truth: NDArray, predicted: NDArray, weight: NDArray, zoom: int = 2, columns: int = 8
) -> None:
    """PNG of crops (B, S, S, 3) RGB with points (B, n, 2) in crop coordinates: truth green, predictions red."""
    tiles = []
    size = images.shape[1] * zoom
    for image, good, found, w in zip(images, truth, predicted, weight, strict=True):
        tile = cv2.resize(image[..., ::-1], (size, size), interpolation=cv2.INTER_LINEAR)
        for points, tint in ((good, (60, 230, 60)), (found, (40, 40, 255))):
            for (x, y), valid in zip((points + 1) * size / 2 - 0.5, w, strict=False):
                if valid > 0 and abs(x) < 1e4 and abs(y) < 1e4:
                    cv2.circle(tile, (round(float(x) * 8), round(float(y) * 8)), 10, tint, -1, cv2.LINE_AA, 3)
        tiles.append(tile)
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    cv2.imwrite(str(path), np.vstack(rows))
