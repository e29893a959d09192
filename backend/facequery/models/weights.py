"""Weights in safetensors files: float16 tensors and a JSON card in the header.

The card travels with the weights: architecture, preprocessing, data, licence, command, figures. `landmarks.md` beside
`landmarks.safetensors` is the same for people.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from facequery.errors import UserError
from facequery.models.landmarks import LandmarkConfig, LandmarkNet


def save_weights(path: Path, state: dict[str, Tensor], card: dict[str, Any]) -> None:
    """Write tensors as float16 (integers as they are) and `card` (JSON) to `path`, through a temporary name."""
    half = {
        name: (value.half() if value.is_floating_point() else value).contiguous().cpu() for name, value in state.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    save_file(half, temporary, metadata={"card": json.dumps(card, sort_keys=True)})
    temporary.replace(path)


def load_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors (float32) and card of a weights file. Raises UserError when it is missing or not one of ours."""
    try:
        with safe_open(path, framework="pt") as file:
            card = json.loads((file.metadata() or {})["card"])
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f'The weights "{path}" cannot be read.', "Give a file that training wrote.", "FQ404") from error
    except Exception as error:  # safetensors' own error type derives from Exception alone
        if type(error).__name__ != "SafetensorError":
            raise
        raise UserError(f'The weights "{path}" are damaged or no weights.', "Get the file again.", "FQ404") from error
    return {k: v.float() if v.is_floating_point() else v for k, v in state.items()}, card


def load_network(network: nn.Module, state: dict[str, Tensor], path: Path) -> nn.Module:
    """Put tensors into a network, ready for inference. Raises UserError when they do not fit."""
    try:
        network.load_state_dict({k: v for k, v in state.items() if not k.startswith("correction.")})
    except RuntimeError as error:
        raise UserError(f'The weights "{path}" do not fit their own card.', "Get the file again.", "FQ405") from error
    return network.eval().requires_grad_(False)


def load_landmark_net(path: Path) -> tuple[LandmarkNet, dict[str, Any]]:
    """The detector of a weights file and its card, on the CPU, in evaluation mode, without gradients."""
    state, card = load_weights(path)
    if card.get("kind") != "landmarks":
        raise UserError(f'"{path}" holds "{card.get("kind")}" weights.', "Give landmark weights.", "FQ406")
    network = LandmarkNet(LandmarkConfig(**card["architecture"]))
    load_network(network, state, path)
    return network.to(memory_format=torch.channels_last), card
