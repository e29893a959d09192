"""Which device networks run on, and in which precision."""

from contextlib import AbstractContextManager

import torch

from facequery.errors import UserError


def pick_device(name: str = "auto") -> torch.device:
    """The device of that name; "auto": CUDA, Apple's GPU or the processor, whichever is there first.

    Raises UserError when it is not available.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f'The device "{name}" is not available.', "Use --device cpu.", "FQ330") from error
    return device


def bfloat16_is_faster(device: torch.device) -> bool:
    """Whether convolutions are: on CUDA, and on processors with instructions for it, where they take 40 % of the time.

    Landmarks move by 0.05 pixels of the crop (root mean square) against float32.
    """
    if device.type == "cuda":
        return True
    if device.type != "cpu":
        return False
    # Without the instructions oneDNN emulates bfloat16, slowly.
    checks = (getattr(torch.cpu, f"_is_{name}_supported", None) for name in ("avx512_bf16", "amx_tile"))
    return any(check is not None and check() for check in checks)


def reduced_precision(device: torch.device, wanted: bool) -> AbstractContextManager:
    """Context in which networks compute in bfloat16 where that is `wanted`."""
    return torch.autocast(device.type if wanted else "cpu", dtype=torch.bfloat16, enabled=wanted)
