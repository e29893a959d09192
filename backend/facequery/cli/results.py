"""The commands that write out what a finished job holds: export, report, stmap."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from facequery.cli.console import progress_bars
from facequery.cli.options import Device, FinishedJob, View


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    for command in (export, report, stmap):
        app.command()(command)


def export(
    job: FinishedJob,
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
    view: View = 1,
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


def report(
    job: FinishedJob,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="[default: JOB/report.html]", show_default=False)
    ] = None,
    view: View = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a report that is there.")] = False,
) -> None:
    """Write how a job went as one page: worst frames, curves over time, settings, versions."""
    from facequery.pipeline.report import write_report

    with progress_bars() as bars:
        print(write_report(job, out, overwrite, view, bars))


def stmap(
    job: FinishedJob,
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
    view: View = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
    device: Device = "auto",
) -> None:
    """Write ST maps between the plate and the head's texture, and carry pictures through them."""
    from facequery.pipeline.stmap import MapRequest, write_maps

    wanted = MapRequest.directions if direction is None else tuple(name for name in direction if name != "none")
    request = MapRequest(wanted, size, source, reference, unwrap, mean, put_back, out, view, overwrite)
    with progress_bars() as report:
        write_maps(job, request, report, say=print, device=device)
