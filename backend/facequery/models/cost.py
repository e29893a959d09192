"""What a network costs: parameters, and multiply-accumulate operations of one forward pass."""

import math

import torch
from torch import Tensor, nn


def parameter_count(network: nn.Module) -> int:
    """Number of weights of a network."""
    return sum(p.numel() for p in network.parameters())


@torch.no_grad()
def multiply_accumulates(network: nn.Module, *inputs: Tensor) -> int:
    """Multiply-accumulates of one forward pass over `inputs`, counted in convolutions and linear layers.

    Attention's products of queries and keys are not counted; they are small beside its linear layers here.
    """
    total = 0

    def count(module: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Conv2d):
            per_value = module.in_channels // module.groups * math.prod(module.kernel_size)
            total += output.numel() * per_value
        elif isinstance(module, nn.Linear):
            total += output.numel() * module.in_features

    handles = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    try:
        network.eval()(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    return total
