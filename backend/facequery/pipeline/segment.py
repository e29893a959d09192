"""Mattes of a shot: regions of the head, frame by frame, as picture sequences."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facequery.apps.cryptomatte import cryptomatte
from facequery.apps.edges import HeadZones, follow_edges
from facequery.apps.mattes import face_mattes, id_picture
from facequery.apps.regions import STANDARD, Region, load_regions, standard_regions
from facequery.errors import UserError
from facequery.pipeline.face_shot import Cutter, FaceShot, held_face_shot
from facequery.pipeline.job import JobRequest
from facequery.pipeline.pictures_out import open_output, picture_folder, picture_name
from facequery.pipeline.progress import Progress
from facequery.shots.images import write_picture


@dataclass(frozen=True)
class SegmentRequest:
    """regions: names of the standard set and files of own ones; suffix: ".exr" or ".png"; ids: one picture of numbers
    instead of a matte for each region; cryptomatte: one Cryptomatte instead; cut: leave out what things in front
    hide; refine: align to the picture at native resolution, comparing with the frames `references`, the
    job's if there are none; fit: the fitted mesh in the place of the dense landmarks; edges: end at hair, clothes, lips
    and the outline of the head as the picture shows them."""

    regions: tuple[str, ...] = STANDARD
    suffix: str = ".exr"
    ids: bool = False
    cut: bool = True
    refine: bool = False
    fit: bool = False
    name: str = "mattes"
    overwrite: bool = False
    cryptomatte: bool = False
    references: tuple[int, ...] = ()
    edges: bool = True


def chosen_regions(names: Sequence[str], seen: FaceShot) -> list[Region]:
    """Regions by the names of the standard set, or by files. Raises UserError for one that is neither."""
    head = seen.head
    standard = {region.name: region for region in standard_regions(head.model, head.count)}
    regions: list[Region] = []
    for name in names:
        if name in standard:
            regions.append(standard[name])
        elif Path(name).suffix:
            regions += load_regions(Path(name), head.count)
        else:
            raise UserError(f'There is no region "{name}".', f"Regions: {', '.join(STANDARD)}, or a file.", "FQ612")
    if len({region.name for region in regions}) < len(regions):
        raise UserError("Two regions have one name.", "Rename one.", "FQ612")
    return regions


def run_segment(
    request: JobRequest, folder: Path, wanted: SegmentRequest, progress: Progress | None = None, device: str = "auto"
) -> list[Path]:
    """Write mattes of a shot into `folder/mattes`: `<region>/<region>.####.exr`, or `ids.####.png`, or
    `cryptomatte.####.exr`; the files.

    Frames without the face get empty mattes. What is there is gone on with. Raises UserError on bad input, and when the
    folder holds other mattes.
    """
    if wanted.suffix not in (".exr", ".png"):
        raise UserError(f'Mattes are not written as "{wanted.suffix}".', "Use exr or png.", "FQ613")
    if wanted.ids and wanted.cryptomatte:
        raise UserError("Ids and a Cryptomatte were asked for at once.", "Give each a --name of its own.", "FQ613")
    picture_folder(folder, wanted.name)
    with held_face_shot(request, folder, progress, device) as seen:
        return _write(seen, wanted, wanted.references or request.references, progress)


def _write(seen: FaceShot, wanted: SegmentRequest, references: Sequence[int], progress: Progress | None) -> list[Path]:
    regions = chosen_regions(wanted.regions, seen)
    names = [region.name for region in regions]
    target = picture_folder(seen.folder, wanted.name)
    settings = {
        "regions": list(wanted.regions), "suffix": wanted.suffix, "ids": wanted.ids, "cut": wanted.cut,
        "refine": wanted.refine, "fit": wanted.fit, "names": names, "cryptomatte": wanted.cryptomatte,
        "references": list(wanted.references), "edges": wanted.edges,
    }  # fmt: skip
    open_output(target, settings, wanted.overwrite)
    shot, written = seen.shot, []
    source = seen.source(wanted.refine, wanted.fit, progress, references=references)
    head = seen.head
    zones = HeadZones.of(head.model, head.triangles, head.count)
    cutter = Cutter.of(seen) if wanted.cut else None
    for index, plate in shot.frames():
        number = int(shot.frame_numbers[index])
        files = _files(target, regions, number, wanted)
        if not all(file.is_file() for file in files):
            mattes = np.zeros((len(regions), shot.height, shot.width), np.float32)
            face = source.read(index, plate)
            if face is not None:
                visible = cutter.vertices(face) if cutter else None
                mattes = face_mattes(face, head.model, regions, shot.width, shot.height, visible)
                if wanted.edges:
                    mattes = follow_edges(mattes, regions, plate, face, zones)
                if cutter:
                    mattes *= cutter.pixels(plate, face)
            for file in files:
                file.parent.mkdir(parents=True, exist_ok=True)
            if wanted.cryptomatte:
                made = cryptomatte(mattes, names)
                write_picture(
                    files[0], made.picture, shot.pixel_aspect, half=False, compression="zip", names=made.names,
                    metadata=made.metadata,
                )  # fmt: skip
            else:
                for file, picture in zip(files, [id_picture(mattes)] if wanted.ids else mattes, strict=True):
                    write_picture(file, picture, shot.pixel_aspect)
        written += files
        if progress:
            progress("Mattes", index + 1, len(shot))
    return written


def _files(target: Path, regions: Sequence[Region], number: int, wanted: SegmentRequest) -> list[Path]:
    if wanted.cryptomatte:
        return [target / picture_name("cryptomatte", number, ".exr")]
    if wanted.ids:
        return [target / picture_name("ids", number, ".png")]
    return [target / region.name / picture_name(region.name, number, wanted.suffix) for region in regions]
