"""Finding the command that starts the backend: the preference, then the per-user registry file, then PATH."""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .._vendor.facequery_protocol.registry import read_registry, registry_path
from ..core.errors import AddonError

# Blender's own interpreter settings must not leak into another Python.
_PRIVATE_VARIABLES = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONEXECUTABLE", "__PYVENV_LAUNCHER__")


@dataclass(frozen=True)
class Backend:
    """A command without a subcommand, such as ("/env/bin/python", "-m", "facequery"), and where it was found."""

    command: tuple[str, ...]
    source: str  # "preference", "registry" or "PATH"


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
) -> Backend:
    """The first backend of preference, registry file and PATH. Raises AddonError when there is none."""
    if preference.strip():
        return Backend(split_command(preference), "preference")
    command = read_registry(registry or registry_path(environ))
    if command:
        return Backend(tuple(command), "registry")
    found = shutil.which("facequery", path=environ.get("PATH", ""))
    if found:
        return Backend((found,), "PATH")
    raise AddonError(
        "No FaceQuery backend was found.",
        "Run install.py of FaceQuery, or enter the backend's command in the preferences.",
        "FQ711",
    )


def clean_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment for the backend: Blender's, without what would mislead another Python."""
    return {name: value for name, value in environ.items() if name not in _PRIVATE_VARIABLES}


def backend_version(backend: Backend, timeout: float = 20.0) -> str:
    """Ask the backend for its version, such as "0.1.0", `timeout` in seconds. Raises AddonError without an answer."""
    line = " ".join(backend.command)
    flags = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # Windows only: no console window flashes up
    try:
        done = subprocess.run(
            [*backend.command, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            env=clean_environment(),
            creationflags=flags,
        )
    except OSError as error:
        cause = f'The backend "{line}" cannot be started ({error.strerror or error}).'
        raise AddonError(cause, "Check the command in the preferences, or run install.py again.", "FQ712") from None
    except subprocess.TimeoutExpired:
        cause = f'The backend "{line}" did not answer within {timeout:g} seconds.'
        raise AddonError(cause, "Check the command in the preferences.", "FQ713") from None
    found = re.search(r"facequery\s+(\d+\.\d+\.\d+\S*)", done.stdout, re.IGNORECASE)
    if done.returncode != 0 or not found:
        last = (done.stderr.strip().splitlines() or done.stdout.strip().splitlines() or ["it printed nothing"])[-1]
        cause = f'"{line}" is not a working FaceQuery backend: {last[:200]}'
        raise AddonError(cause, "Run install.py again.", "FQ714")
    return found.group(1)


def same_release(backend: str, extension: str) -> bool:
    """Whether two versions speak the same protocol: the same major and minor number."""
    return backend.split(".")[:2] == extension.split(".")[:2]
