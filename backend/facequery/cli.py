"""The command line. Bad input ends it with one sentence on stderr and exit code 2."""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from facequery import __version__, cli_apps, cli_fit
from facequery.errors import UserError

if TYPE_CHECKING:
    from facequery.pipeline.run import JobResult
    from facequery.pipeline.run import Progress as Report

# What computes is imported inside the commands: `facequery --version` and every --help must not wait for PyTorch.

app = typer.Typer(
    name="facequery",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Track any point of a face through a shot, and fit the face, the skull and the jaw in 3D.",
)
cli_apps.register(app)
cli_fit.register(app)
_TRAINING = ("train", "eval")
_EXIT_BUSY = 75  # sysexits' "temporary failure": another process holds the job; farms may try again


def _version(wanted: bool) -> None:
    if wanted:
        print(f"facequery {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    pass


@app.command()
def track(
    shots: Annotated[
        list[str],
        typer.Argument(
            metavar="SHOT...", help="A video, shot.####.exr, shot.%04d.exr or a folder; several: one a view."
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="JOB", help="Folder of the results; gone on with if it is there.")
    ],
    layout: Annotated[
        list[str] | None, typer.Option("--layout", metavar="NAME|FILE", help="Points to track. [default: ibug68]")
    ] = None,
    frames: Annotated[
        str | None, typer.Option(metavar="A-B", help="Numbers in the file names; video counts from 1.")
    ] = None,
    region: Annotated[
        list[str] | None,
        typer.Option(metavar="x,y,w,h", help="Where the face is, in pixels; again as FRAME:x,y,w,h where it moves."),
    ] = None,
    face: Annotated[int, typer.Option(metavar="I", help="Which face, 1 being the largest.")] = 1,
    camera: Annotated[
        list[Path] | None, typer.Option("--camera", metavar="FILE", help="A known camera (JSON), one a view.")
    ] = None,
    colorspace: Annotated[
        str | None, typer.Option(metavar="S", help="Of the plate, where the files are silent.")
    ] = None,
    exposure: Annotated[float, typer.Option(metavar="STOPS", help="Brightens what the detector sees.")] = 0.0,
    fps: Annotated[float | None, typer.Option(help="Where the files name none, or a wrong one.")] = None,
    fit: Annotated[str, typer.Option(metavar="NAMES", help="Of face,skull,jaw: what to fit.")] = "",
    actor: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The person, learned before; kept as it is.")
    ] = None,
    allow_gaps: Annotated[bool, typer.Option("--allow-gaps", help="Track around missing frames.")] = False,
    weights: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="Which detector; see `facequery models`.")
    ] = "landmarks",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    smooth: Annotated[
        float, typer.Option(metavar="STRENGTH", help="Smooth the tracks, without lag: 0 off, 1 moderate.")
    ] = 0.0,
    refine: Annotated[bool, typer.Option("--refine", help="Align to the plate at its full resolution.")] = False,
    preview: Annotated[bool, typer.Option("--preview/--no-preview", help="Write preview.mp4.")] = True,
) -> None:
    """Track points of a face through a shot, and fit face, skull and jaw to them."""
    from facequery.pipeline.fit import parse_fits
    from facequery.pipeline.job import JobRequest
    from facequery.pipeline.run import run_job

    request = JobRequest(
        shots=tuple(shots),
        layouts=tuple(layout or ["ibug68"]),
        frames=parse_frames(frames),
        face=face,
        regions=tuple(region or []),
        cameras=tuple(str(path) for path in camera or []),
        colorspace=colorspace,
        exposure=exposure,
        allow_gaps=allow_gaps,
        fps=fps,
        fits=parse_fits(fit),
        actor=str(actor) if actor else None,
        weights=weights,
        smooth=smooth,
        refine=refine,
        preview=preview,
    )
    with progress_bars() as report:
        result = run_job(request, out, report, device)
    print_result(result)


