"""What is trained together: the landmark network and the semantic correction; its forward pass gives the loss."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from facequery.models.correction import SemanticCorrection
from facequery.models.landmarks import LandmarkNet, images_to_input
from facequery.training.configs import TrainConfig
from facequery.training.losses import landmark_loss
from facequery.training.sources import dataset_names


class Learner(nn.Module):
    """Network and, unless it is switched off, semantic correction (Inf3D, section 3.4)."""

    def __init__(self, config: TrainConfig, names: Sequence[str] | None = None) -> None:
        super().__init__()
        self.config = config
        self.names = list(names or dataset_names(config.data))  # of the data sets, by number
        self.network = LandmarkNet(config.model)
        self.correction = SemanticCorrection(len(self.names), config.model.query_dims) if config.correction else None

    def predict(
        self, images: Tensor, query: Tensor, dataset: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:  # fmt: skip
        """Landmarks as the data sets of the pictures place them: xy (B, n, 2), log sigma (B, n), the shift of the
        queries (B, n, dims), and with the 3D head the offsets (B, n, 3)."""
        query = query[..., : self.config.model.query_dims]
        shift = torch.zeros_like(query) if self.correction is None else self.correction(query, dataset)
        descriptor = self.network.encode(images_to_input(images))
        if self.config.model.space == "3d":
            xy, log_sigma, lifted = self.network.lift(descriptor, query + shift)
            return xy, log_sigma, shift, lifted.offset
        xy, log_sigma = self.network.decode(descriptor, query + shift)
        return xy, log_sigma, shift, None

    def forward(
        self, images: Tensor, query: Tensor, xy: Tensor, weight: Tensor, dataset: Tensor, unit: Tensor, clip: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """uint8 pictures (B, S, S, 3), queries (B, n, 3), targets (B, n, 2), weights (B, n), and (B,) data set numbers,
        units and clips as in `stream.Batch`."""
        config = self.config
        predicted, log_sigma, shift, offset = self.predict(images, query, dataset)
        size = config.model.input_size
        loss, parts = landmark_loss(predicted.float(), log_sigma.float(), xy, weight, size, config.loss, unit, clip)
        if self.correction is not None:
            shifted = shift.square().sum(-1).mean()
            parts["shift"] = shifted.detach().sqrt()
            loss = loss + config.loss.correction_weight * shifted
        if offset is not None and config.model.query_dims == 3:
            moved = offset.square().sum(-1).mean()
            parts["offset"] = moved.detach().sqrt()
            loss = loss + config.loss.offset_weight * moved
        with torch.no_grad():
            distance = (predicted - xy).norm(dim=-1) * (size / 2 / unit)[:, None]
            for number, name in enumerate(self.names):
                mask = weight * (dataset == number)[:, None]
                parts[name] = (distance * mask).sum() / mask.sum().clamp(min=1e-6)
        return loss, parts
