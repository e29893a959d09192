"""Is this installation whole? Each check says what was found and what to do about it."""

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
import tempfile
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
_OPTIONAL = {
    "usd-core": ("pxr", "USD exports need it: install the extra usd."),
    "distributed": ("distributed", "`facequery farm` needs it: install the extra farm."),
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
    findings.append(_devices())
    findings += [_file(name) for name in _FILES]
    findings.append(_codec())
    findings += [_optional(name, module, advice) for name, (module, advice) in _OPTIONAL.items()]
    findings.append(_blender())
    free = shutil.disk_usage(Path.cwd()).free
    findings.append(Finding("free disk", f"{free / 1e9:.0f} GB", free > _FREE, "Dense tracks need room.", needed=False))
    findings.append(_try("temporary files", _write, "Make room, or set TMPDIR to a folder that may be written to."))
    findings.append(_try("EXR, colour", _exr, "Run install.py again; look at $OCIO if it is set."))
    if all(finding.good for finding in findings if finding.needed):
        findings.append(_try("weights", _licences))
        findings.append(_try("detector", _detect))
    return findings


def _library(name: str, module: str) -> Finding:
    try:
        importlib.import_module(module)
        return Finding(name, importlib.metadata.version(name), True)
    except Exception as error:  # a broken wheel may raise anything on import
        return Finding(name, str(error), False, "Run install.py again.")


def _devices() -> Finding:
    import torch

    names = [f"{os.cpu_count()} cores"]
    names += [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    names += ["Apple GPU"] if torch.backends.mps.is_available() else []
    return Finding("devices", ", ".join(names), True)


def _file(name: str) -> Finding:
    try:
        return Finding(name, str(asset(name)), True)
    except Exception as error:
        return Finding(name, str(error), False, "Get the repository, or the wheel, again.")


def _codec() -> Finding:
    import av

    good = "libx264" in av.codecs_available
    return Finding("h264 encoder", "libx264" if good else "none", good, "Previews use MPEG-4 instead.", needed=False)


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
    from facequery.detection.detector import Detector
    from facequery.head.layouts import load_layout

    detector = Detector.from_pretrained()
    crop = np.full((1, detector.size, detector.size, 3), 128, np.uint8)
    xy, sigma = detector.decode(detector.encode(crop), load_layout("ibug68").positions)
    if not (np.isfinite(xy).all() and np.isfinite(sigma).all()):
        raise ValueError("its output is not finite")
    return "answers"


def _try(what: str, check: Callable[[], str], advice: str = "Run install.py again.") -> Finding:
    try:
        return Finding(what, check(), True)
    except Exception as error:  # whatever it is, it is the finding
        return Finding(what, f"{type(error).__name__}: {error}", False, advice)
