"""The manual's pictures of Blender: python -m tools.manual.blender_pictures [--blender PATH] [--only NAME].

Builds the extension, starts Blender on a virtual screen and with a user folder of its own, installs the zip there as a
user would, has it track the bundled sample shot with this environment's backend, brings its window into the states that
the pages show (tools/manual/blender_states.py), and saves each as docs/images/blender_NAME.jpg. Any Blender from 4.2
will do. It needs `Xvfb` and `xwd`, and the processor draws. With `--check` the pictures that are there stay.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from facequery import __version__
from facequery_protocol.registry import registry_path, write_registry
from numpy.typing import NDArray

from tools.build_extension import build, installed_blender
from tools.manual.source import ROOT

STATES: Final = Path(__file__).with_name("blender_states.py")
IMAGES: Final = ROOT / "docs" / "images"
SIZE: Final = (1320, 900)  # of the screen and the window, pixels
_QUALITY: Final = 84
_PROGRAMS: Final = {"Xvfb": "xvfb", "xwd": "x11-apps"}  # and the packages of Debian and Ubuntu that hold them
_LONGEST: Final = 1800  # seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--blender", help="path of the program (default: the one that is installed)")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="just these pictures")
    parser.add_argument("--check", action="store_true", help="keep the pictures that are there")
    options = parser.parse_args()
    blender = options.blender or installed_blender()
    if blender is None:
        sys.exit("No Blender was found. Give --blender PATH of a Blender from 4.2.")
    for program, package in _PROGRAMS.items():
        if shutil.which(program) is None:
            sys.exit(f"{program} is not there. On Debian and Ubuntu: apt install {package}.")
    wanted = set(options.only)
    with tempfile.TemporaryDirectory(prefix="facequery-pictures-") as temporary:
        for name, picture in take(blender, Path(temporary), options.only):
            target = IMAGES / f"blender_{name}.jpg"
            wanted.discard(name)
            if not options.check:
                cv2.imwrite(str(target), picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
            print(target.relative_to(ROOT), *picture.shape[1::-1], flush=True)
    if wanted:
        sys.exit(f"There is no picture {', '.join(sorted(wanted))}.")


def take(blender: str, folder: Path, only: list[str]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Names and pictures (H, W, 3), BGR, of Blender's window in all states, or in those named."""
    package = build(folder / "extension", blender)
    shutil.copytree(ROOT / "assets" / "sample" / "plate", folder / "plate")
    command = [blender, "--factory-startup", "-noaudio", "--window-geometry", "0", "0", *map(str, SIZE)]
    command += ["--python-exit-code", "1", "--python", str(STATES), "--", str(folder), str(package)]
    command += [",".join(only)]
    own = {"BLENDER_USER_RESOURCES": folder / "user", "XDG_CONFIG_HOME": folder, "TMPDIR": folder}
    environment = {**os.environ, **{name: str(path) for name, path in own.items()}}
    write_backend(folder / "FaceQuery" / "facequery", registry_path(environment))
    with virtual_screen() as display:
        environment["DISPLAY"] = display
        with subprocess.Popen(command, env=environment) as running:
            until = time.monotonic() + _LONGEST
            try:
                while running.poll() is None and time.monotonic() < until:
                    for ready in folder.glob("*.ready"):
                        yield ready.stem, photograph(display)
                        ready.unlink()  # Blender goes on
                    time.sleep(0.2)
            finally:
                running.kill()
        if running.returncode:
            sys.exit(f"Blender ended with {running.returncode}.")


def write_backend(program: Path, registry: Path) -> None:
    """A program that starts this environment's backend, written down for Blender as install.py does it."""
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m facequery "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    write_registry([str(program)], __version__, registry)


@contextmanager
def virtual_screen() -> Iterator[str]:
    """An X server whose screen is memory; yields its name, such as ":1"."""
    read, write = os.pipe()
    command = [
        "Xvfb",
        "-displayfd",
        str(write),
        "-screen",
        "0",
        "{}x{}x24".format(*SIZE),
        "-nolisten",
        "tcp",
        "-noreset",
    ]
    with subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL) as server:
        try:
            os.close(write)
            with os.fdopen(read) as said:
                yield f":{said.readline().strip()}"
        finally:
            server.terminate()


def photograph(display: str) -> NDArray[np.uint8]:
    """The whole screen (H, W, 3), BGR, read from xwd's file (X11/XWDFile.h: 25 numbers, a name, colours, pixels)."""
    dump = subprocess.run(["xwd", "-root", "-silent", "-display", display], check=True, capture_output=True).stdout
    header = np.frombuffer(dump, ">u4", 25)
    width, height, row, colours = (int(header[i]) for i in (4, 5, 12, 19))
    pixels = np.frombuffer(dump, np.uint8, height * row, int(header[0]) + 12 * colours)
    return pixels.reshape(height, row)[:, : 4 * width].reshape(height, width, 4)[..., :3]


if __name__ == "__main__":
    main()