@app.command()
def run(
    job: Annotated[Path, typer.Argument(metavar="JOB", help="Folder with a job.json.")],
    chunk: Annotated[
        str | None, typer.Option(metavar="I/N", help="Only piece I of N, for a farm; `merge` does the rest.")
    ] = None,
    step: Annotated[str, typer.Option(help="Of a piece: find, or track.")] = "track",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
) -> None:
    """Do, or go on with, the job of a folder."""
    if chunk is not None:
        from facequery.pipeline.parts import parse_chunk, run_part

        piece, count = parse_chunk(chunk)
        with progress_bars() as report:
            frames = run_part(job, step, piece, count, report, device)
        print(f"Piece {piece} of {count}: {frames} frames.")
        return
    from facequery.pipeline.job import load_request
    from facequery.pipeline.run import run_job

    request = load_request(job)
    with progress_bars() as report:
        result = run_job(request, job, report, device)
    print_result(result)


@app.command()
def merge(
    job: Annotated[Path, typer.Argument(metavar="JOB", help="Folder of a job that was tracked in pieces.")],
    step: Annotated[
        str, typer.Option(help="find: join what pieces found, before they track. track: all the rest.")
    ] = "track",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
) -> None:
    """Join the pieces of a job, and do what has to be done in one: fits and preview."""
    from facequery.pipeline.parts import STEPS, link
    from facequery.pipeline.parts import merge as merge_pieces

    if step not in STEPS:
        raise UserError(f'A job has no step "{step}".', f"Choose from {', '.join(STEPS)}.", "FQ374")
    with progress_bars() as report:
        if step == "find":
            link(job, report, device)
            return
        result = merge_pieces(job, report, device)
    print_result(result)


@app.command()
def farm(
    jobs: Annotated[list[Path], typer.Argument(metavar="JOB...", help="Folders with a job.json.")],
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Of a Dask scheduler. [default: processes of this machine]")
    ] = None,
    workers: Annotated[int, typer.Option(metavar="N", help="Processes of this machine, without a scheduler.")] = 2,
    retries: Annotated[int, typer.Option(metavar="N", help="How often a task that broke is tried again.")] = 2,
    pieces: Annotated[int | None, typer.Option(metavar="N", help="A job. [default: one per 128 frames]")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
) -> None:
    """Do many jobs on many machines. Exit code 3 when some of them failed."""
    from facequery.pipeline.farm import run_farm

    with progress_bars() as report:
        outcomes = run_farm(jobs, scheduler, workers, retries, pieces, device, report)
    for outcome in outcomes:
        print(f"{outcome.folder}: {outcome.problem or 'done'}")
    if any(outcome.problem for outcome in outcomes):
        raise typer.Exit(3)


