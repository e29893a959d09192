"""A texture or a decal carried onto a shot: an RGBA layer and the composite, frame by frame."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facequery.apps.dense import DenseFace
from facequery.apps.prints import Print, decal_print, texture_print
from facequery.apps.project import BLENDS, Shutter, composite, project_print, shading, skin_level
from facequery.errors import UserError
from facequery.pipeline.face_shot import Cutter, FaceShot, folder_of, held_face_shot
from facequery.pipeline.find import unsqueeze
from facequery.pipeline.job import JobRequest, load_request
from facequery.pipeline.pictures_out import open_output, picture_folder, picture_name
from facequery.pipeline.progress import Progress
from facequery.shots import colour
from facequery.shots.images import read_facts, read_picture, write_picture
from facequery.shots.shot import open_shot

PRINT = "print.npz"
_TALL = 540  # pixels of a side-by-side preview


@dataclass(frozen=True)
class ProjectRequest:
    """picture: a file, painted on the head's UVs, or the print.npz of another project, or, with `at`, a decal: its
    middle at plate pixel `at` of frame `frame`, `width` pixels wide there, turned by `rotation` degrees clockwise.
    space: the picture's colour space, where the file is silent. blend: of BLENDS. shutter: open share of a frame, 0 for
    no motion blur. cut: leave out what things in front hide. refine: align to the picture at native
    resolution, comparing with the frames `references`, the job's if there are none. fit: the fitted mesh in the place
    of the dense landmarks. name: of the folder in the job's."""

    picture: str
    at: tuple[float, float] | None = None
    frame: int | None = None
    width: float = 100.0
    rotation: float = 0.0
    space: str | None = None
    blend: str = "multiply"
    shutter: float = 0.5
    cut: bool = True
    refine: bool = False
    fit: bool = False
    name: str = "project"
    overwrite: bool = False
    references: tuple[int, ...] = ()


def read_print_picture(path: Path, space: str | None = None) -> NDArray[np.float32]:
    """A picture file as (H, W, 4) linear Rec.709, premultiplied. Alpha is straight but in EXR; without one it is 1.

    Raises UserError when it cannot be read.
    """
    facts = read_facts(path, "picture to project", upright=True)
    pixels = read_picture(path, "picture to project", facts)
    values = colour.as_float(pixels)
    if values.shape[2] <= 2:
        values = np.concatenate([np.repeat(values[..., :1], 3, 2), values[..., 1:]], -1)
    alpha = np.clip(values[..., 3:4], 0, 1) if values.shape[2] == 4 else np.ones_like(values[..., :1])
    named = space or facts.colorspace or ("linear" if facts.is_float else "srgb")
    associated = facts.is_float and path.suffix.lower() == ".exr"
    straight = np.where(alpha > 0, values[..., :3] / np.maximum(alpha, 1e-6), 0) if associated else values[..., :3]
    linear = colour.to_linear(np.ascontiguousarray(straight, np.float32), colour.resolve(named))
    return np.concatenate([linear * alpha, alpha], -1).astype(np.float32)


def run_project(
    request: JobRequest, folder: Path, wanted: ProjectRequest, progress: Progress | None = None, device: str = "auto"
) -> list[Path]:
    """Write `folder/project/rgba/rgba.####.exr` (linear Rec.709, premultiplied, over black) and
    `folder/project/comp/comp.####` over the plate in the plate's own space; the files.

    Raises UserError on bad input, and when other pictures are there.
    """
    if wanted.blend not in BLENDS:
        raise UserError(f'There is no way to blend "{wanted.blend}".', f"Use one of {', '.join(BLENDS)}.", "FQ621")
    if not (np.isfinite([wanted.width, wanted.rotation, wanted.shutter]).all() and wanted.width > 0):
        raise UserError("A decal must be some pixels wide.", "Give --width in plate pixels.", "FQ622")
    given = Path(wanted.picture)
    picture = None if given.suffix.lower() == ".npz" else read_print_picture(given, wanted.space)
    if picture is None and wanted.at is not None:
        raise UserError("A print already has its place.", "Leave --at away, or give its picture.", "FQ626")
    picture_folder(folder, wanted.name)
    with held_face_shot(request, folder, progress, device) as seen:
        return _write(seen, wanted, picture, wanted.references or request.references, progress)


def _write(
    seen: FaceShot,
    wanted: ProjectRequest,
    picture: NDArray | None,
    references: Sequence[int],
    progress: Progress | None,
) -> list[Path]:
    shot, target = seen.shot, picture_folder(seen.folder, wanted.name)
    reference = _reference(seen, wanted)
    anchor = reference if wanted.at is not None else None
    source = seen.source(wanted.refine, wanted.fit, progress, anchor, references)
    face = source.face(reference)
    if face is None:
        number = int(shot.frame_numbers[reference])
        raise UserError(f"The face was not found in frame {number}.", "Mark it with --region.", "FQ603")
    open_output(target, asdict(replace(wanted, overwrite=False)), wanted.overwrite)
    printed = _printed(seen, wanted, picture, face)
    printed.save(target / PRINT)
    cutter = Cutter.of(seen) if wanted.cut else None
    first = project_print(face, printed, seen.head.triangles, shot.width, shot.height)
    level = skin_level(shot.linear(reference), first)

    written: list[Path] = [target / PRINT]
    for index, before, here, after in _neighbours(source.faces()):
        number = int(shot.frame_numbers[index])
        rgba = target / "rgba" / picture_name("rgba", number, ".exr")
        comp = target / "comp" / picture_name("comp", number, _comp_suffix(seen))
        if not (rgba.is_file() and comp.is_file()):
            layer = np.zeros((shot.height, shot.width, 4), np.float32)
            if here is not None:
                shutter = Shutter(_velocity(before, here, after), wanted.shutter)
                layer = project_print(
                    here, printed, seen.head.triangles, shot.width, shot.height,
                    cutter.vertices(here) if cutter else None, shutter,
                )  # fmt: skip
                if cutter:
                    layer *= cutter.pixels(shot.display(index), here)[..., None]
            rgba.parent.mkdir(parents=True, exist_ok=True)
            comp.parent.mkdir(parents=True, exist_ok=True)
            _write_comp(seen, index, comp, layer, wanted.blend, level)
            if wanted.blend == "luminance":
                layer[..., :3] *= shading(shot.linear(index), level)[..., None]
            write_picture(rgba, layer, shot.pixel_aspect, "lin_rec709")
        written += [rgba, comp]
        if progress:
            progress("Project", index + 1, len(shot))
    return written


