"""Tracks of a shot smoothed, from the detector's own, which are kept in the job's `work` folder."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from facequery.detection.smoothing import smooth_tracks
from facequery.detection.tracks import TrackWriter, read_chunks


def raw_folder(view: Path) -> Path:
    """Where the tracks of a view are written before they are smoothed."""
    return view / "work" / "raw"


def smoothed_tracks(raw: TrackWriter, view: Path, strength: float) -> TrackWriter:
    """Smooth the finished tracks of `raw` into the folder `view`; returns the writer of what is there then.

    The whole shot is solved at once, so the result does not depend on its chunks. Nothing is done again that is done.
    """
    writer = replace(raw, folder=view)
    if not (view / "tracks.json").is_file():
        header = raw.header()
        xy, sigma, visible = (
            np.concatenate(list(read_chunks(raw.folder, name, header))) for name in ("xy", "sigma", "visible")
        )
        xy = smooth_tracks(xy, sigma, strength, raw.fps or 25.0)
        for index, (start, stop) in enumerate(writer.chunks):
            writer.write(index, xy[start:stop], sigma[start:stop], visible[start:stop])
        writer.finish()
    return writer
