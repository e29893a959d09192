"""The 520-point regressor as a training task: its data, its loss, its measurements, its weights file.

Basak, Mangapuram, Costache, McDonnell, Schukat, "A lightweight 3D dense facial landmark estimation model from position
map data", 2023, sections 3.3 and 4.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from facequery.assets import source_data
from facequery.errors import UserError
from facequery.evaluation.errors import box_size, by_yaw, normalised_errors
from facequery.head.model import HeadModel
from facequery.models.dense import DenseConfig, DenseRegressor
from facequery.models.encoders import channels_last
from facequery.models.landmarks import images_to_input
from facequery.models.mobilenet_v2 import MobileNetV2
from facequery.models.weights import save_weights
from facequery.training.configs import TrainConfig
from facequery.training.dense_sources import DenseRenderSource, dense_layout, make_dense_mix, mean_face, members
from facequery.training.landmark_task import IMAGENET, write_sheet
from facequery.training.losses import hybrid, wing
from facequery.training.sources import maker_processes
from facequery.training.stream import DirectStream, SharedStream, stream_seed

_HELD_OUT = 150  # renders of held-out people on which a run is measured


class DenseLearner(nn.Module):
    """The regressor with its loss as the forward pass: Wing, squared error, or both (the paper's hybrid), pixels."""

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self.kind = config.loss.kind
        if self.kind not in ("wing", "l2", "hybrid"):
            raise UserError(f'The regressor has no loss "{self.kind}".', "Use wing, l2 or hybrid.", "FQ258")
        self.network = DenseRegressor(DenseConfig(config.model.encoder, config.model.input_size))

    def forward(self, images: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """uint8 crops (B, S, S, 3), targets (B, 520, 3) pixels, weights (B, 520)."""
        residual = self.network(images_to_input(images)).float() - target
        if self.kind == "hybrid":
            values = hybrid(residual)
        elif self.kind == "wing":
            values = wing(residual, 15.0, 3.0)
        else:
            values = residual.square()
        total = weight.sum().clamp(min=1e-6)
        loss = (values.mean(-1) * weight).sum() / total
        error = (residual.detach()[..., :2].norm(dim=-1) * weight).sum() / total
        depth = (residual.detach()[..., 2].abs() * weight).sum() / total
        return loss, {"error": error, "depth": depth}


class DenseTask:
    """Training of a DenseRegressor on position-map data."""

    def __init__(self, config: TrainConfig, checkpointed: bool = False) -> None:
        self.config = config
        self.module: DenseLearner = channels_last(DenseLearner(config))
        self.encoder = self.module.network.encoder
        size, data = config.model.input_size, config.data
        if not checkpointed:
            self.module.network.start_at(torch.from_numpy(mean_face(HeadModel.load(), size)))
            if config.imagenet and isinstance(self.encoder, MobileNetV2):
                self.encoder.load_imagenet(source_data(IMAGENET))
        for stage in self.encoder.stages()[: config.frozen_stages]:
            stage.requires_grad_(False)
        self.stream: DirectStream | SharedStream
        if config.deterministic:
            self.stream = DirectStream(make_dense_mix(data, size), stream_seed(config.seed))
        else:
            shares = [s for s in (data.renders, *(entry.weight for entry in data.sets)) if s > 0]
            self.stream = SharedStream(
                make_dense_mix, (data, size), [s / sum(shares) for s in shares], size, len(dense_layout()), data.slots,
                data.reuse, maker_processes(config), stream_seed(config.seed, checkpointed),
            )  # fmt: skip
        self.held_out: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    def batch(self, step: int) -> tuple[Tensor, ...]:
        batch = self.stream.batch(step, self.config.batch)
        return tuple(torch.from_numpy(np.ascontiguousarray(a)) for a in (batch.images, batch.query, batch.weight))

    def network(self, state: dict[str, Tensor]) -> DenseRegressor:
        """A DenseRegressor with the weights of a state of the learner, for inference."""
        network = DenseRegressor(self.module.network.config)
        network.load_state_dict({k[len("network.") :]: v.cpu() for k, v in state.items()})
        return channels_last(network.eval().requires_grad_(False))

    def evaluate(self, state: dict[str, Tensor]) -> dict[str, float]:
        """On renders of held-out people: errors over sqrt(h w) of the box, percent, of the named 68 (3D contour) and
        the 21 AFLW members, by yaw; over all 520, and of depth over the same box. Empty without the source data."""
        try:
            images, targets, yaw = self._renders()
        except UserError:
            return {}
        network = self.network(state)
        found = predict(network, images)
        figures: dict[str, float] = {}
        for name, layout in (("68", "face68_3d"), ("21", "aflw21")):
            chosen = members(layout)
            size = box_size(targets[:, chosen, :2])
            errors = normalised_errors(found[:, chosen, :2], targets[:, chosen, :2], size).mean(1)
            figures |= {f"render{name}_{key}": value for key, value in by_yaw(errors, yaw).items()}
            figures[f"render{name}_nme"] = round(100 * float(errors.mean()), 3)
        size = box_size(targets[..., :2])
        figures["render520_nme"] = round(
            100 * float(normalised_errors(found[..., :2], targets[..., :2], size).mean()), 3
        )
        depth = np.abs(found[..., 2] - targets[..., 2]) / size[:, None]
        figures["render520_depth"] = round(100 * float(depth.mean()), 3)
        return figures

    def _renders(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pictures, targets and yaw in degrees of the held-out renders, the same in every run."""
        if self.held_out is None:
            source = DenseRenderSource(self.config.model.input_size, self.config.data, "heldout")
            draws = [source.draw(np.random.default_rng([7, i])) for i in range(_HELD_OUT)]
            self.held_out = (
                np.stack([example.image for example, _ in draws]),
                np.stack([example.query for example, _ in draws]),
                np.degrees([scene.view.yaw for _, scene in draws]),
            )
        return self.held_out

    def sheet(self, state: dict[str, Tensor], path: Path) -> None:
        """Contact sheet of a training batch: labels green, predictions red."""
        images, target, weight = (t.numpy() for t in self.batch(0))
        found = predict(self.network(state), images)
        half = self.config.model.input_size / 2
        write_sheet(path, images, target[..., :2] / half - 1, found[..., :2] / half - 1, weight, zoom=1)

    def export(self, state: dict[str, Tensor], path: Path, metrics: dict[str, Any]) -> None:
        """Write the averaged weights with their card."""
        config = self.config
        data = ["renders of the project's own head (sources MIT and CC0, listed in assets/head/NOTICE.md)"]
        if config.imagenet and isinstance(self.encoder, MobileNetV2):
            data.append("initial weights: MobileNetV2 trained on ImageNet (Apache-2.0, Google Coral test data)")
        card = {
            "kind": "dense",
            "architecture": self.module.network.config.to_dict(),
            "preprocessing": f"square crop by four points, {config.model.input_size} px, sRGB, value / 127.5 - 1",
            "data": data,
            "licence": "Apache-2.0",
            "command": f"facequery train {config.name} --minutes {config.minutes:g}",
            "metrics": metrics,
        }
        save_weights(path, {n[len("network.") :]: v for n, v in state.items()}, card)

    def close(self) -> None:
        self.stream.close()


@torch.no_grad()
def predict(network: DenseRegressor, images: np.ndarray, batch: int = 16) -> np.ndarray:
    """Landmarks (n, 520, 3), pixels, of crops (n, S, S, 3) uint8."""
    pieces = [network(images_to_input(torch.from_numpy(p))) for p in np.array_split(images, -(-len(images) // batch))]
    return torch.cat(pieces).float().numpy()
