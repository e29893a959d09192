"""The command line. Bad input ends it with one sentence on stderr and exit code 2."""

import sys
from typing import Annotated

import typer

from facequery import __version__
from facequery.cli import about, apps, fit, jobs, results
from facequery.errors import told
from facequery.pipeline.lock import BUSY

# What computes is imported inside the commands: `facequery --version` and every --help must not wait for PyTorch.

app = typer.Typer(
    name="facequery",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Track any point of a face through a shot, and fit the face, the skull and the jaw in 3D.",
)
for _commands in (apps, fit, jobs, results, about):
    _commands.register(app)
_TRAINING = ("train", "eval")
_EXIT_INTERRUPTED = 130
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


def mount_training() -> None:
    """Add the commands that only some users need, and whose modules take a moment to load; once is enough."""
    if any(command.name == "train" for command in app.registered_commands):
        return
    from facequery.evaluation import cli as evaluation
    from facequery.training import cli as training

    app.command("train")(training.train)
    app.command("eval")(evaluation.evaluate)


def main(arguments: list[str] | None = None) -> None:
    """Entry point: runs a command and turns what a user can mend into one line and exit code 2."""
    words = sys.argv[1:] if arguments is None else arguments
    if not words or words[0] in (*_TRAINING, "--help", "-h"):
        mount_training()
    try:
        app(args=words, standalone_mode=True)
    except (KeyboardInterrupt, SystemExit) as stop:
        if not _interrupted(stop):
            raise
        print("facequery: Stopped. The same command goes on from here.", file=sys.stderr)
        sys.exit(_EXIT_INTERRUPTED)
    except Exception as error:
        user = told(error)
        if user is None:
            raise
        print(f"facequery: {user} ({user.code})", file=sys.stderr)
        sys.exit(_EXIT_BUSY if user.code == BUSY else 2)


def _interrupted(stop: BaseException | None) -> bool:
    """Whether Ctrl-C is behind an exception: Typer makes an exit of it, with a code that depends on its version."""
    while stop is not None and not isinstance(stop, KeyboardInterrupt):
        stop = stop.__cause__ or stop.__context__
    return stop is not None
