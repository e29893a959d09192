"""Finding the command that starts the backend: the preference, then the per-user registry file, then PATH."""

import os
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .._vendor.facequery_protocol.registry import read_registry, registry_path
from ..core.errors import AddonError
from ..core.remote_paths import RemotePaths

# Blender's own interpreter settings must not leak into another Python.
_PRIVATE_VARIABLES = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONEXECUTABLE", "__PYVENV_LAUNCHER__")


@dataclass(frozen=True)
class Backend:
    """A command without a subcommand, such as ("/env/bin/python", "-m", "facequery"), and where it was found.

    `paths` turn ours into its own where it runs on another computer.
    """

    command: tuple[str, ...]
    source: str  # "preference", "registry" or "PATH"
    paths: RemotePaths = field(default_factory=RemotePaths)
    blender: str = ""  # the program of this Blender, with which the backend writes Alembic and FBX

    def environment(self, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
        """Blender's environment without what would mislead another Python; FACEQUERY_BLENDER names this Blender.

        Threads that wait for each other sleep, where nothing else is said: beside a Blender that draws or renders, the
        usual busy waiting makes everything several times slower.
        """
        kept = {name: value for name, value in environ.items() if name not in _PRIVATE_VARIABLES}
        own = {"FACEQUERY_BLENDER": self.blender} if self.blender else {}
        return {"OMP_WAIT_POLICY": "PASSIVE", **own, **kept}

    @property
    def line(self) -> str:
        """The command as one line, for messages."""
        return " ".join(self.command)


def split_command(text: str) -> tuple[str, ...]:
    """A command line as the artist types it, to its parts. Quoted parts may hold spaces; backslashes are paths."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars="")
    lexer.whitespace_split = True
    lexer.escape = ""  # a Windows path is no escape sequence
    lexer.commenters = ""
    try:
        return tuple(lexer)
    except ValueError:
        raise AddonError(
            "The backend command in the preferences has a quote that is never closed.",
            "Correct it in the preferences of FaceQuery.",
            "FQ710",
        ) from None


def find_backend(
    preference: str = "",
    registry: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    paths: RemotePaths | None = None,
) -> Backend:
    """The first backend of preference, registry file and PATH. Raises AddonError when there is none."""
    paths = paths or RemotePaths()
    if preference.strip():
        # A path may hold spaces, and needs no quotes when it stands alone.
        program = shutil.which(preference.strip(), path=environ.get("PATH", ""))
        command = (program,) if program else split_command(preference)
        # The command is wanted without its "worker", but is often given with it.
        return Backend(command[:-1] if command[-1] == "worker" and len(command) > 1 else command, "preference", paths)
    registered = read_registry(registry or registry_path(environ))
    if registered:
        return Backend(tuple(registered), "registry", paths)
    found = shutil.which("facequery", path=environ.get("PATH", ""))
    if found:
        return Backend((found,), "PATH", paths)
    raise AddonError(
        "No FaceQuery backend was found.",
        "Run install.py of FaceQuery, or enter the backend's command in the preferences.",
        "FQ711",
    )


def same_release(backend: str, extension: str) -> bool:
    """Whether two versions speak the same protocol: the same major and minor number."""
    return backend.split(".")[:2] == extension.split(".")[:2]
