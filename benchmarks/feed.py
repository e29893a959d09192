"""How well the processes that make images feed a trainer: python -m benchmarks.feed [--cores 16] [--seconds 20]

Measures, with the default configuration: images/s that one and two making processes give per core (of processor time,
so that other work on the machine does not count), images/s at which batches are put together, and images/s at which the
network trains on this machine's device. From these it extrapolates what share of its time the trainer waits for data
when all but one of `--cores` cores make images and each image is used `data.reuse` times.
"""

import argparse
import os
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from facequery.errors import UserError
from facequery.training.cli import pick_device
from facequery.training.configs import TrainConfig, changed, config_by_name
from facequery.training.learner import Learner
from facequery.training.sources import learner_mix, make_mix, shares_and_frames
from facequery.training.stream import SharedStream


def processor_seconds(process: int) -> float:
    """Processor time that a process has used so far. Linux only; elsewhere the clock on the wall."""
    try:
        with open(f"/proc/{process}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except OSError:
        return time.monotonic()


def making_rate(config: TrainConfig, processes: int, seconds: float) -> tuple[float, float]:
    """Images per second of processor time that each of some makers gives, and the images/s at which batches are put
    together from what they made."""
    shares, frames = shares_and_frames(config.data)
    data = config.data
    stream = SharedStream(
        make_mix, learner_mix(config), shares, config.model.picture, data.queries, 100_000 // config.model.picture,
        1.0, processes, 0, frames,
    )  # fmt: skip
    try:
        stream.batch(0, config.batch)  # all sources are loaded
        before = [processor_seconds(maker.pid or 0) for maker in stream.makers], sum(stream.made())
        begin, put, batches = time.monotonic(), 0.0, 0
        while time.monotonic() - begin < seconds:
            start = time.thread_time()
            stream.batch(batches, config.batch)
            put += time.thread_time() - start
            batches += 1
            # as if many more had been used, from each source its share: the makers never pause, and keep to the mix
            stream.counters[:, 0] = np.array(shares) * (sum(stream.made()) + 1000 * processes)
            time.sleep(0.05)
        spent = [processor_seconds(m.pid or 0) - b for m, b in zip(stream.makers, before[0], strict=True)]
        return (sum(stream.made()) - before[1]) / sum(spent), batches * config.batch / put
    finally:
        stream.close()


def training_rate(config: TrainConfig, device: str, seconds: float) -> float:
    """Images/s of training steps on a device, fed from memory."""
    learner = Learner(config).to(device)
    for stage in learner.network.encoder.stages()[: config.frozen_stages]:
        stage.requires_grad_(False)
    optimiser = torch.optim.AdamW([p for p in learner.parameters() if p.requires_grad], fused=device != "mps")
    side, queries, batch = config.model.picture, config.data.queries, config.batch
    inputs = tuple(
        t.to(device)
        for t in (
            torch.randint(0, 256, (batch, side, side, 3), dtype=torch.uint8), torch.rand(batch, queries, 3),
            torch.rand(batch, queries, 2), torch.ones(batch, queries), torch.zeros(batch, dtype=torch.long),
            torch.ones(batch), torch.full((batch,), -1),
        )
    )  # fmt: skip
    clock = time.thread_time if device == "cpu" else time.monotonic
    begin, steps, wall = 0.0, -3, time.monotonic()
    while steps < 1 or (time.monotonic() - wall < seconds):
        if steps == 0:
            begin, wall = clock(), time.monotonic()
        with torch.autocast(device, torch.bfloat16, enabled=config.bf16):
            loss, _ = learner(*inputs)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        float(loss.detach())
        steps += 1
    return steps * batch / (clock() - begin)


def waiting(supply: float, demand: float) -> float:
    """Share of its time that a trainer of `demand` images/s waits when `supply` images/s come, both for the data."""
    return max(0.0, 1 - supply / demand)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="default")
    parser.add_argument("--set", action="append", default=[], dest="changes", help="FIELD=VALUE of the configuration")
    parser.add_argument("--cores", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each measurement")
    parser.add_argument("--device", help="cpu, cuda or mps; the best there is by default")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    try:
        config = changed(config_by_name(options.config), options.changes)
        config = replace(config, imagenet=False)
        device = pick_device(options.device)
        one, together = making_rate(config, 1, options.seconds)
        two, _ = making_rate(config, 2, options.seconds)
        demand = training_rate(config, device, options.seconds)
    except UserError as error:
        raise SystemExit(str(error)) from None
    reuse = config.data.reuse
    print(f"making: {one:.1f} images/s per core with one process, {two:.1f} with two ({100 * two / one:.0f} %)")
    print(f"putting batches together: {together:.0f} images/s")
    print(f"training on {device}: {demand:.0f} images/s" + (" per core" if device == "cpu" else ""))
    print(f"each image is used {reuse:g} times")
    for cores in sorted({2, options.cores}):
        supply = min((cores - 1) * two * reuse, together)
        print(f"{cores} cores feed {supply:.0f} images/s; waiting: {100 * waiting(supply, demand):.0f} % of this "
              f"device's time; less than 30 % up to {supply / 0.7:.0f} images/s of training")  # fmt: skip


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
