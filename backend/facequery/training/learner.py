"""What is trained together: the landmark network and the semantic correction; its forward pass gives the loss."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from facequery.head.layouts import load_layout
from facequery.head.model import HeadModel
from facequery.head.query_space import QuerySpace
from facequery.head.sampling import farthest_points
from facequery.models.correction import SemanticCorrection
from facequery.models.landmarks import LandmarkNet, images_to_input
from facequery.training.configs import TrainConfig
from facequery.training.losses import landmark_loss, leaning_of
from facequery.training.placing import placing_loss
from facequery.training.sources import dataset_names

BEFORE = 64  # queries of each picture that are asked for before the second look: enough to keep that answer good
FRONT = -0.06  # metres: what lies farther back on the head is no anchor


class Learner(nn.Module):
    """Network and, unless it is switched off, semantic correction (Inf3D, section 3.4)."""

    def __init__(self, config: TrainConfig, names: Sequence[str] | None = None) -> None:
        super().__init__()
        self.config = config
        self.names = list(names or dataset_names(config.data))  # of the data sets, by number
        self.network = LandmarkNet(config.model)
        if self.network.second_look is not None:
            self.network.second_look.place(anchor_points(config.model.anchors, config.model.query_dims))
        self.correction = SemanticCorrection(len(self.names), config.model.query_dims) if config.correction else None

    def predict(
        self, images: Tensor, query: Tensor, dataset: Tensor
    ) -> tuple[list[tuple[Tensor, Tensor]], Tensor, Tensor | None, Tensor | None]:  # fmt: skip
        """Landmarks as the data sets of the pictures place them: xy (B, n, 2) and log sigma (B, n), one pair for each
        step, the last being the answer, and with a second look, first of all, that of the first queries before it; the
        shift of the queries (B, n, dims), with the 3D head the offsets (B, n, 3), and with the spatial transformer its
        similarities (B, 4)."""
        query = query[..., : self.config.model.query_dims]
        shift = torch.zeros_like(query) if self.correction is None else self.correction(query, dataset)
        seen = self.network.see(images_to_input(images))
        answers, lifted = self.network.answers(seen, query + shift)
        if (before := self.network.before_second_look(seen, (query + shift)[:, :BEFORE])) is not None:
            answers.insert(0, before)
        return answers, shift, None if lifted is None else lifted.offset, seen.similarity

    def forward(
        self, images: Tensor, query: Tensor, xy: Tensor, weight: Tensor, dataset: Tensor, unit: Tensor, clip: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """uint8 pictures (B, S, S, 3), queries (B, n, 3), targets (B, n, 2), weights (B, n), and (B,) data set numbers,
        units and clips as in `stream.Batch`."""
        config = self.config
        answers, shift, offset, similarity = self.predict(images, query, dataset)
        size = config.model.input_size
        (predicted, log_sigma), earlier = answers[-1], answers[:-1]
        loss, parts = landmark_loss(predicted.float(), log_sigma.float(), xy, weight, size, config.loss, unit, clip)
        for place, (before, spread) in enumerate(earlier):
            n = before.shape[1]
            first, other = landmark_loss(
                before.float(), spread.float(), xy[:, :n], weight[:, :n], size, config.loss, unit, clip
            )
            # the anchors are placed by the answer before the second look: it must stay as good as it can be
            places_anchors = place == 0 and self.network.second_look is not None
            loss = loss + (1.0 if places_anchors else config.loss.earlier_weight) * first
            parts.setdefault("first", other["error"])
        if self.correction is not None:
            shifted = shift.square().sum(-1).mean()
            parts["shift"] = shifted.detach().sqrt()
            loss = loss + config.loss.correction_weight * shifted
        if offset is not None and config.model.query_dims == 3:
            moved = offset.square().sum(-1).mean()
            parts["offset"] = moved.detach().sqrt()
            leaning = leaning_of(offset, query + shift).square().sum((1, 2)).mean()
            parts["leaning"] = leaning.detach().sqrt()
            loss = loss + config.loss.offset_weight * moved + config.loss.leaning_weight * leaning
        if similarity is not None and config.model.query_dims == 3:  # a place in the atlas is none on the head
            placed = placing_loss(similarity, query, xy, weight, unit, size)
            parts["placed"] = placed.detach()
            loss = loss + config.loss.placing_weight * placed
        with torch.no_grad():
            distance = (predicted - xy).norm(dim=-1) * (size / 2 / unit)[:, None]
            for number, name in enumerate(self.names):
                mask = weight * (dataset == number)[:, None]
                parts[name] = (distance * mask).sum() / mask.sum().clamp(min=1e-6)
        return loss, parts


def anchor_points(count: int, dims: int) -> Tensor:
    """The anchors (count, dims) of a second look, network units: the points of `ibug68`, then skin of the front of
    the head, each as far as can be from all before."""
    model = HeadModel.load()
    start = load_layout("ibug68").positions[:count]
    skin = model.rest[model.parts["skin"].vertices]
    skin = skin[skin[:, 2] > FRONT]
    points = np.concatenate([start, skin[farthest_points(skin, count - len(start), start)]])
    place, _ = QuerySpace(model, dims)(points)
    return torch.as_tensor(place[:, :dims])
