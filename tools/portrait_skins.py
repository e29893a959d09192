"""Skins for the renders from portraits of people who do not exist: python -m tools.portrait_skins.

Reads the labels that tools/label_portraits.py wrote, fits the head to every portrait, keeps the good and fairly frontal
fits and bakes their pictures onto the head's texture. The result stays outside the repository; training uses it when it
is there.
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
from facequery.errors import UserError
from facequery.head.model import HeadModel
from facequery.synthesis.library import Library
from facequery.synthesis.portrait_skins import PortraitSkin, save_portrait_skins
from facequery.synthesis.portrait_skins_bake import PortraitBaker
from facequery.synthesis.portrait_skins_fit import PortraitFitter

LABELS, OUT = Path(".cache/portraits.npz"), Path(".cache/portrait_skins")
WORST_FIT = 0.011  # mean distance of the points over the face's size
MOST_YAW = 26.0  # degrees
COARSEST = 1.25  # millimetres of a pixel
LEAST_SEEN = 0.55  # share of the face that the picture shows well
LEAST_COLOUR = 18.0  # mean difference of the channels, 0..255: gray pictures are left out


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=Path, default=LABELS)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--limit", type=int, default=0, help="read only so many portraits, spread over all")
    args = parser.parse_args()
    if not args.labels.exists():
        raise SystemExit(f'There are no labels at "{args.labels}". Make them with tools/label_portraits.py.')
    with np.load(args.labels, allow_pickle=False) as data:
        root, names, points = Path(str(data["root"])), [str(n) for n in data["images"]], data["points"]
    model = HeadModel.load()
    try:
        library = Library.load(model, "train")
    except UserError as error:
        raise SystemExit(str(error)) from error
    fitter, baker = PortraitFitter(model), PortraitBaker(model, library)
    chosen = range(len(names))
    if args.limit:
        chosen = np.linspace(0, len(names) - 1, min(args.limit, len(names))).astype(int)  # type: ignore[assignment]
    skins: list[PortraitSkin] = []
    for count, i in enumerate(chosen, 1):
        image = cv2.imread(str(root / names[i]))
        if image is None:
            raise SystemExit(f'The portrait "{root / names[i]}" is missing. Label the portraits again.')
        fit = fitter.fit(points[i], image.shape[1], image.shape[0])
        if fit.error <= WORST_FIT and fit.yaw <= MOST_YAW and fit.millimetres <= COARSEST:
            baked = baker.bake(np.ascontiguousarray(image[..., ::-1]), fit)
            if baked.seen >= LEAST_SEEN and baked.colourful >= LEAST_COLOUR:
                name = names[i].replace("/", "_").rsplit(".", 1)[0]
                skins.append(PortraitSkin(name, baked.texture, baked.mean, fit.identity, fit.expression))
        if count % 50 == 0:
            print(f"{count} portraits read, {len(skins)} skins", file=sys.stderr, flush=True)
    if not skins:
        raise SystemExit("No portrait was good enough.")
    save_portrait_skins(args.out, skins)
    print(f"{len(skins)} skins from {len(chosen)} portraits in {args.out}")


if __name__ == "__main__":
    main()
