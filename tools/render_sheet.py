"""A contact sheet of renders: python -m tools.render_sheet OUT.png [--count 128] [--size 160] [--points]."""

import argparse
from pathlib import Path

import cv2
import numpy as np
from facequery.head.layouts import load_layout
from facequery.head.model import HeadModel
from facequery.synthesis.samples import FaceSampler, Sample
from numpy.typing import NDArray


def drawn_points(sample: Sample) -> NDArray:
    """The sample's picture, twice as large, with its points: green seen, red hidden."""
    size = sample.image.shape[0] * 2
    image = cv2.resize(sample.image, (size, size), interpolation=cv2.INTER_CUBIC)
    for (x, y), seen in zip((sample.xy + 1) * size / 2 - 0.5, sample.visible, strict=True):
        centre = (round(float(x) * 16), round(float(y) * 16))
        cv2.circle(image, centre, 18, (60, 255, 60) if seen else (255, 60, 60), -1, cv2.LINE_AA, 4)
    return image


def main() -> None:
    """Renders and writes the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=128)
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--columns", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", default="train")
    parser.add_argument("--points", action="store_true", help="draw the 68 points")
    args = parser.parse_args()
    model = HeadModel.load()
    positions = model.rest[model.parts["skin"].vertices][:: 97 if args.points else 5000]
    if args.points:
        positions = load_layout("ibug68").positions
    sampler = FaceSampler(split=args.split, model=model)
    samples = sampler.batch(np.random.default_rng(args.seed), args.count, args.size, model.bind(positions))
    tiles = [drawn_points(s) if args.points else s.image for s in samples]
    columns = args.columns or int(np.ceil(np.sqrt(args.count * 1.6)))
    while len(tiles) % columns:
        tiles.append(np.zeros_like(tiles[0]))
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    cv2.imwrite(str(args.out), np.vstack(rows)[..., ::-1])


if __name__ == "__main__":
    main()
