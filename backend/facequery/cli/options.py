"""The options that commands share, each said once.

A command that reads a shot has a parameter `given: ShotOptions` and is decorated with `shot_options`; the fields then
stand in its place as options of their own.
"""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facequery.errors import UserError

if TYPE_CHECKING:
    from facequery.pipeline.job import JobRequest

FinishedJob = Annotated[Path, typer.Argument(metavar="JOB", help="Folder of a finished job.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Preview = Annotated[bool, typer.Option("--preview/--no-preview", help="Write preview.mp4.")]
Refine = Annotated[bool, typer.Option("--refine", help="Align to the plate at its full resolution.")]
References = Annotated[
    list[int] | None,
    typer.Option(
        "--reference", metavar="N", help="Refine by comparing with this frame; again for more. [default: chosen]"
    ),
]
View = Annotated[int, typer.Option(metavar="I", help="Of several views, which one.")]


@dataclass(frozen=True)
class ShotOptions:
    """How a shot is read, which face is meant, and what looks at it."""

    frames: Annotated[
        str | None, typer.Option(metavar="A-B", help="Numbers in the file names; video counts from 1.")
    ] = None
    region: Annotated[
        list[str] | None,
        typer.Option(metavar="x,y,w,h", help="Where the face is, in pixels; again as FRAME:x,y,w,h where it moves."),
    ] = None
    face: Annotated[int, typer.Option(metavar="I", help="Which face, 1 being the largest.")] = 1
    colorspace: Annotated[str | None, typer.Option(metavar="S", help="Of the plate, where the files are silent.")] = (
        None
    )
    exposure: Annotated[float, typer.Option(metavar="STOPS", help="Brightens what the detector sees.")] = 0.0
    fps: Annotated[float | None, typer.Option(help="Where the files name none, or a wrong one.")] = None
    allow_gaps: Annotated[bool, typer.Option("--allow-gaps", help="Go around missing frames.")] = False
    weights: Annotated[str, typer.Option(metavar="NAME|FILE", help="Which detector; see `facequery models`.")] = (
        "landmarks"
    )
    mirror: Annotated[
        bool, typer.Option("--mirror", help="See each picture mirrored too: a little better, twice the time.")
    ] = False

    def request(self, *shots: str, **others: Any) -> "JobRequest":
        """The request for shots, one a view, with `others` of JobRequest's fields. Raises UserError."""
        from facequery.pipeline.job import JobRequest

        own = {field.name: getattr(self, field.name) for field in fields(self)}
        own["regions"] = tuple(own.pop("region") or [])
        return JobRequest(shots=shots, **own | others | {"frames": parse_frames(self.frames)})


DEFAULT_SHOT = ShotOptions()  # for the signatures of commands; never seen by them


def shot_options(command: Callable[..., None]) -> Callable[..., None]:
    """Spread the parameter `given` of a command into options of its own."""
    kind = inspect.Parameter.KEYWORD_ONLY
    options = [
        inspect.Parameter(field.name, kind, default=field.default, annotation=field.type)
        for field in fields(ShotOptions)
    ]
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        parameters += options if parameter.name == "given" else [parameter.replace(kind=kind)]

    @functools.wraps(command)
    def spread(**words: Any) -> None:
        command(given=ShotOptions(**{option.name: words.pop(option.name) for option in options}), **words)

    spread.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    spread.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    del spread.__wrapped__
    return spread


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