def side_by_side(one: Path, two: Path, target: Path, progress: Progress | None = None) -> list[Path]:
    """Composites of two projects beside each other, 8-bit pictures for looking at, as long as the longer one; the
    shorter one stays at its last frame. Raises UserError when one has no composites."""
    files, looks = [], []
    for folder in (one, two):
        looks.append(_job_look(folder))
        found = sorted((folder / "comp").glob("comp.*"), key=lambda p: int(p.name.split(".")[-2]))
        if not found:
            raise UserError(f'"{folder}" holds no composites.', "Give the folder of a project.", "FQ627")
        files.append(found)
    target.mkdir(parents=True, exist_ok=True)
    written = []
    for k in range(max(map(len, files))):
        pictures = []
        for found, (space, exposure) in zip(files, looks, strict=True):
            shot = open_shot(found[min(k, len(found) - 1)], colorspace=space, exposure=exposure)
            picture = unsqueeze(shot.display(0), shot.pixel_aspect)
            pictures.append(cv2.resize(picture, (round(_TALL * picture.shape[1] / picture.shape[0]), _TALL)))
        written.append(target / picture_name("side", k + 1, ".jpg"))
        write_picture(written[-1], np.hstack(pictures))
        if progress:
            progress("Side by side", k + 1, max(map(len, files)))
    return written


def _job_look(project: Path) -> tuple[str | None, float]:
    """The colour space and the exposure of the job to which a project belongs: composites are in the plate's space."""
    for folder in project.resolve().parents:
        if folder_of(str(folder)):
            request = load_request(folder)
            return request.colorspace, request.exposure
    return None, 0.0


def _reference(seen: FaceShot, wanted: ProjectRequest) -> int:
    """Array index of the frame in which a decal was placed; for a texture, the first frame with a face."""
    if wanted.at is not None and wanted.frame is None:
        raise UserError("A decal needs the frame in which it was placed.", "Add --frame N.", "FQ623")
    if wanted.frame is not None:
        return seen.shot.index_of(wanted.frame)
    return int(np.flatnonzero(seen.path.present)[0])


def _printed(seen: FaceShot, wanted: ProjectRequest, picture: NDArray | None, face: DenseFace) -> Print:
    head = seen.head
    if picture is None:
        return Print.load(Path(wanted.picture), len(head.triangles))
    if wanted.at is None:
        return texture_print(head.model, picture, len(head.triangles))
    angle = float(np.radians(wanted.rotation))
    aspect = seen.shot.pixel_aspect
    printed = decal_print(face, head.model, head.triangles, picture, wanted.at, wanted.width, angle, aspect)
    if not printed.used.any():
        x, y = wanted.at
        raise UserError(f"There is no skin at {x:g},{y:g} in that frame.", "Place the decal on the face.", "FQ624")
    return printed


def _neighbours(
    faces: Iterable[tuple[int, DenseFace | None]],
) -> Iterator[tuple[int, DenseFace | None, DenseFace | None, DenseFace | None]]:
    """(index, the face before, the face, the face after) of faces in order, None where there is none."""
    before: DenseFace | None = None
    held: tuple[int, DenseFace | None] | None = None
    for index, face in faces:
        if held is not None:
            yield (*held[:1], before, held[1], face)
            before = held[1]
        held = (index, face)
    if held is not None:
        yield (*held[:1], before, held[1], None)


def _velocity(before: DenseFace | None, here: DenseFace, after: DenseFace | None) -> NDArray[np.float32]:
    """(V, 2) plate pixels a frame, from the frames on both sides, or from one."""
    if before is not None and after is not None:
        return (after.xy - before.xy) / 2
    if after is not None:
        return after.xy - here.xy
    return here.xy - before.xy if before is not None else np.zeros_like(here.xy)


def _comp_suffix(seen: FaceShot) -> str:
    """EXR for EXR plates, which hold light beyond white; 16-bit DPX for DPX and 16-bit PNG for all others."""
    suffix = Path(seen.shot.path).suffix.lower()
    return suffix if suffix in (".exr", ".dpx") else ".png"


def _write_comp(seen: FaceShot, index: int, file: Path, layer: NDArray, blend: str, level: float) -> None:
    """The composite in the plate's space; pixels that the print does not touch keep the plate's values."""
    shot = seen.shot
    plate = shot.plate(index)
    colours = plate[..., :3] if plate.shape[2] >= 3 else np.repeat(plate[..., :1], 3, 2)
    made = colour.from_linear(composite(shot.linear(index), layer, blend, level), shot.colorspace)
    result = np.where(layer[..., 3:] > 0, made, colours)
    if plate.shape[2] in (2, 4):
        result = np.concatenate([result, plate[..., -1:]], -1)
    shot.write(file, result.astype(np.float32))
