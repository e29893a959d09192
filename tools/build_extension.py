"""Build the Blender extension: `python -m tools.build_extension [--out DIR] [--blender PATH]`.

Lays out a folder of its own (the extension's code, the head and the layouts of assets/, and a private copy of
facequery_protocol), has Blender's own `extension build` zip and check it, and writes the index (index.json, index.html)
with which a studio can host the folder as an extension repository. Blender's tool comes from --blender, from the bpy
module, or from a Blender that is installed. Any Python from 3.11 runs this; nothing needs to be installed into it.
"""

import argparse
import glob
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# What only training and pictures need stays out of the zip.
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", "render.npz")


# Where Blender's installers put it, newest last.
_USUAL_PLACES = (
    "/Applications/Blender*.app/Contents/MacOS/Blender",
    "C:/Program Files/Blender Foundation/Blender */blender.exe",
    "/opt/blender*/blender",
)


def extension_tool(blender: str | None = None) -> list[str]:
    """The command that takes `build`, `validate`, `server-generate`.

    It is that of the program `blender`, else of the bpy module, else of the Blender that is installed.
    """
    spec = None if blender else importlib.util.find_spec("bpy")
    for parent in Path(spec.origin).parents if spec is not None and spec.origin else ():
        found = sorted(parent.glob("**/addons_core/bl_pkg/cli/blender_ext.py"))
        if found:
            return [sys.executable, str(found[0])]
        if parent.name == "site-packages":
            break
    program = blender or installed_blender()
    if program is None:
        sys.exit("No Blender was found. Give --blender PATH of a Blender from 4.2 (or install the bpy module).")
    return [program, "--background", "--factory-startup", "--command", "extension"]


def installed_blender(places: Sequence[str] = _USUAL_PLACES) -> str | None:
    """The program of a Blender on the PATH, or the newest where installers put it; None without any."""
    program = shutil.which("blender")
    found = [path for place in places for path in glob.glob(place)]
    return program or max(found, key=_numbers, default=None)


def _numbers(path: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", path)]


def stage(folder: Path) -> None:
    """Lay out in `folder` what the zip holds."""
    shutil.copytree(ROOT / "blender_addon", folder, ignore=_LEFT_OUT, dirs_exist_ok=True)
    protocol = ROOT / "backend" / "facequery_protocol"
    shutil.copytree(protocol, folder / "_vendor" / "facequery_protocol", ignore=_LEFT_OUT)
    for name in ("head", "layouts"):
        shutil.copytree(ROOT / "assets" / name, folder / "assets" / name, ignore=_LEFT_OUT)


def build(out: Path, blender: str | None = None) -> Path:
    """Build the zip and the index in the folder `out`. Returns the zip's path; exits when Blender's tool refuses it."""
    tool = extension_tool(blender)
    out.mkdir(parents=True, exist_ok=True)
    manifest = tomllib.loads((ROOT / "blender_addon" / "blender_manifest.toml").read_text(encoding="utf-8"))
    target = out / f"{manifest['id']}-{manifest['version']}.zip"
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary) / manifest["id"]
        stage(source)
        steps = (
            ["build", "--source-dir", str(source), "--output-filepath", str(target)],
            ["validate", str(target)],
            ["server-generate", "--repo-dir", str(out), "--html"],
        )
        for step in steps:
            done = subprocess.run([*tool, *step], capture_output=True, text=True)
            if done.returncode != 0:
                sys.exit(f"Blender's extension tool refused: {(done.stdout + done.stderr).strip()}")
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the Blender extension's zip and its repository index.")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "dist" / "extension", help="folder (default: dist/extension)"
    )
    parser.add_argument(
        "--blender", help="the Blender whose tool to use, if not the bpy module's or the installed one's"
    )
    options = parser.parse_args()
    target = build(options.out, options.blender)
    print(f"{target} ({target.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    main()
