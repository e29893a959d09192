"""Render labelled pictures or clips with Cycles: python -m facequery.synthesis.cycles --out DIR --count N | --clips N.

Pictures (--count) are read with `dataset.CyclesSet`, clips (--clips, --frames, --views) with `clips.open_clips`.
Started again with the same settings, both go on where they were.
"""

import argparse
import sys
from pathlib import Path

import cv2
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from facequery.errors import UserError
from facequery.head.model import HeadModel
from facequery.synthesis.cycles.clips import clips_sheet, make_clips
from facequery.synthesis.cycles.dataset import contact_sheet, make_set


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m facequery.synthesis.cycles", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the set; a set that is there is continued")
    parser.add_argument("--count", type=int, default=24, help="pictures in the whole set")
    parser.add_argument("--clips", type=int, help="render this many clips instead of pictures")
    parser.add_argument("--frames", type=int, default=24, help="frames of a clip")
    parser.add_argument("--views", type=int, default=1, help="synchronised cameras of a clip")
    parser.add_argument("--width", type=int, default=640, help="of a clip's plates, pixels")
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--split", choices=("train", "heldout"), default="heldout", help="which source material")
    parser.add_argument("--size", type=int, default=512, help="side of the pictures in pixels")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--samples", type=int, help="paths per pixel, the rest is denoised (24 for pictures, 8 for clips)"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--margin", type=float, default=1.5, help="width of a picture against the face crop")
    parser.add_argument("--sheet", type=Path, help="also write a contact sheet with the 68 points drawn (.png)")
    return parser.parse_args()


def main() -> None:
    """Read the arguments, render, and write a contact sheet when asked."""
    a = _arguments()
    columns = (TextColumn("Rendering"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns) as bar:
            task = bar.add_task("render", total=a.clips or a.count)

            def progress(number: int, _: int) -> None:
                bar.update(task, completed=number)

            if a.clips:
                size = a.width, a.height
                clips = make_clips(
                    a.out, a.clips, a.frames, a.views, a.split, size, a.seed, a.samples or 8, a.threads, progress
                )
                sheet = clips_sheet(clips, HeadModel.load()) if a.sheet else None
            else:
                done = make_set(a.out, a.count, a.split, a.size, a.seed, a.samples or 24, a.threads, a.margin, progress)
                sheet = contact_sheet(done, HeadModel.load()) if a.sheet else None
        if sheet is not None:
            cv2.imwrite(str(a.sheet), sheet[..., ::-1])
    except UserError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
