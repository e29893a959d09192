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

from facequery.assets import asset
from facequery.errors import UserError
from facequery.files import whole_file
from facequery.models.dense import DenseConfig, DenseRegressor
from facequery.models.encoders import channels_last
from facequery.models.finder import FinderConfig, FinderNet
from facequery.models.landmarks import LandmarkConfig, LandmarkNet

_LARGEST_PICTURE = 2048  # pixels a side: what a card may ask for
_MOST_LAYERS = 16  # local refinements, or residual blocks


def save_weights(path: Path, state: dict[str, Tensor], card: dict[str, Any]) -> None:
    """Write tensors as float16 (integers as they are) and `card` (JSON) to `path`, through a temporary name."""
    half = {
        name: (value.half() if value.is_floating_point() else value).contiguous().cpu() for name, value in state.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary:
        save_file(half, temporary, metadata={"card": json.dumps(card, sort_keys=True)})
        temporary.chmod(0o644)  # safetensors makes files that their owner alone may read


def load_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors (float32) and card of a weights file. Raises UserError when it is missing or not one of ours."""
    try:
        with safe_open(path, framework="pt") as file:
            card = json.loads((file.metadata() or {})["card"])
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
        if not isinstance(card, dict):
            raise ValueError("its card is no table")
    except (OSError, KeyError, ValueError, RecursionError) as error:
        raise UserError(f'The weights "{path}" cannot be read.', "Give a file that training wrote.", "FQ404") from error
    except Exception as error:  # safetensors' own error type derives from Exception alone
        if type(error).__name__ != "SafetensorError":
            raise
        raise UserError(f'The weights "{path}" are damaged or no weights.', "Get the file again.", "FQ404") from error
    return {k: v.float() if v.is_floating_point() else v for k, v in state.items()}, card


def weights_file(path: Path | str) -> Path:
    """The file that `path` is, or that of the weights that ship under this name. Raises UserError."""
    file = Path(path)
    return file if file.exists() or file.suffix == ".safetensors" else asset(f"weights/{path}.safetensors")


def weights_version(path: Path | str) -> tuple[Path, int]:
    """The file of weights (see `weights_file`) and when it was changed, in nanoseconds, 0 where there is none: what was
    made of the weights holds as long as both stay. Raises UserError."""
    file = weights_file(path).absolute()
    return file, file.stat().st_mtime_ns if file.is_file() else 0


def load_network(path: Path | str) -> tuple[nn.Module, dict[str, Any]]:
    """Network of a weights file and its card, on the CPU, in evaluation mode, without gradients.

    `path` is a file, or the name of weights that ship ("landmarks", "finder"). The card's `kind` says what the network
    is: "landmarks" (LandmarkNet), "finder" (FinderNet) or "dense" (DenseRegressor). Raises UserError when the file is
    missing or does not fit.
    """
    file = weights_file(path)
    state, card = load_weights(file)
    try:
        if not file.is_relative_to(asset("weights")):  # what ships is known, and looking costs a second
            _check_sizes(state, card)
        network = _made(card)
        network.load_state_dict(state)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError, UserError) as error:
        raise UserError(f'The weights "{file}" do not fit their own card.', "Get the file again.", "FQ405") from error
    return channels_last(network.eval().requires_grad_(False)), card


def _check_sizes(state: dict[str, Tensor], card: dict[str, Any]) -> None:
    """Raise ValueError when the tensors are not those that the card describes, before a network takes memory."""
    with torch.device("meta"):
        expected = _made(card).state_dict()
    if {k: v.shape for k, v in expected.items()} != {k: v.shape for k, v in state.items()}:
        raise ValueError("other tensors than the card says")


def _made(card: dict[str, Any]) -> nn.Module:
    """The network that a card describes, not yet with its weights."""
    architecture = card["architecture"]
    sides = [architecture.get(name, 0) for name in ("input_size", "region")]
    layers = [architecture.get(name, 0) for name in ("refine", "blocks")]
    if max(sides) > _LARGEST_PICTURE or max(layers) > _MOST_LAYERS:
        raise ValueError("no network of ours looks at such pictures")
    if card["kind"] == "landmarks":
        return LandmarkNet(LandmarkConfig(**architecture))
    if card["kind"] == "dense":
        return DenseRegressor(DenseConfig(**architecture))
    return FinderNet(FinderConfig(**architecture))


def load_landmark_net(path: Path | str) -> tuple[LandmarkNet, dict[str, Any]]:
    """The detector of a weights file, or of weights that ship, and its card. Raises UserError for other weights."""
    network, card = load_network(path)
    if not isinstance(network, LandmarkNet):
        raise UserError(f'"{path}" holds "{card["kind"]}" weights.', "Give landmark weights.", "FQ406")
    return network, card


def load_finder_net(path: Path | str) -> tuple[FinderNet, dict[str, Any]]:
    """The face finder of a weights file, or of weights that ship, and its card. Raises UserError for other weights."""
    network, card = load_network(path)
    if not isinstance(network, FinderNet):
        raise UserError(f'"{path}" holds "{card["kind"]}" weights.', "Give finder weights.", "FQ406")
    return network, card


def headline(card: dict[str, Any]) -> str:
    """What a card says the weights reach, in a few words; empty when it holds no such figures."""
    metrics = card.get("metrics", {})
    if card.get("kind") == "finder" and "afw_found" in metrics:
        return f"afw: {metrics['afw_found']:.0f} % found"
    best: dict[tuple[str, str], list[str]] = {}
    for row in metrics.get("real", []):
        error = f"{row['nme_core']:.2f}" + (" calibrated" if "calibrated" in row["layout"] else "")
        best.setdefault((row["set"], row["crop"]), []).append(error)
    return "; ".join(f"{name} {crop}: {', '.join(errors)}" for (name, crop), errors in best.items())
