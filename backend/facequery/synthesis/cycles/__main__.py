"""Render a labelled set with Cycles: python -m facequery.synthesis.cycles --out DIR --count N [--split heldout] ..."""

import argparse
import sys
from pathlib import Path

import cv2
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from facequery.errors import UserError
from facequery.head.model import HeadModel
from facequery.synthesis.cycles.dataset import contact_sheet, make_set


def main() -> None:
    """Read the arguments, render, and write a contact sheet when asked."""
    parser = argparse.ArgumentParser(prog="python -m facequery.synthesis.cycles", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the set; a set that is there is continued")
    parser.add_argument("--count", type=int, default=24, help="pictures in the whole set")
    parser.add_argument("--split", choices=("train", "heldout"), default="heldout", help="which source material")
    parser.add_argument("--size", type=int, default=512, help="side of the pictures in pixels")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--samples", type=int, default=24, help="paths per pixel; the rest is denoised")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--margin", type=float, default=1.5, help="width of the picture against the face crop")
    parser.add_argument("--sheet", type=Path, help="also write a contact sheet with the 68 points drawn (.png)")
    a = parser.parse_args()
    columns = (TextColumn("Rendering"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns) as bar:
            task = bar.add_task("render", total=a.count)
            done = make_set(
                a.out, a.count, a.split, a.size, a.seed, a.samples, a.threads, a.margin,
                progress=lambda number, _: bar.update(task, completed=number),
            )  # fmt: skip
        if a.sheet:
            cv2.imwrite(str(a.sheet), contact_sheet(done, HeadModel.load())[..., ::-1])
    except UserError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
