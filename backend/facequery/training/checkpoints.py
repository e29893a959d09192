"""Moving average of the weights, and checkpoints from which a run goes on as if it had never stopped."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from facequery.errors import UserError
from facequery.files import whole_file
from facequery.models.encoders import DescriptorHead
from facequery.models.mobilenet_v2 import DEEP, MobileNetV2
from facequery.models.second_look import SecondLook


class MovingAverage:
    """Exponential moving average of a module's floating-point state; short at first, so that early weights count less.

    Decay at update n: min(decay, (1 + n) / (10 + n)).
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self.state = {name: value.detach().clone() for name, value in module.state_dict().items()}

    def update(self, module: nn.Module) -> None:
        self.updates += 1
        weight = 1 - min(self.decay, (1 + self.updates) / (10 + self.updates))
        state = module.state_dict()
        floats = [name for name, value in self.state.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.state[n] for n in floats], [state[n].detach() for n in floats], weight)
        for name, value in self.state.items():
            if not value.is_floating_point():
                value.copy_(state[name])

    def state_dict(self) -> dict[str, Any]:
        return {"updates": self.updates, "state": self.state}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        self.updates = saved["updates"]
        for name, value in self.state.items():
            value.copy_(saved["state"][name])


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint through a temporary name: killed at any moment, the last whole one remains."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary:
        torch.save(content, temporary)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint (tensors and plain values only). Raises UserError when there is none or it is damaged."""
    if not path.exists():
        raise UserError(f'There is no checkpoint at "{path}".', "Start without --resume.", "FQ245")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a file that is no checkpoint makes the unpickler raise anything
        raise UserError(f'The checkpoint "{path}" is damaged.', "Start without --resume.", "FQ246") from error


def start_from(module: nn.Module, path: Path) -> None:
    """Give a new run the weights of an earlier one: a weights file (.safetensors; its tensors are the module's
    `network`) or the averaged weights of a checkpoint. What the file does not have keeps its initial values; landmark
    weights of another crop size have their flattened head interpolated.

    Raises UserError when the file is not readable or is of another network.
    """
    if path.suffix == ".safetensors":
        from facequery.models.weights import load_weights

        tensors, card = load_weights(path)
        state, model = {f"network.{name}": value for name, value in tensors.items()}, card.get("architecture", {})
    else:
        saved = load_checkpoint(path)
        state, model = dict(saved["average"]["state"]), json.loads(saved["config"]).get("model", {})
    if isinstance(head := getattr(getattr(module, "network", None), "descriptor", None), DescriptorHead):
        _fit_to_size(state, head, model.get("input_size", head.size))
    own = module.state_dict()
    fitting = {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}
    if len(fitting) < len(state):
        raise UserError(f'"{path}" holds weights of another network.', "Start without --init.", "FQ252")
    module.load_state_dict(fitting, strict=False)


def _fit_to_size(state: dict[str, Tensor], head: DescriptorHead, size: int) -> None:
    """Give the flattened head of a landmark network that took crops of `size` pixels this one's size."""
    name = "network.descriptor.linear.weight"
    if head.kind == "flatten" and name in state and size != head.size:
        state[name] = head.resized(state[name], size)


def careful_layers(module: nn.Module) -> list[nn.Module]:
    """Layers of a module that read large numbers, or very many: Adam's steps are alike for all weights, and where
    thousands of inputs have a mean, a step of all moves the output by far. Training then oscillates, and calms down by
    shutting off the units before such a layer, for good."""
    found: list[nn.Module] = []
    for part in module.modules():
        if isinstance(part, MobileNetV2):
            found += part.blocks[DEEP:]
        elif isinstance(part, DescriptorHead):
            found += [part.reduce, part.linear]
        elif isinstance(part, SecondLook):
            found += [part.joined, part.last]
    return found


def parameter_groups(
    module: nn.Module, slow: Sequence[tuple[nn.Module, float]], rate: float, decay: float
) -> list[dict[str, Any]]:
    """Optimiser groups: the parameters of `slow`'s modules at a share of the rate (that of the last module that has
    them); weight decay for matrices and kernels alone."""
    shares = {id(p): share for part, share in slow for p in part.parameters()}
    groups: dict[tuple[float, bool], list[Tensor]] = {}
    for parameter in module.parameters():
        if parameter.requires_grad:
            groups.setdefault((shares.get(id(parameter), 1.0), parameter.ndim > 1), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": rate * share,
            "peak": rate * share,
            "weight_decay": decay if is_matrix else 0.0,
        }
        for (share, is_matrix), parameters in groups.items()
    ]
