"""The README's picture: python -m tools.readme_picture JOB [--frame N] [--out docs/sample.jpg].

Draws one frame of a finished job of the sample shot as its preview shows it.
"""

import argparse
from pathlib import Path

import cv2
from facequery.detection.tracks import Tracks
from facequery.fitting.results import ShotFit
from facequery.pipeline.job import load_request
from facequery.pipeline.preview import Overlay, Painter
from facequery.pipeline.run import open_shots


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("job", type=Path)
    parser.add_argument("--frame", type=int, default=1022)
    parser.add_argument("--out", type=Path, default=Path("docs/sample.jpg"))
    options = parser.parse_args()
    shot = open_shots(load_request(options.job))[0]
    fit = ShotFit.load(options.job)
    tracks = Tracks.load(options.job)
    painter = Painter(Overlay(tracks, fit.cameras[0], fit.face, fit.skull, fit.jaw))
    index = shot.index_of(options.frame)
    picture = painter.picture(shot.display(index), index)
    cv2.imwrite(str(options.out), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main()
