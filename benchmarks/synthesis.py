"""How many training images a second one core renders: python -m benchmarks.synthesis [--size 160] [--processes 1 2].

Processor time is what counts on a machine that does other things as well; on an idle one it is wall time. The rate per
core of several processes at once shows what they take from each other (memory, cache): what is left of the first row.
"""

import argparse
import multiprocessing
import os
import time

import numpy as np
from facequery.assets import source_data
from facequery.errors import UserError
from facequery.head.model import HeadModel
from facequery.synthesis.library import Library
from facequery.synthesis.samples import FaceSampler


def measured(size: int, seconds: float, batch: int, seed: int) -> tuple[int, float, float]:
    """Images, wall seconds and processor seconds of one process with one thread, without its start."""
    model = HeadModel.load()
    try:
        source_data("skins")
        library = Library.load(model)
    except UserError as error:
        print(f"{error} Measuring with the plain library.")
        library = Library.plain(model)
    sampler = FaceSampler(model=model, library=library)
    binding = model.bind(model.rest[model.parts["skin"].vertices][::3])
    rng = np.random.default_rng(seed)
    sampler.batch(rng, 8, size, binding, 128)
    count, wall, cpu = 0, time.perf_counter(), time.process_time()
    while time.process_time() - cpu < seconds:
        count += len(sampler.batch(rng, batch, size, binding, 128))
    return count, time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    """Prints a row for each number of processes: images/s of wall time in all, and per core of processor time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--seconds", type=float, default=10.0, help="of processor time that each process renders")
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--processes", type=int, nargs="*", default=[1])
    args = parser.parse_args()
    print("processes   images/s (wall)   images/s per core (processor time)")
    for number in args.processes:
        jobs = [(args.size, args.seconds, args.batch, seed) for seed in range(number)]
        if number == 1:
            rows = [measured(*jobs[0])]
        else:
            with multiprocessing.get_context("spawn").Pool(number) as pool:
                rows = pool.starmap(measured, jobs)
        wall = sum(count / seconds for count, seconds, _ in rows)
        core = np.mean([count / seconds for count, _, seconds in rows])
        print(f"{number:9d}   {wall:15.0f}   {core:17.0f}      at {args.size} px")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
