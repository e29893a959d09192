"""How many training images a second one core renders: python -m benchmarks.synthesis [--size 160] [--seconds 10]."""

import argparse
import os
import time

import numpy as np
from facequery.assets import source_data
from facequery.errors import UserError
from facequery.head.model import HeadModel
from facequery.synthesis.library import Library
from facequery.synthesis.samples import FaceSampler


def main() -> None:
    """Prints images/s of wall time and of processor time (the same on an idle machine), on one thread."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--batch", type=int, default=32)
    args = parser.parse_args()
    model = HeadModel.load()
    try:
        source_data("skins")
        library = Library.load(model)
    except UserError as error:
        print(f"{error} Measuring with the plain library.")
        library = Library.plain(model)
    start = time.perf_counter()
    sampler = FaceSampler(model=model, library=library)
    binding = model.bind(model.rest[model.parts["skin"].vertices][::3])
    rng = np.random.default_rng(0)
    sampler.batch(rng, 4, args.size, binding, 128)
    print(f"ready after {time.perf_counter() - start:.1f} s")
    count, wall, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - wall < args.seconds:
        count += len(sampler.batch(rng, args.batch, args.size, binding, 128))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{args.size} px: {count / wall:.0f} images/s of wall time, {count / cpu:.0f} per core of processor time")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
