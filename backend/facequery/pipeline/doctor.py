"""Is this installation whole? Each check says what was found and what to do about it."""

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facequery import __version__
from facequery.assets import asset
from facequery.errors import UserError

_LIBRARIES = {
    "numpy": "numpy",
    "scipy": "scipy",
    "torch": "torch",
    "opencv-python": "cv2",
    "openimageio": "OpenImageIO",
    "av": "av",
    "numba": "numba",
}
_FILES = ("head/head.npz", "head/bones.npz", "weights/landmarks.safetensors", "weights/finder.safetensors", "layouts")
_VIDEO = ("h264", "hevc", "prores", "dnxhd", "mjpeg", "mpeg4", "vp9", "av1")
_PICTURES = ("openexr", "dpx", "tiff", "png", "jpeg", "cineon")
_OPTIONAL = {
    "usd-core": ("pxr", "USD exports need it: install.py --extras usd"),
    "distributed": ("distributed", "`facequery farm` needs it: install.py --extras farm"),
}
_FREE = 2e9  # bytes


@dataclass(frozen=True)
class Finding:
    """One check: is it good, and if not, is it needed, and what is to be done."""

    what: str
    found: str
    good: bool
    advice: str = ""
    needed: bool = True


def examine() -> list[Finding]:
    """All checks, in the order of what depends on what."""
    findings = [
        Finding("FaceQuery", __version__, True),
        Finding("Python", platform.python_version(), sys.version_info >= (3, 11), "Install Python 3.11 to 3.13."),
    ]
    findings += [_library(name, module) for name, module in _LIBRARIES.items()]
    if not all(finding.good for finding in findings):
        return findings
    findings += _devices()
    findings += [_file(name) for name in _FILES]
    findings += [_encoder(), _decoders(), _pictures()]
    findings += [_optional(name, module, advice) for name, (module, advice) in _OPTIONAL.items()]
    findings.append(_blender())
    findings += [_room("free disk here", Path.cwd()), _room("free for temporary files", Path(tempfile.gettempdir()))]
    findings.append(_try("temporary files", _write, "Make room, or set TMPDIR to a folder that may be written to."))
    findings.append(_try("EXR, colour", _exr, "Run install.py again; look at $OCIO if it is set."))
    if all(finding.good for finding in findings if finding.needed):
        findings.append(_try("weights", _licences))
        findings.append(_try("face on the sample", _detect))
        findings.append(
            _try("worker for Blender", _greeting, "Start `facequery worker` by hand and read what it says.")
        )
    return findings


def _library(name: str, module: str) -> Finding:
    try:
        importlib.import_module(module)
        return Finding(name, importlib.metadata.version(name), True)
    except Exception as error:  # a broken wheel may raise anything on import
        return Finding(name, str(error), False, "Run install.py again.")


def _devices() -> list[Finding]:
    """The processor, and every accelerator that PyTorch names, on which something small is computed."""
    import torch

    memory = (
        f", {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB" if hasattr(os, "sysconf") else ""
    )
    findings = [Finding("processor", f"{os.cpu_count()} cores{memory}", True)]
    names = {f"cuda:{i}": torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())}
    if torch.backends.mps.is_available():
        names["mps"] = "Apple GPU"
    for device, name in names.items():

        def compute(device: str = device, name: str = name) -> str:
            value = float((torch.ones(8, 8, device=device) @ torch.ones(8, 8, device=device)).sum().cpu())
            if value != 512.0:
                raise ValueError(f"{name} says that 8 x 8 x 8 is {value}")
            return name

        findings.append(_try(device, compute, "Update its driver, or work with --device cpu.", needed=False))
    if not names:
        advice = "It works, more slowly. With an NVIDIA card: run install.py --cuda."
        findings.append(Finding("accelerator", "none", False, advice, needed=False))
    return findings


def _file(name: str) -> Finding:
    try:
        return Finding(name, str(asset(name)), True)
    except Exception as error:
        return Finding(name, str(error), False, "Get the repository, or the wheel, again.")


def _encoder() -> Finding:
    import av

    good = "libx264" in av.codecs_available
    return Finding("h264 encoder", "libx264" if good else "none", good, "Previews use MPEG-4 instead.", needed=False)


