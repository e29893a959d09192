"""Write a set of position maps: python -m tools.position_maps OUT --count 2000 [--size 160] [--side 96].

Stopped and started again, it goes on. Read with `facequery.synthesis.position_maps.PositionMapSet`: any skin layout
(the 68, the 520) by `Atlas.read`, and the mirrored copy of every picture.
"""

import argparse
import sys
from pathlib import Path

from facequery.errors import UserError
from facequery.synthesis.position_maps import write_position_maps
from facequery.synthesis.samples import FaceSampler
from facequery.synthesis.settings import SampleSettings


def main() -> None:
    """Reads the arguments and renders."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder of the set; one that is there is continued")
    parser.add_argument("--count", type=int, default=2000, help="pictures")
    parser.add_argument("--size", type=int, default=160, help="side of the pictures in pixels")
    parser.add_argument("--side", type=int, default=96, help="side of the maps in texels")
    parser.add_argument("--split", choices=("train", "heldout"), default="train", help="which source material")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    try:
        settings = SampleSettings(off_basis=0.0015 if args.split == "heldout" else 0.0)
        sampler = FaceSampler(settings, args.split)
        write_position_maps(args.out, sampler, args.count, args.size, args.side, args.seed)
    except UserError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
