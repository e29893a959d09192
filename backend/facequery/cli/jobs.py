"""The commands that do jobs: track, and run, merge and farm for jobs that are there already."""

from pathlib import Path
from typing import Annotated

import typer

from facequery.cli.console import print_result, progress_bars
from facequery.cli.options import DEFAULT_SHOT, Device, Preview, References, Refine, ShotOptions, shot_options
from facequery.errors import UserError


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    for command in (track, run, merge, farm):
        app.command()(command)


@shot_options
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
    given: ShotOptions = DEFAULT_SHOT,
    camera: Annotated[
        list[Path] | None, typer.Option("--camera", metavar="FILE", help="A known camera (JSON), one a view.")
    ] = None,
    fit: Annotated[str, typer.Option(metavar="NAMES", help="Of face,skull,jaw: what to fit.")] = "",
    actor: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The person, learned before; kept as it is.")
    ] = None,
    device: Device = "auto",
    smooth: Annotated[
        float, typer.Option(metavar="STRENGTH", help="Smooth the tracks, without lag: 0 off, 1 moderate.")
    ] = 0.0,
    refine: Refine = False,
    reference: References = None,
    preview: Preview = True,
    profile: Annotated[bool, typer.Option("--profile", help="Print where the processor's time went.")] = False,
) -> None:
    """Track points of a face through a shot, and fit face, skull and jaw to them."""
    from facequery.pipeline.fit import parse_fits
    from facequery.pipeline.run import run_job
    from facequery.stages import recorded

    request = given.request(
        *shots,
        layouts=tuple(layout or ["ibug68"]),
        cameras=tuple(str(path) for path in camera or []),
        fits=parse_fits(fit),
        actor=str(actor) if actor else None,
        smooth=smooth,
        refine=refine or bool(reference),
        references=tuple(reference or []),
        preview=preview,
    )
    with recorded() as stages, progress_bars() as report:
        result = run_job(request, out, report, device)
    print_result(result)
    if profile:
        print(stages.table(sum(frames for _, _, frames in result.counts())))


def run(
    job: Annotated[Path, typer.Argument(metavar="JOB", help="Folder with a job.json.")],
    chunk: Annotated[
        str | None, typer.Option(metavar="I/N", help="Only piece I of N, for a farm; `merge` does the rest.")
    ] = None,
    step: Annotated[str, typer.Option(help="Of a piece: find, or track.")] = "track",
    device: Device = "auto",
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


def merge(
    job: Annotated[Path, typer.Argument(metavar="JOB", help="Folder of a job that was tracked in pieces.")],
    step: Annotated[
        str, typer.Option(help="find: join what pieces found, before they track. track: all the rest.")
    ] = "track",
    device: Device = "auto",
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


def farm(
    jobs: Annotated[list[Path], typer.Argument(metavar="JOB...", help="Folders with a job.json.")],
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Of a Dask scheduler. [default: processes of this machine]")
    ] = None,
    workers: Annotated[int, typer.Option(metavar="N", help="Processes of this machine, without a scheduler.")] = 2,
    retries: Annotated[int, typer.Option(metavar="N", help="How often a task that broke is tried again.")] = 2,
    pieces: Annotated[int | None, typer.Option(metavar="N", help="A job. [default: one per 128 frames]")] = None,
    device: Device = "auto",
) -> None:
    """Do many jobs on many machines. Exit code 3 when some of them failed."""
    from facequery.pipeline.farm import run_farm

    with progress_bars() as report:
        outcomes = run_farm(jobs, scheduler, workers, retries, pieces, device, report)
    for outcome in outcomes:
        print(f"{outcome.folder}: {outcome.problem or 'done'}")
    if any(outcome.problem for outcome in outcomes):
        raise typer.Exit(3)