def _decoders() -> Finding:
    """Whether the videos of cameras and editors can be read."""
    import av

    missing = [name for name in _VIDEO if name not in av.codecs_available]
    found = "all of " + ", ".join(_VIDEO) if not missing else "not " + ", ".join(missing)
    return Finding("video decoders", found, not missing, "Install PyAV's own wheel: pip install --force-reinstall av.")


def _pictures() -> Finding:
    """Whether the kinds of pictures that plates come in can be read and written."""
    import OpenImageIO as oiio

    known = set(oiio.get_string_attribute("format_list").split(","))
    missing = [name for name in _PICTURES if name not in known]
    found = "all of " + ", ".join(_PICTURES) if not missing else "not " + ", ".join(missing)
    return Finding("pictures", found, not missing, "Run install.py again.")


def _optional(name: str, module: str, advice: str) -> Finding:
    if importlib.util.find_spec(module) is None:
        return Finding(name, "not installed", False, advice, needed=False)
    return Finding(name, importlib.metadata.version(name), True)


def _blender() -> Finding:
    from facequery.export.blender_files import blender_command

    try:
        return Finding("Blender", blender_command()[0], True)
    except UserError as error:
        return Finding("Blender", error.cause, False, error.next_step, needed=False)


def _write() -> str:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "facequery").write_bytes(bytes(1_000_000))
        return str(Path(folder).parent)


def _exr() -> str:
    """A float picture with an alpha is written, read, and shown."""
    from facequery.shots.colour import to_display
    from facequery.shots.images import read_picture, write_picture

    picture = np.full((4, 4, 4), 0.18, np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "test.exr"
        write_picture(path, picture, half=False)
        back = np.asarray(read_picture(path, "test"))
    if not np.array_equal(back, picture):
        raise ValueError("a picture that was written reads otherwise")
    shown = to_display(back[..., :3], "linear", 0.0)
    if abs(int(shown[0, 0, 0]) - 118) > 2:  # middle gray on an sRGB display
        raise ValueError(f"middle gray shows as {shown[0, 0, 0]}")
    return "right"


def _licences() -> str:
    from facequery.models.weights import load_weights

    cards = {path.stem: load_weights(path)[1] for path in sorted(asset("weights").glob("*.safetensors"))}
    return ", ".join(f"{name} ({card.get('licence', 'no licence')})" for name, card in cards.items())


def _detect() -> str:
    """The face in the bundled picture is found, and all its landmarks lie about it."""
    from facequery.detection.detector import Detector, to_pixels
    from facequery.detection.finder import FaceFinder
    from facequery.geometry.crops import crop_from_points, sample_crop
    from facequery.head.layouts import load_layout
    from facequery.shots.shot import open_shot

    picture = open_shot(asset("sample") / "plate" / "shot.1001.jpg").display(0)
    faces = FaceFinder.from_pretrained().find(picture)
    if not faces:
        raise ValueError("no face was found")
    detector = Detector.from_pretrained()
    crop = crop_from_points(faces[0].points)
    inside, spread = detector.look(sample_crop(picture, crop, detector.size)[None], load_layout("ibug68").positions)
    xy, sigma = to_pixels(inside, spread, crop[None])
    x, y, width, height = faces[0].box
    middle = np.median(xy[0], axis=0)
    if not np.isfinite(sigma).all() or not (x < middle[0] < x + width and y < middle[1] < y + height):
        raise ValueError("its landmarks lie elsewhere")
    return f"{len(xy[0])} landmarks, typically within {np.median(sigma):.1f} px"


def _greeting() -> str:
    """A worker of its own is started, greets, and goes."""
    from facequery_protocol.messages import check_hello, decode

    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "facequery", "worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        words = check_hello(decode(process.stdout.readline()))
        seconds = time.monotonic() - began
        process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    return f"greets in {seconds:.1f} s, computes on {words['device']}"


def _room(what: str, folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    advice = f'Dense tracks need room; "{folder}" is the place.'
    return Finding(what, f"{free / 1e9:.0f} GB", free > _FREE, advice, needed=False)


def _try(what: str, check: Callable[[], str], advice: str = "Run install.py again.", needed: bool = True) -> Finding:
    try:
        return Finding(what, check(), True, needed=needed)
    except Exception as error:  # whatever it is, it is the finding
        return Finding(what, f"{type(error).__name__}: {error}", False, advice, needed)
