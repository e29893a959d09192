"""When memory runs out in the middle of a batch: go on with half of it."""

import gc
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from facequery.errors import UserError, out_of_memory

_T = TypeVar("_T")


def in_smaller_parts(work: Callable[[Any], _T], batch: Any, say: Callable[[str], None] | None = None) -> list[_T]:
    """`work(batch)`, or of its halves, quarters, ... where memory runs out; the results in order, one a part.

    `batch` is a list or an array of pictures. `say` gets a sentence each time. Raises UserError when not even one
    picture fits.
    """
    try:
        return [work(batch)]
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
    _free()
    if len(batch) == 1:
        raise UserError(
            "There is not enough memory for a single picture.", "Close other programs, or take --device cpu.", "FQ373"
        )
    half = len(batch) // 2
    if say:
        say(f"Memory ran out with {len(batch)} pictures at once; going on with {half}.")
    return in_smaller_parts(work, batch[:half], say) + in_smaller_parts(work, batch[half:], say)


def _free() -> None:
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
