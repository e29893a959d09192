#!/usr/bin/env python3
"""Install FaceQuery into an environment of its own, `.venv` beside this file.

    python install.py                       what fits this machine: a CUDA build where there is an NVIDIA driver
    python install.py --cpu                 the processor only
    python install.py --cuda                an NVIDIA GPU
    python install.py --extras test,blender more than is needed to run: tests, bpy, train, usd, farm, docs
    python install.py --offline DIR         no network: every wheel is taken from DIR

PyTorch comes from the package index that pip is configured for. On Linux the one there is usually built for CUDA, and
several gigabytes large; `--torch-index URL` (or FACEQUERY_TORCH_INDEX) takes it from another, such as PyTorch's own
index of CPU builds, or, on Windows, of CUDA builds.

At the end the program checks itself (`facequery doctor`) and writes down where it is in a small file per user, in which
the Blender extension looks: ~/.config/facequery/backend.json on Linux, %APPDATA%\\FaceQuery\\backend.json on Windows,
~/Library/Application Support/FaceQuery/backend.json on macOS.

Only the standard library is used here.
"""

from __future__ import annotations  # an older Python shall come as far as being refused

import argparse
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
PYTHONS = ((3, 11), (3, 13))  # oldest and newest that are supported
TORCH = "2.13.0"  # the build that is tested; pinned for --cpu, so that an index may offer it as 2.13.0+cpu
EXTRAS = ("test", "blender", "train", "usd", "farm", "docs")


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    if not PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]:
        return fail(
            f"FaceQuery needs Python {PYTHONS[0][0]}.{PYTHONS[0][1]} to {PYTHONS[1][0]}.{PYTHONS[1][1]}; "
            f"this is {sys.version_info[0]}.{sys.version_info[1]}. Start install.py with another Python."
        )
    if options.offline and not Path(options.offline).is_dir():
        return fail(f"There is no folder {options.offline} to install from.")
    python = environment(Path(options.venv).resolve())
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check"]
    if options.quiet:
        pip.append("--quiet")
    if options.offline:
        pip += ["--no-index", "--find-links", str(Path(options.offline).resolve())]
    try:
        torch = install_torch(python, pip, options)
        constraints = python.parent.parent / "constraints.txt"
        constraints.write_text(f"torch=={torch}\n", encoding="utf-8")
        extras = f"[{','.join(options.extras)}]" if options.extras else ""
        print(f"Installing FaceQuery{extras} ...", flush=True)
        if options.offline:  # hatchling is not fetched for the build: it has to be in the environment
            run([*pip, "hatchling", "editables"])
            pip.append("--no-build-isolation")
        run([*pip, "--constraint", str(constraints), "--editable", f"{ROOT}{extras}"])
        run([str(python), "-m", "facequery", "doctor"])
    except subprocess.CalledProcessError as error:
        return fail(f"This step failed: {' '.join(map(str, error.cmd))}")
    if not options.no_registry:
        sys.path.insert(0, str(ROOT / "backend"))
        from facequery_protocol.registry import write_registry

        print(f"Written down for Blender in {write_registry([str(python), '-m', 'facequery'], version(python))}")
    (python.parent.parent / f"installed-{'-'.join(options.extras) or 'plain'}").touch()
    print(f"Ready: {python.with_name('facequery' + python.suffix)}")
    return 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    description, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    build = parser.add_mutually_exclusive_group()
    build.add_argument("--cpu", action="store_true", help="PyTorch for the processor only")
    build.add_argument("--cuda", action="store_true", help="PyTorch for an NVIDIA GPU")
    parser.add_argument("--offline", metavar="DIR", help="take every wheel from this folder")
    parser.add_argument("--torch-index", metavar="URL", default=os.environ.get("FACEQUERY_TORCH_INDEX"))
    parser.add_argument("--extras", default="", help="comma-separated: " + ", ".join(EXTRAS))
    parser.add_argument("--venv", default=str(ROOT / ".venv"), metavar="DIR", help="where (default: .venv)")
    parser.add_argument("--no-registry", action="store_true", help="do not write the per-user file")
    parser.add_argument("--quiet", action="store_true", help="only what matters")
    options = parser.parse_args(arguments)
    options.extras = [name.strip() for name in options.extras.split(",") if name.strip()]
    for name in options.extras:
        if name not in EXTRAS:
            parser.error(f'there is no extra "{name}"; there are {", ".join(EXTRAS)}')
    return options


def environment(folder: Path) -> Path:
    """The interpreter of the virtual environment in `folder`, which is made if it is not there."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        print(f"Making {folder} ...", flush=True)
        venv.EnvBuilder(with_pip=True, clear=folder.exists()).create(folder)
    return python


def install_torch(python: Path, pip: list[str], options: argparse.Namespace) -> str:
    """Install PyTorch unless a build of the wanted kind is there. Returns its version, local part included."""
    cuda = options.cuda or (not options.cpu and shutil.which("nvidia-smi") is not None)
    have = torch_version(python)
    if have and not (options.cuda and not has_cuda(python)):
        return have
    if sys.platform == "darwin" or cuda:
        wanted = "torch>=2.6,<2.14"
    else:
        wanted = f"torch=={TORCH}"
    print(f"Installing PyTorch ({wanted}, {'CUDA' if cuda else 'CPU'}) ...", flush=True)
    source = ["--index-url", options.torch_index] if options.torch_index else []
    run([*pip, *source, *(["--upgrade", "--force-reinstall"] if have else []), wanted])
    version_now = torch_version(python)
    if version_now is None:
        raise subprocess.CalledProcessError(1, [str(python), "-c", "import torch"])
    if options.cuda and not has_cuda(python):
        print("This build of PyTorch has no CUDA; give the index of one that has with --torch-index.", flush=True)
    return version_now


def torch_version(python: Path) -> str | None:
    """The installed version of PyTorch, such as 2.13.0+cpu, or None."""
    return ask(python, "import importlib.metadata as m; print(m.version('torch'))")


def has_cuda(python: Path) -> bool:
    return ask(python, "import torch; print(torch.version.cuda is not None)") == "True"


def version(python: Path) -> str:
    return ask(python, "import importlib.metadata as m; print(m.version('facequery'))") or "0"


def ask(python: Path, code: str) -> str | None:
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def run(command: list[str]) -> None:
    subprocess.run(command, check=True)


def fail(sentence: str) -> int:
    print(f"install.py: {sentence}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
