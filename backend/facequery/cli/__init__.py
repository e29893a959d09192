"""The command line. Bad input ends it with one sentence on stderr and exit code 2."""

import errno
import sys
from typing import Annotated

import typer

from facequery import __version__
from facequery.cli import about, apps, fit, jobs, results
from facequery.errors import UserError

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
