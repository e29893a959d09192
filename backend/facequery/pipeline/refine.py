"""Refinement of a shot at the plate's own resolution, kept in the job's folder; and of its tracks."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from facequery.apps.refine import Look, Refinement, Refiner
from facequery.detection.tracks import TrackWriter, read_chunks
from facequery.errors import UserError

ANCHORED = "refinement.npz"  # in the work folder: where it is, tracks stick to the frame in which they were marked
_HOW = 3  # raised when refinements are made otherwise, so that those kept in jobs are made anew

if TYPE_CHECKING:
    from pathlib import Path

    from facequery.pipeline.face_shot import FaceShot
    from facequery.pipeline.progress import Progress


def shot_refinement(
    seen: "FaceShot",
    anchor: int | None = None,
    references: Sequence[int] | None = None,
    progress: "Progress | None" = None,
    name: str | None = None,
) -> Refinement:
    """The refinement of a shot: read from the job's `work` folder, or made and kept there.

    `anchor` and `references` are array indices, see `Refiner.refine`; `name` is that under which it is kept. Raises
    UserError when an anchor has no face.
    """
    numbers = seen.shot.frame_numbers
    own = "" if anchor is None else f"_{int(numbers[anchor])}"
    chosen = "" if not references else "_by_" + "_".join(str(int(numbers[r])) for r in references)
    # what other weights saw does not fit these ones' landmarks
    file = seen.work / (name or f"refinement{_HOW}_{seen.head.detector.fingerprint}{own}{chosen}.npz")
    if file.is_file():
        kept = Refinement.load(file)
        if len(kept.shift) == len(seen.shot):
            return kept
    refiner = Refiner(seen.head)
    looks: list[Look | None] = []
    skin = seen.skin_look
    for index, picture in seen.shot.frames():
        look = None
        if seen.path.present[index]:
            sight, crop = seen.seen_in([index], [picture]), seen.path.crops[index]
            covered = skin.covered(picture, seen.head.faces(sight, crop[None])[0]) if skin else None
            look = refiner.look(sight, crop, covered)
        looks.append(look)
        if progress:
            progress("Look", index + 1, len(seen.shot))

    def report(done: int, total: int) -> None:
        if progress:
            progress("Refine", done, total)

    made = refiner.refine(looks, seen.shot.display, seen.shot.frames(), anchor, references, report)
    file.parent.mkdir(parents=True, exist_ok=True)
    made.save(file)
    return made


def tracks_refinement(seen: "FaceShot", references: Sequence[int], progress: "Progress | None" = None) -> Refinement:
    """What the tracks of a view are refined by: the refinement that picking left there, or the shot's own."""
    name = ANCHORED if (seen.work / ANCHORED).is_file() else None
    return shot_refinement(seen, None, references, progress, name)


def reference_frames(seen: "FaceShot", numbers: Sequence[int]) -> list[int]:
    """Array indices of the frames that the user wants for references. Raises UserError when one has no face."""
    indices = [seen.shot.index_of(number) for number in numbers]
    for index, number in zip(indices, numbers, strict=True):
        if not seen.path.present[index]:
            raise UserError(f"The reference frame {number} has no face.", "Choose another.", "FQ632")
    return indices


def refined_tracks(raw: TrackWriter, folder: "Path", refinement: Refinement) -> TrackWriter:
    """Write the finished tracks of `raw` into `folder`, moved by a refinement; the writer of what is there then.

    Sigma stays the detector's: it tells how far off a point may be on the face, which no picture of the same shot can
    make better. Nothing is done again that is done.
    """
    writer = replace(raw, folder=folder)
    if not (folder / "tracks.json").is_file():
        spread = refinement.spread(raw.queries.positions)
        header = raw.header()
        parts = zip(*(read_chunks(raw.folder, name, header) for name in ("xy", "sigma", "visible")), strict=True)
        for index, ((start, stop), (xy, sigma, visible)) in enumerate(zip(writer.chunks, parts, strict=True)):
            moved = np.einsum("qn,fnc->fqc", spread, refinement.shift[start:stop], optimize=True)
            writer.write(index, np.asarray(xy) + moved, sigma, visible)
        writer.finish()
    return writer