@app.command()
def export(
    job: Annotated[Path, typer.Argument(metavar="JOB", help="Folder of a finished job.")],
    format: Annotated[str, typer.Option("--format", metavar="NAME", help="See docs/export.md; 'list' lists them.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="[default: JOB/export/SHOT.FORMAT.SUFFIX]", show_default=False)
    ] = None,
    layout: Annotated[str | None, typer.Option(metavar="NAME", help="Only this layout's points.")] = None,
    point: Annotated[list[str] | None, typer.Option(metavar="ID|NAME", help="Only this point; may come again.")] = None,
    quad: Annotated[
        list[str] | None,
        typer.Option(metavar="A,B,C,D", help="Lower left, lower right, upper right, upper left of a corner pin."),
    ] = None,
    view: Annotated[int, typer.Option(metavar="I", help="Of several views, which one.")] = 1,
    undistorted: Annotated[bool, typer.Option("--undistorted", help="Points as a lens without distortion.")] = False,
    start: Annotated[
        int | None, typer.Option(metavar="N", help="Number of the first frame in the file. [default: the plate's]")
    ] = None,
    keep_hidden: Annotated[bool, typer.Option("--keep-hidden", help="Also hidden and off-screen points.")] = False,
    timecode: Annotated[str | None, typer.Option(metavar="H:M:S:F", help="Of the first frame.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
) -> None:
    """Write tracks or fits of a job for another program."""
    from facequery.export.formats import FORMATS

    if format == "list":
        table = Table("format", "file", "what it is")
        for one in FORMATS:
            table.add_row(one.name, one.suffix, one.title)
        Console().print(table)
        return
    from facequery.pipeline.export import ExportRequest, export_job

    request = ExportRequest(
        format=format,
        out=out,
        layout=layout,
        points=None if point is None else tuple(point),
        quads=tuple(tuple(name.strip() for name in one.split(",")) for one in quad or []),
        view=view,
        undistorted=undistorted,
        start=start,
        keep_hidden=keep_hidden,
        overwrite=overwrite,
        timecode=timecode,
    )
    with progress_bars() as report:
        result = export_job(job, request, report, say=print)
    for note in result.notes:
        print(f"Note: {note}")


@app.command()
def report(
    job: Annotated[Path, typer.Argument(metavar="JOB", help="Folder of a finished job.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="[default: JOB/report.html]", show_default=False)
    ] = None,
    view: Annotated[int, typer.Option(metavar="I", help="Of several views, which one.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a report that is there.")] = False,
) -> None:
    """Write how a job went as one page: worst frames, curves over time, settings, versions."""
    from facequery.pipeline.report import write_report

    with progress_bars() as bars:
        print(write_report(job, out, overwrite, view, bars))


@app.command()
def stmap(
    job: Annotated[Path, typer.Argument(metavar="JOB", help="Folder of a finished job.")],
    direction: Annotated[
        list[str] | None,
        typer.Option(help="uv-to-pixel, pixel-to-uv, pixel-to-reference, none. [default: the first two]"),
    ] = None,
    size: Annotated[int, typer.Option(metavar="TEXELS", help="Side of the atlas.")] = 1024,
    source: Annotated[str, typer.Option(help="fit, or tracks: dense landmarks without the fit.")] = "fit",
    reference: Annotated[
        int | None, typer.Option(metavar="FRAME", help="Of pixel-to-reference. [default: the first]")
    ] = None,
    unwrap: Annotated[bool, typer.Option("--unwrap", help="The plate as a texture sequence.")] = False,
    mean: Annotated[bool, typer.Option("--mean", help="One texture, the mean of all frames.")] = False,
    put_back: Annotated[Path | None, typer.Option(metavar="TEXTURE", help="Lay a texture on the plate.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="[default: JOB/stmap]", show_default=False)] = None,
    view: Annotated[int, typer.Option(metavar="I", help="Of several views, which one.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
) -> None:
    """Write ST maps between the plate and the head's texture, and carry pictures through them."""
    from facequery.pipeline.stmap import MapRequest, write_maps

    wanted = MapRequest.directions if direction is None else tuple(name for name in direction if name != "none")
    request = MapRequest(wanted, size, source, reference, unwrap, mean, put_back, out, view, overwrite)
    with progress_bars() as report:
        write_maps(job, request, report, say=print, device=device)


@app.command()
def demo(
    out: Annotated[
        Path | None, typer.Option("--out", metavar="JOB", help="Folder of the results. [default: out/demo/v001, ...]")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
) -> None:
    """Track and fit the bundled sample shot, and compare with its exact truth."""
    from facequery.pipeline.demo import run_demo

    with progress_bars() as report:
        result, rows = run_demo(out, report, device)
    table = Table("", "median", "mean", "90 %", "unit", title="Error against the exact truth of the sample shot")
    for row in rows:
        table.add_row(row.name, *(f"{v:.2f}" for v in (row.median, row.mean, row.worst)), row.unit)
    Console().print(table)
    print_result(result)


@app.command()
def layouts() -> None:
    """List the layouts that ship."""
    from facequery.head.layouts import layout_names, load_layout

    table = Table("layout", "points", "kinds", "what it is")
    for name in layout_names():
        queries = load_layout(name)
        table.add_row(name, str(len(queries)), ", ".join(sorted(set(queries.kinds))), queries.description)
    Console().print(table)


@app.command()
def models() -> None:
    """List the weights that ship, from their cards: what they cost, may be used for, and reach.

    GMACs: billions of multiply-accumulates of one look. Errors are percent of the distance of the outer eye corners on
    annotated photographs, crops from the annotation (points) or found by the pipeline (auto).
    """
    from facequery.assets import asset
    from facequery.models.weights import headline, load_weights

    table = Table("weights", "kind", "encoder", "parameters", "GMACs", "licence", "errors on photographs")
    for path in sorted(asset("weights").glob("*.safetensors")):
        state, card = load_weights(path)
        count = sum(value.numel() for value in state.values())
        cost = f"{card['gmacs']:.2f} ({card['gmacs_for']})" if "gmacs" in card else ""
        encoder = str(card.get("architecture", {}).get("encoder", ""))
        licence = str(card.get("licence", ""))
        table.add_row(path.stem, card["kind"], encoder, f"{count / 1e6:.2f} M", cost, licence, headline(card))
    Console().print(table)


@app.command()
def worker() -> None:
    """Serve Blender: JSON-RPC on stdin and stdout."""
    from facequery.worker import main as serve

    serve()


@app.command()
def doctor() -> None:
    """Check this installation. Exit code 1 when something that is needed is missing."""
    from facequery.pipeline.doctor import examine

    findings = examine()
    table = Table("", "what", "found", "what to do")
    for finding in findings:
        sign = "[green]ok[/]" if finding.good else ("[red]bad[/]" if finding.needed else "[yellow]--[/]")
        table.add_row(sign, finding.what, finding.found, "" if finding.good else finding.advice)
    Console().print(table)
    if any(finding.needed and not finding.good for finding in findings):
        raise typer.Exit(1)


def parse_frames(text: str | None) -> tuple[int, int] | None:
    """ "1001-1048" or "1001" -> first and last file number; numbers may be negative. Raises UserError otherwise."""
    if text is None:
        return None
    first, dash, last = text[1:].partition("-")  # a leading minus belongs to the number
    first = text[:1] + first
    try:
        span = (int(first), int(last) if dash else int(first))
    except ValueError:
        raise UserError(f'"{text}" is no range of frames.', "Write --frames 1001-1048.", "FQ380") from None
    if span[1] < span[0]:
        raise UserError(f"The range of frames {text} ends before it begins.", "Write --frames 1001-1048.", "FQ380")
    return span


@contextmanager
def progress_bars() -> Iterator["Report"]:
    """A bar for each step on the terminal; plain lines where there is none."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _ProgressLines()
        return
    columns = (TextColumn("{task.description:<14}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as bars:
        tasks: dict[str, int] = {}

        def report(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total)
            bars.update(tasks[step], completed=done, total=total)  # type: ignore[arg-type]

        yield report


class _ProgressLines:
    """One line for every tenth of a step, for logs and farms."""

    def __init__(self) -> None:
        self._said: dict[str, int] = {}

    def __call__(self, step: str, done: int, total: int) -> None:
        tenth = done * 10 // max(total, 1)
        if tenth > self._said.get(step, 0):
            self._said[step] = tenth
            print(f"{step}: {done}/{total}", file=sys.stderr, flush=True)


def print_result(result: "JobResult") -> None:
    """What was found and which files were written."""
    for note in result.notes:
        print(f"Note: {note}")
    for index, tracks in enumerate(result.tracks):
        label = f" in view {index + 1}" if len(result.tracks) > 1 else ""
        found = int(tracks.found.sum())
        print(
            f"{len(tracks.queries)} points tracked{label}; the face is there in {found} of {len(tracks.frames)} frames."
        )
    if result.fit is not None:
        for line in result.fit.quality.summary():
            print(line[:1].upper() + line[1:])
    for path in result.files:
        print(path)


def _mount_training() -> None:
    from facequery.evaluation import cli as evaluation
    from facequery.training import cli as training

    app.command("train")(training.train)
    app.command("eval")(evaluation.evaluate)


def main(arguments: list[str] | None = None) -> None:
    """Entry point: runs a command and turns what a user can mend into one line and exit code 2."""
    words = sys.argv[1:] if arguments is None else arguments
    if not words or words[0] in (*_TRAINING, "--help", "-h"):
        _mount_training()
    try:
        app(args=words, standalone_mode=True)
    except UserError as error:
        print(f"facequery: {error}", file=sys.stderr)
        sys.exit(_EXIT_BUSY if error.code == "FQ372" else 2)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = f' while writing "{error.filename}"' if error.filename else ""
        print(f"facequery: The disk is full{where}. Make room and start the same command again.", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("facequery: Stopped. The same command goes on from here.", file=sys.stderr)
        sys.exit(130)
