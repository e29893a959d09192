"""The command that fits tracks again, with other settings, cameras or corrections, without tracking."""

from pathlib import Path
from typing import Annotated

import typer

from facequery.cli.console import print_result, progress_bars
from facequery.cli.options import parse_frames
from facequery.errors import UserError


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command()(fit)


def fit(
    sources: Annotated[
        list[Path],
        typer.Argument(metavar="JOB|TRACKS...", help="A job's folder, or folders with tracks, one a view."),
    ],
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the results. [default: the job's]")] = None,
    fits: Annotated[str, typer.Option("--fit", metavar="NAMES", help="Of face,skull,jaw. [default: the job's]")] = "",
    camera: Annotated[
        list[str] | None,
        typer.Option("--camera", metavar="FILE", help='A known camera (JSON, .chan) or "solve", one a view.'),
    ] = None,
    actor: Annotated[
        str | None, typer.Option(metavar="FILE", help='The person, kept as it is; "none" to learn them here.')
    ] = None,
    corrections: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Pins, keyed poses, ignored points. [default: the job's]")
    ] = None,
    frames: Annotated[str | None, typer.Option(metavar="A-B", help="Fit these alone; all others stay.")] = None,
    points: Annotated[
        str, typer.Option(metavar="NAME", help="fit: those tracked for it; own: the job's own; both.")
    ] = "fit",
    mesh: Annotated[
        list[Path] | None,
        typer.Option("--mesh", metavar="FILE", help="Your own skull, jaw or head (JSON) instead of ours."),
    ] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting of the fit; see docs/fitting.md.")
    ] = None,
    preview: Annotated[bool | None, typer.Option("--preview/--no-preview", help="Write preview.mp4.")] = None,
) -> None:
    """Fit face, skull and jaw to tracks again, without tracking again."""
    from facequery.pipeline.fit import parse_fits, read_corrections
    from facequery.pipeline.fit_stage import FitRequest, run_fit

    document = None
    if corrections is not None:
        document = read_corrections(corrections)
        if document is None:
            raise UserError(f'There is no file "{corrections}".', "Check the path.", "FQ434")
    request = FitRequest(
        fits=parse_fits(fits),
        cameras=tuple(camera or []),
        actor="" if actor == "none" else actor,
        corrections=document,
        frames=parse_frames(frames),
        points=points,
        settings=parse_settings(setting or []),
        meshes=tuple(mesh or []),
        preview=preview,
    )
    with progress_bars() as report:
        result = run_fit(sources, request, out, report)
    print_result(result)


def parse_settings(texts: list[str]) -> dict[str, str]:
    """NAME=VALUE texts by name. Raises UserError for any other text."""
    out = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise UserError(f'"{text}" is no setting.', "Write --set identity_prior=0.7.", "FQ351")
        out[name.strip()] = value.strip()
    return out
