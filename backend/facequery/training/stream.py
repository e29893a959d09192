"""Examples by the batch: from other processes through shared memory, or, bit-reproducibly, from this one."""

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facequery.errors import UserError
from facequery.training.examples import Example, Mix, draw

_FEWEST = 32  # draws that a source has made before a batch is taken; the smallest ring


@dataclass(frozen=True)
class Batch:
    """B examples: `images` (B, S, S, 3) uint8, `query` (B, n, 3), `xy` (B, n, 2), `weight` (B, n), `dataset` (B,),
    `unit` (B,) as in `Example`; `clip` (B,): frames of one clip follow each other and share a number, -1 is none."""

    images: NDArray[np.uint8]
    query: NDArray[np.float32]
    xy: NDArray[np.float32]
    weight: NDArray[np.float32]
    dataset: NDArray[np.int64]
    unit: NDArray[np.float32]
    clip: NDArray[np.int64]


def split_batch(count: int, shares: list[float], step: int, frames: list[int] | None = None) -> list[int]:
    """How many draws each source gives in this step so that they make `count` examples; fractions even out over the
    steps. `frames`: examples of one draw of each source (1: no clips). Raises ValueError when clips alone cannot make
    up the count."""
    frames = frames or [1] * len(shares)
    parts = [0] * len(shares)
    left = count
    for i, (share, length) in enumerate(zip(shares, frames, strict=True)):
        if length > 1:  # whole clips only
            per_step = share * count / length
            parts[i] = min(int((step + 1) * per_step + 1e-9) - int(step * per_step + 1e-9), left // length)
            left -= parts[i] * length
    stills = [i for i, length in enumerate(frames) if length == 1]
    if not stills:
        first = int(np.argmax(shares))
        parts[first] += left // frames[first]
        if left % frames[first]:
            raise ValueError(f"a batch of {count} cannot be made of clips of {frames} frames alone")
        return parts
    among = np.array([shares[i] for i in stills]) / sum(shares[i] for i in stills)
    edges = np.floor(np.cumsum([0.0, *among])[:, None] * left * np.array([step, step + 1]) + 1e-9)
    own = np.diff(np.diff(edges, axis=1)[:, 0])
    own[-1] += left - own.sum()
    for i, part in zip(stills, own, strict=True):
        parts[i] = int(part)
    return parts


def stream_seed(seed: int, again: bool = False) -> int:
    """Seed of this process's stream: another one for each process of a distributed run, and for a resumed run, which
    shall not see the same images twice (`again`)."""
    rank = int(os.environ.get("RANK", 0))
    return int(np.random.default_rng().integers(2**31)) if again else seed + 1000 * rank


class DirectStream:
    """Makes every example here and now, from the seed and the number of the step alone."""

    def __init__(self, mix: Mix, seed: int) -> None:
        self.mix, self.seed = mix, seed

    def batch(self, step: int, count: int) -> Batch:
        draws = []
        for source, part in enumerate(split_batch(count, self.mix.shares, step, self.mix.frames)):
            for i in range(part):
                rng = np.random.default_rng([self.seed, step, source, i])
                draws.append(draw(self.mix.sources[source], rng))
        return stack(draws)

    def made(self) -> list[int]:
        return []

    def close(self) -> None:
        pass


def stack(draws: list[list[Example]]) -> Batch:
    """A batch of draws (single examples, or the frames of clips) with the same size and number of queries."""
    examples = [example for frames in draws for example in frames]
    clips = [number if len(frames) > 1 else -1 for number, frames in enumerate(draws) for _ in frames]
    return Batch(
        np.stack([e.image for e in examples]),
        np.stack([e.query for e in examples]),
        np.stack([e.xy for e in examples]),
        np.stack([e.weight for e in examples]),
        np.array([e.dataset for e in examples], np.int64),
        np.array([e.unit for e in examples], np.float32),
        np.array(clips, np.int64),
    )


def _slot_type(size: int, queries: int, frames: int) -> np.dtype:
    # `version` is odd while a slot is being written; a reader that sees it change reads again
    return np.dtype(
        [
            ("version", np.int64),
            ("image", np.uint8, (frames, size, size, 3)),
            ("query", np.float32, (frames, queries, 3)),
            ("xy", np.float32, (frames, queries, 2)),
            ("weight", np.float32, (frames, queries)),
            ("dataset", np.int64, (frames,)),
            ("unit", np.float32, (frames,)),
        ]
    )


class SharedStream:
    """A ring buffer per source in shared memory, filled by other processes.

    `make_mix(*arguments)` is called in every process (it must be importable). Each image is used about `reuse` times:
    the makers pause when they are ahead. `batch` waits only until the first images are there.
    """

    def __init__(
        self, make_mix: Callable[..., Mix], arguments: tuple[Any, ...], shares: list[float], size: int, queries: int,
        slots: int, reuse: float, processes: int, seed: int, frames: list[int] | None = None,
    ) -> None:  # fmt: skip
        self.shares, self.frames = shares, frames or [1] * len(shares)
        # a slot holds one draw: an example, or a whole clip
        self.slots = [max(_FEWEST, int(slots * s / f)) for s, f in zip(shares, self.frames, strict=True)]
        self.types = [_slot_type(size, queries, f) for f in self.frames]
        lengths = [t.itemsize * n for t, n in zip(self.types, self.slots, strict=True)]
        self.memory = SharedMemory(create=True, size=sum(lengths))
        # per source: images used so far, then images made so far by each process
        self.counts = SharedMemory(create=True, size=8 * len(shares) * (1 + processes))
        self.rings, self.counters = _views(self.memory, self.counts, self.types, self.slots, processes)
        self.counters[:] = 0
        self.rng = np.random.default_rng(seed)
        context = multiprocessing.get_context("spawn")
        self.makers = []
        for library in ("OMP", "OPENBLAS", "MKL"):  # the makers are many, so each shall keep to one core
            os.environ.setdefault(f"{library}_NUM_THREADS", "1")
        for number in range(processes):
            maker = context.Process(
                target=_make_forever, daemon=True,
                args=(make_mix, arguments, self.memory.name, self.counts.name, self.types, self.slots, reuse, number,
                      processes, seed),
            )  # fmt: skip
            maker.start()
            self.makers.append(maker)

    def batch(self, step: int, count: int) -> Batch:
        """A batch; waits until every source has made 32 draws or its ring is a quarter full."""
        draws: list[np.ndarray] = []
        for source, part in enumerate(split_batch(count, self.shares, step, self.frames)):
            ring = self.rings[source]
            taken: list[np.ndarray] = []
            while len(taken) < part:
                ready = int(self.counters[source, 1:].sum())
                if ready < max(_FEWEST, min(4 * count, len(ring) // 4)):
                    self._alive()
                    time.sleep(0.05)
                    continue
                slot = ring[self.rng.integers(len(ring))]
                version = int(slot["version"])
                copy = slot.copy()
                if version > 0 and version % 2 == 0 and int(slot["version"]) == version:
                    taken.append(copy)
            self.counters[source, 0] += part
            draws += taken
        clips = [number if len(d["unit"]) > 1 else -1 for number, d in enumerate(draws) for _ in d["unit"]]

        def joined(name: str) -> np.ndarray:
            return np.concatenate([d[name] for d in draws])

        return Batch(
            joined("image"), joined("query"), joined("xy"), joined("weight"), joined("dataset"), joined("unit"),
            np.array(clips, np.int64),
        )  # fmt: skip

    def made(self) -> list[int]:
        """Images made so far, by source."""
        return [int(n) * f for n, f in zip(self.counters[:, 1:].sum(1), self.frames, strict=True)]

    def _alive(self) -> None:
        if not all(maker.is_alive() for maker in self.makers):
            raise UserError(
                "A process that makes training images ended early.", "Its message stands above; mend that.", "FQ244"
            )

    def close(self) -> None:
        """End the processes and free the memory."""
        for maker in self.makers:
            maker.terminate()
            maker.join()
        self.rings, self.counters = [], np.empty(0)
        for memory in (self.memory, self.counts):
            memory.close()
            with contextlib.suppress(FileNotFoundError):
                memory.unlink()


def _views(
    memory: SharedMemory, counts: SharedMemory, types: list[np.dtype], slots: list[int], processes: int
) -> tuple[list[np.ndarray], np.ndarray]:
    rings: list[np.ndarray] = []
    offset = 0
    for kind, length in zip(types, slots, strict=True):
        rings.append(np.ndarray(length, kind, memory.buf, offset))
        offset += length * kind.itemsize
    return rings, np.ndarray((len(slots), 1 + processes), np.int64, counts.buf)


def _make_forever(
    make_mix: Callable[..., Mix], arguments: tuple[Any, ...], memory_name: str, counts_name: str,
    types: list[np.dtype], slots: list[int], reuse: float, number: int, processes: int, seed: int,
) -> None:  # fmt: skip
    """What a maker does: write into its own share of the slots of the ring that lacks images most."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to end
    parent = os.getppid()
    mix = make_mix(*arguments)
    memory, counts = SharedMemory(memory_name), SharedMemory(counts_name)
    rings, counters = _views(memory, counts, types, slots, processes)
    rng = np.random.default_rng([seed, number])
    while os.getppid() == parent:
        made = counters[:, 1:].sum(1)
        # fill the ring once, then keep up with use
        lack = (np.array(slots) + counters[:, 0] / reuse - made) / np.array(slots)
        source = int(lack.argmax())
        if lack[source] <= 0:
            time.sleep(0.005)
            continue
        examples = draw(mix.sources[source], rng)
        own = range(number, slots[source], processes)
        slot = rings[source][own[int(counters[source, 1 + number]) % len(own)]]
        slot["version"] += 1
        for i, example in enumerate(examples):
            slot["image"][i], slot["query"][i], slot["xy"][i] = example.image, example.query, example.xy
            slot["weight"][i], slot["dataset"][i], slot["unit"][i] = example.weight, example.dataset, example.unit
        slot["version"] += 1
        counters[source, 1 + number] += 1
