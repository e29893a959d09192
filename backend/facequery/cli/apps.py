"""The commands for what artists do with a tracked face: pick, segment, project."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facequery.cli.console import print_result, progress_bars
from facequery.cli.options import DEFAULT_SHOT, Device, Preview, References, Refine, ShotOptions, shot_options
from facequery.errors import UserError

if TYPE_CHECKING:
    from facequery.pipeline.job import JobRequest

ShotOrJob = Annotated[
    str, typer.Argument(metavar="SHOT|JOB", help="A shot as for `facequery track`, or a job's folder.")
]
Cut = Annotated[bool, typer.Option("--cut/--no-cut", help="Leave out what something hides.")]
Fit = Annotated[bool, typer.Option("--fit", help="Use the job's fitted face, not the dense landmarks.")]
Out = Annotated[Path | None, typer.Option("--out", metavar="JOB", help="Folder of the results, for a SHOT.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    for command in (pick, segment, project):
        app.command()(command)


@shot_options
def pick(
    shot: ShotOrJob,
    more: Annotated[list[str] | None, typer.Argument(metavar="[x,y ...]", help="Further marks.")] = None,
    points: Annotated[
        list[str] | None,
        typer.Option(
            "--points",
            metavar="x,y ...",
            help="Marks in plate pixels: x,y or FRAME:x,y or NAME=FRAME:x,y. The k-th mark of a frame is the same "
            "point as the k-th of any other.",
        ),
    ] = None,
    frame: Annotated[int | None, typer.Option(metavar="N", help="The frame of marks that name none.")] = None,
    out: Out = None,
    given: ShotOptions = DEFAULT_SHOT,
    actor: Annotated[Path | None, typer.Option(metavar="FILE", help="Keep the points in this actor file too.")] = None,
    device: Device = "auto",
    refine: Refine = False,
    reference: References = None,
    preview: Preview = True,
) -> None:
    """Mark pixels in a frame: they become points of the head, and are tracked through the shot.

    The points are written to picked.json in JOB, a layout for any other footage of the same person.
    """
    from facequery.pipeline.pick import FILE, parse_marks, run_pick

    marks = parse_marks([*(points or []), *(more or [])], frame)
    if out is None:
        raise UserError("There is no folder for the results.", "Name one with --out.", "FQ605")
    request = given.request(shot, refine=refine or bool(reference), references=tuple(reference or []), preview=preview)
    if (out / FILE).is_file():
        print(f"{out / FILE} and the tracks beside it are replaced if these marks mean other points.")
    with progress_bars() as report:
        picks, result = run_pick(request, out, marks, actor, report, device)
    for mark, residual, sigma in zip(marks, picks.residual, picks.sigma, strict=True):
        print(f'Point "{mark.name}", frame {mark.frame}: {residual:.2f} px from the mark, error {sigma:.1f} px')
    print(out / FILE)
    print_result(result)


@shot_options
def segment(
    shot: ShotOrJob,
    out: Out = None,
    regions: Annotated[
        list[str] | None,
        typer.Option(
            "--matte",
            "-m",
            metavar="NAME|FILE",
            help="skin, nose, brows, eyes, lips, mouth, ears, neck; a .json of vertex groups; a picture on the UVs. "
            "[default: the eight]",
        ),
    ] = None,
    format: Annotated[str, typer.Option("--format", help="exr or png.")] = "exr",
    ids: Annotated[bool, typer.Option("--ids", help="One picture of region numbers a frame.")] = False,
    cryptomatte: Annotated[bool, typer.Option("--cryptomatte", help="One Cryptomatte EXR a frame.")] = False,
    cut: Cut = True,
    edges: Annotated[
        bool, typer.Option("--edges/--no-edges", help="End at hair, clothes and lips as the picture shows them.")
    ] = True,
    refine: Refine = False,
    reference: References = None,
    fit: Fit = False,
    name: Annotated[str, typer.Option(help="Folder of the mattes in JOB.")] = "mattes",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace other mattes of that name.")] = False,
    given: ShotOptions = DEFAULT_SHOT,
    device: Device = "auto",
) -> None:
    """Mattes of regions of the head: a sequence each, anti-aliased, in JOB/mattes."""
    from facequery.apps.regions import STANDARD
    from facequery.pipeline.segment import SegmentRequest, run_segment

    request, folder = _job(shot, out, given)
    wanted = SegmentRequest(
        tuple(regions or STANDARD), f".{format}", ids, cut, refine or bool(reference), fit, name, overwrite,
        cryptomatte, tuple(reference or []), edges,
    )  # fmt: skip
    _announce(folder / name, overwrite)
    with progress_bars() as report:
        files = run_segment(request, folder, wanted, report, device)
    _print_folders(files)


@shot_options
def project(
    shot: ShotOrJob,
    picture: Annotated[Path, typer.Option("--picture", metavar="FILE", help="A texture, a decal, or a print.npz.")],
    at: Annotated[
        str | None,
        typer.Option(metavar="x,y", help="A decal's middle in plate pixels; without it: a texture on the UVs."),
    ] = None,
    frame: Annotated[int | None, typer.Option(metavar="N", help="The frame in which the decal is placed.")] = None,
    width: Annotated[float, typer.Option(metavar="PX", help="The decal's width there, in plate pixels.")] = 100.0,
    rotation: Annotated[float, typer.Option(metavar="DEG", help="The decal's turn, clockwise.")] = 0.0,
    space: Annotated[str | None, typer.Option(metavar="S", help="The picture's colour space.")] = None,
    blend: Annotated[str, typer.Option(help="multiply (ink), luminance (paint lit as the skin) or over.")] = "multiply",
    shutter: Annotated[float, typer.Option(metavar="DEG", help="Open angle, for motion blur; 0: none.")] = 180.0,
    cut: Cut = True,
    refine: Refine = False,
    reference: References = None,
    fit: Fit = False,
    name: Annotated[str, typer.Option(help="Folder of the pictures in JOB.")] = "project",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace other pictures of that name.")] = False,
    beside: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Another project's folder: preview both side by side.")
    ] = None,
    out: Out = None,
    given: ShotOptions = DEFAULT_SHOT,
    device: Device = "auto",
) -> None:
    """Carry a texture or a decal onto a shot: an RGBA sequence over black, and the composite.

    The project keeps where the picture lies on the head in print.npz, which goes onto another shot with --picture.
    """
    from facequery.pipeline.lock import results_lock
    from facequery.pipeline.project import ProjectRequest, run_project, side_by_side

    place = None
    if at is not None:
        try:
            x, y = (float(v) for v in at.split(","))
        except ValueError:
            raise UserError(f'"{at}" is no place.', "Write --at x,y.", "FQ606") from None
        place = (x, y)
    request, folder = _job(shot, out, given)
    wanted = ProjectRequest(
        str(picture), place, frame, width, rotation, space, blend, shutter / 360, cut, refine or bool(reference), fit,
        name, overwrite, tuple(reference or []),
    )  # fmt: skip
    _announce(folder / name, overwrite)
    with progress_bars() as report:
        files = run_project(request, folder, wanted, report, device)
        if beside is not None:
            with results_lock(folder / name):
                files += side_by_side(beside, folder / name, folder / name / "side", report)
    _print_folders(files)


def _announce(folder: Path, overwrite: bool) -> None:
    """What is about to be written, and what of it replaces something."""
    there = sum(path.is_file() for path in folder.rglob("*")) if overwrite else 0
    print(f"Overwrites {folder}, {there} files" if there else f"Writes {folder}")


def _print_folders(files: list[Path]) -> None:
    """The folders of sequences, with the number of files in each."""
    for folder in sorted({file.parent for file in files}):
        count = sum(file.parent == folder for file in files)
        print(f"{folder}: {count} {'file' if count == 1 else 'files'}")


def _job(shot: str, out: Path | None, given: ShotOptions) -> tuple["JobRequest", Path]:
    """The JobRequest of a job's folder, or of a shot with options, and the folder."""
    from facequery.pipeline.face_shot import folder_of
    from facequery.pipeline.job import load_request

    if folder_of(shot):
        if out is not None:
            raise UserError(f'"{shot}" is a job; its results go into it.', "Leave --out away.", "FQ604")
        return load_request(Path(shot)), Path(shot)
    if out is None:
        raise UserError("There is no folder for the results.", "Name one with --out.", "FQ605")
    return given.request(shot, preview=False), out
