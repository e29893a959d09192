"""The commands about FaceQuery itself: demo, layouts, models, worker, doctor."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from facequery.cli.console import print_result, progress_bars
from facequery.cli.options import Device


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    for command in (demo, layouts, models, worker, doctor):
        app.command()(command)


def demo(
    out: Annotated[
        Path | None, typer.Option("--out", metavar="JOB", help="Folder of the results. [default: out/demo/v001, ...]")
    ] = None,
    device: Device = "auto",
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


def layouts() -> None:
    """List the layouts that ship."""
    from facequery.head.layouts import layout_names, load_layout

    table = Table("layout", "points", "kinds", "what it is")
    for name in layout_names():
        queries = load_layout(name)
        table.add_row(name, str(len(queries)), ", ".join(sorted(set(queries.kinds))), queries.description)
    Console().print(table)


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


def worker() -> None:
    """Serve Blender: JSON-RPC on stdin and stdout."""
    from facequery.worker import main as serve

    serve()


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON, for programs.")] = False,
) -> None:
    """Check this installation. Exit code 1 when something that is needed is missing."""
    from facequery.pipeline.doctor import examine

    findings = examine()
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=1))
        raise typer.Exit(int(any(finding.needed and not finding.good for finding in findings)))
    table = Table("", "what")
    table.add_column("found, and what to do", overflow="fold")  # a path is of use only whole
    for finding in findings:
        sign = "[green]ok[/]" if finding.good else ("[red]bad[/]" if finding.needed else "[yellow]--[/]")
        advice = "" if finding.good else f"\n[bold]{escape(finding.advice)}[/]"
        table.add_row(sign, escape(finding.what), escape(finding.found) + advice)
    Console().print(table)
    if any(finding.needed and not finding.good for finding in findings):
        raise typer.Exit(1)
