"""Contact sheet of renders: python -m tools.render_sheet OUT.png [--count 128] [--size 160] [--points] [--clips N]."""

import argparse
from pathlib import Path

import cv2
import numpy as np
from facequery.head.binding import Binding
from facequery.head.layouts import load_layout
from facequery.head.model import HeadModel
from facequery.synthesis.clips import sample_clip
from facequery.synthesis.samples import FaceSampler
from numpy.typing import NDArray


def drawn_points(picture: NDArray, xy: NDArray, visible: NDArray) -> NDArray:
    """A picture (S, S, 3), twice as large, with points (N, 2) in crop coordinates: green seen, red hidden."""
    size = picture.shape[0] * 2
    image = cv2.resize(picture, (size, size), interpolation=cv2.INTER_CUBIC)
    for (x, y), seen in zip((xy + 1) * size / 2 - 0.5, visible, strict=True):
        centre = (round(float(x) * 16), round(float(y) * 16))
        cv2.circle(image, centre, 18, (60, 255, 60) if seen else (255, 60, 60), -1, cv2.LINE_AA, 4)
    return image


def clip_tiles(
    sampler: FaceSampler, rng: np.random.Generator, count: int, size: int, binding: Binding
) -> list[NDArray]:
    """Eight frames, a twelfth of a second apart, of each of `count` clips, with points."""
    tiles = []
    for _ in range(count):
        clip = sample_clip(sampler, rng, 16, size, binding)
        tiles += [drawn_points(clip.images[f], clip.xy[f], clip.visible[f]) for f in range(0, 16, 2)]
    return tiles


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
    parser.add_argument("--clips", type=int, default=0, help="rows of frames of this many clips instead of pictures")
    args = parser.parse_args()
    model = HeadModel.load()
    positions = model.rest[model.parts["skin"].vertices][:: 97 if args.points else 5000]
    if args.points or args.clips:
        positions = load_layout("ibug68").positions
    sampler = FaceSampler(split=args.split, model=model)
    rng, binding = np.random.default_rng(args.seed), model.bind(positions)
    if args.clips:
        tiles, columns = clip_tiles(sampler, rng, args.clips, args.size, binding), 8
    else:
        samples = sampler.batch(rng, args.count, args.size, binding)
        tiles = [drawn_points(s.image, s.xy, s.visible) if args.points else s.image for s in samples]
        columns = args.columns or int(np.ceil(np.sqrt(args.count * 1.6)))
    while len(tiles) % columns:
        tiles.append(np.zeros_like(tiles[0]))
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    cv2.imwrite(str(args.out), np.vstack(rows)[..., ::-1])


if __name__ == "__main__":
    main()
