"""ST maps of a job, and pictures carried through them: unwrapped plates, their mean, a painted texture put back."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facequery.detection.tracks import Tracks
from facequery.errors import UserError
from facequery.export.files import check_targets
from facequery.export.stmap import DIRECTIONS, HeadMaps, HeadOnPlate, TextureMean, sampled
from facequery.fitting.results import FaceFit
from facequery.pipeline.export import job_camera
from facequery.pipeline.find import load_path
from facequery.pipeline.job import JobRequest, load_request
from facequery.pipeline.lock import results_lock
from facequery.pipeline.progress import Progress
from facequery.pipeline.views import open_shots, view_folder
from facequery.shots.images import read_picture, write_picture
from facequery.shots.shot import Shot

SOURCES = ("fit", "tracks")
_BATCH = 8  # pictures encoded at once


@dataclass(frozen=True)
class MapRequest:
    """What to write.

    `directions` of the maps; `size` of the atlas in texels; `source`, "fit" or "tracks" (dense landmarks of the
    network, without the fit); `reference`, the file number of the frame that pixel-to-reference leads to (None: the
    first); `unwrap` the plate to a texture sequence; `mean` of it as one texture; `put_back`, a texture to lay on the
    plate; `out`, a folder (None: JOB/stmap); `view` from 1.
    """

    directions: tuple[str, ...] = ("uv-to-pixel", "pixel-to-uv")
    size: int = 1024
    source: str = "fit"
    reference: int | None = None
    unwrap: bool = False
    mean: bool = False
    put_back: Path | None = None
    out: Path | None = None
    view: int = 1
    overwrite: bool = False


def write_maps(
    folder: Path,
    request: MapRequest,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
    device: str = "auto",
) -> list[Path]:
    """Write what is asked for, a frame at a time; returns the files.

    Maps are 32-bit EXR, named DIRECTION.####.exr; unwrapped.####.exr and put_back.####.exr (premultiplied RGBA) are
    half float in the plate's own values; mean.exr has an alpha of what was ever seen. Frames without the face are left
    out. Raises UserError.
    """
    for direction in request.directions:
        if direction not in DIRECTIONS:
            raise UserError(f'There is no map "{direction}".', f"Choose from {', '.join(DIRECTIONS)}.", "FQ520")
    if not 16 <= request.size <= 16384:
        raise UserError(f"The atlas cannot have {request.size} texels a side.", "Choose 16 to 16384.", "FQ520")
    job = load_request(folder)
    if not 1 <= request.view <= len(job.shots):
        raise UserError(f"The job has no view {request.view}.", f"It has {len(job.shots)}.", "FQ507")
    shot = open_shots(job)[request.view - 1]
    heads = _heads(folder, job, shot, request, device)
    numbers = shot.frame_numbers
    reference = 0 if request.reference is None else shot.index_of(request.reference)
    if "pixel-to-reference" in request.directions and not heads.has(reference):
        raise UserError(f"The face is not there in frame {numbers[reference]}.", "Give another --reference.", "FQ521")
    texture = None if request.put_back is None else _texture(request.put_back)

    out = request.out or folder / "stmap"
    kinds = [*request.directions]
    kinds += ["unwrapped"] if request.unwrap else []
    kinds += ["put_back"] if texture is not None else []
    rows = [row for row in range(len(numbers)) if heads.has(row)]
    if not rows:
        raise UserError("The face is not there in any frame.", code="FQ521")
    targets = [out / f"{kind}.{numbers[row]:04d}.exr" for kind in kinds for row in rows]
    targets += [out / "mean.exr"] if request.mean else []
    if not targets:
        raise UserError("Nothing was asked for.", "Name a --direction, --unwrap, --mean or --put-back.", "FQ520")
    check_targets(targets, request.overwrite)
    if say:
        for name in [*(f"{kind}.####.exr" for kind in kinds), *(["mean.exr"] if request.mean else [])]:
            say(f'{"Overwriting" if request.overwrite else "Writing"} "{out / name}", {len(rows)} frames.')
    with results_lock(out):
        out.mkdir(parents=True, exist_ok=True)

        maps = HeadMaps(request.size)
        first = heads.at(reference) if "pixel-to-reference" in request.directions else None
        mean: TextureMean | None = None
        for done, (row, head) in enumerate(heads.each(rows), 1):
            surface = maps.surface(head)

            def save(kind: str, picture: np.ndarray, half: bool = False, row: int = row) -> None:
                write_picture(out / f"{kind}.{numbers[row]:04d}.exr", picture, half=half, compression="zip")

            if "pixel-to-uv" in request.directions or texture is not None:
                to_uv = maps.pixel_to_uv(head, surface)
                if "pixel-to-uv" in request.directions:
                    save("pixel-to-uv", to_uv)
                if texture is not None:
                    save("put_back", _laid(texture, to_uv), half=True)
            if first is not None:
                save("pixel-to-reference", maps.pixel_to_reference(head, first, surface))
            if "uv-to-pixel" in request.directions or request.unwrap or request.mean:
                to_pixel, slope = maps.uv_to_pixel(head, surface)
                if "uv-to-pixel" in request.directions:
                    save("uv-to-pixel", to_pixel)
                if request.unwrap or request.mean:
                    plate = shot.plate(row)
                    colours = plate[..., : plate.shape[2] - (plate.shape[2] in (2, 4))]  # without the plate's own alpha
                    unwrapped = sampled(colours, to_pixel)
                    if request.unwrap:
                        save("unwrapped", np.concatenate([unwrapped, to_pixel[..., 3:]], axis=-1), half=True)
                    mean = mean or TextureMean(request.size, unwrapped.shape[-1])
                    mean.add(unwrapped, slope)
            if progress:
                progress("ST maps", done, len(rows))
        if request.mean and mean is not None:
            write_picture(out / "mean.exr", mean.texture(), half=False, compression="zip")
    shot.close()
    return targets


class _FitHeads:
    """The fitted face in every frame."""

    def __init__(self, folder: Path, job: JobRequest, shot: Shot, view: int) -> None:
        camera = job_camera(folder, view)
        if camera is None or not (folder / "face.npz").is_file():
            raise UserError(
                "The job has no fitted face.",
                "Track with --fit face, or use dense landmarks: --source tracks.",
                "FQ503",
            )
        self.face = FaceFit.load(folder / "face.npz")
        self.shot = shot
        self.camera = camera.for_frames(shot.frame_numbers)
        first = self.camera if not view else job_camera(folder)
        assert first is not None  # a view's camera is never written without the first one's
        self.camera = self.camera.relative_to(first.for_frames(self.face.frames))
        self.found = Tracks.load(view_folder(folder, view, len(job.shots))).found

    def has(self, row: int) -> bool:
        return bool(self.found[row])

    def at(self, row: int) -> HeadOnPlate:
        camera = self.camera.select([row])
        points = camera.to_camera(np.asarray(self.face.vertices[row], np.float64)[None])
        xy = camera.project(points)[0].astype(np.float32)
        return HeadOnPlate(xy, points[0, :, 2].astype(np.float32), self.shot.width, self.shot.height)

    def each(self, rows: list[int]) -> Iterator[tuple[int, HeadOnPlate]]:
        for row in rows:
            yield row, self.at(row)


class _DenseHeads:
    """Dense landmarks of every frame, straight from the network."""

    def __init__(self, folder: Path, job: JobRequest, shot: Shot, view: int, device: str) -> None:
        from facequery.apps.dense import DenseHead
        from facequery.detection.detector import Detector

        self.shot = shot
        self.dense = DenseHead(Detector.from_pretrained(job.weights, device, job.mirror))
        self.crops = load_path(view_folder(folder, view, len(job.shots)) / "faces.npz").crops

    def has(self, row: int) -> bool:
        return bool(np.isfinite(self.crops[row]).all())

    def at(self, row: int) -> HeadOnPlate:
        return next(self.each([row]))[1]

    def each(self, rows: list[int]) -> Iterator[tuple[int, HeadOnPlate]]:
        from facequery.geometry.crops import sample_crop

        detector, shot = self.dense.detector, self.shot
        for start in range(0, len(rows), _BATCH):
            part = rows[start : start + _BATCH]
            pictures = np.stack([sample_crop(shot.display(row), self.crops[row], detector.size) for row in part])
            faces = self.dense.faces(self.dense.see(pictures), self.crops[part])
            for row, face in zip(part, faces, strict=True):
                yield row, HeadOnPlate(face.xy, face.depth, shot.width, shot.height, perspective=False)


def _heads(folder: Path, job: JobRequest, shot: Shot, request: MapRequest, device: str) -> "_FitHeads | _DenseHeads":
    if request.source == "fit":
        return _FitHeads(folder, job, shot, request.view - 1)
    if request.source == "tracks":
        return _DenseHeads(folder, job, shot, request.view - 1, device)
    raise UserError(f'Maps cannot come from "{request.source}".', f"Choose from {', '.join(SOURCES)}.", "FQ520")


def _texture(path: Path) -> np.ndarray:
    """A painted texture (S, S, 4), alpha 1 where the file has none; float32."""
    from facequery.shots.colour import as_float

    picture = as_float(read_picture(path, "texture"))
    if picture.shape[2] < 3:
        picture = np.concatenate([np.repeat(picture[..., :1], 3, axis=2), picture[..., 1:]], axis=2)
    if picture.shape[2] == 3:
        picture = np.concatenate([picture, np.ones_like(picture[..., :1])], axis=2)
    return picture


def _laid(texture: np.ndarray, to_uv: np.ndarray) -> np.ndarray:
    """Premultiplied RGBA of a texture on the plate."""
    found = sampled(texture, to_uv)
    alpha = np.clip(found[..., 3:4], 0, 1)
    return np.concatenate([found[..., :3] * alpha, alpha], axis=-1)
