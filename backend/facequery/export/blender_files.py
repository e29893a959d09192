"""Files that Blender writes: the scene is handed to a Blender of its own, in a process of its own.

Which Blender: the executable that FACEQUERY_BLENDER names, else the bpy module of this Python.
"""

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facequery.errors import UserError
from facequery.export import pc2
from facequery.export.files import whole_file
from facequery.export.mesh import face_mesh
from facequery.export.source import Source
from facequery.export.stage import stage_of
from facequery.head.model import HeadModel

SCRIPT = Path(__file__).with_name("blender_scene.py")
_Z_UP = np.array([[1.0, 0, 0, 0], [0, 0, -1.0, 0], [0, 1.0, 0, 0], [0, 0, 0, 1.0]])  # from y up
_LONGEST = 3600  # seconds
_ENDING = "Error: script failed"  # Blender's own last word, which does not say why


def blender_command() -> list[str]:
    """How Blender is started. Raises UserError when there is none."""
    given = os.environ.get("FACEQUERY_BLENDER")
    if given:
        if not Path(given).is_file():
            raise UserError(f'FACEQUERY_BLENDER names "{given}", which is not there.', "Correct it.", "FQ511")
        return [given, "--background", "--factory-startup", "--python-exit-code", "1", "--python", str(SCRIPT), "--"]
    if importlib.util.find_spec("bpy") is None:
        raise UserError(
            "Alembic and FBX are written by Blender: FACEQUERY_BLENDER names none, and there is no bpy module.",
            "Set FACEQUERY_BLENDER to Blender's executable, or run install.py --extras blender.",
            "FQ511",
        )
    return [sys.executable, str(SCRIPT), "--"]


def write_with_blender(source: Source, path: Path) -> None:
    """Build the scene in Blender and have it write `path`; its suffix says what. Raises UserError when it does not."""
    command = blender_command()
    arrays = scene_arrays(source, shapes=path.suffix == ".fbx")
    with tempfile.TemporaryDirectory() as folder, whole_file(path) as temporary:
        scene, cache = Path(folder) / "scene.npz", Path(folder) / "face.pc2"
        np.savez(scene, **arrays)
        if path.suffix != ".fbx":
            _write_cache(source, cache)
        environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
        try:
            done = subprocess.run(
                [*command, str(scene), str(cache), str(temporary.resolve())],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=_LONGEST,
                env=environment,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UserError(f"Blender could not be run ({error}).", "Check FACEQUERY_BLENDER.", "FQ511") from error
        if done.returncode or not temporary.is_file():
            said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip() and _ENDING not in line]
            last = said[-1].strip() if said else "it said nothing"
            raise UserError(f"Blender did not write the file ({last}).", "Try another Blender.", "FQ512")


def scene_arrays(source: Source, shapes: bool) -> dict[str, NDArray[Any]]:
    """What `blender_scene` builds from, in Blender's coordinates: meshes, poses (F, 4, 4), camera and, with `shapes`,
    the blend shapes (52, V, 3): the whole motion at weight 1, jaw and gaze included."""
    face, camera, stage = source.need_face(), source.need_camera(), stage_of(source)
    turn = _Z_UP if stage.up == "Y" else np.eye(4)
    mesh = face_mesh(face)
    count = len(source.frames)
    arrays: dict[str, NDArray[Any]] = {
        "frames": source.frames,
        "fps": np.array(source.fps),
        "size": np.array([source.width, source.height]),
        "neutral": mesh.neutral,
        "counts": mesh.counts,
        "faces": mesh.faces,
        "st": mesh.st,
        "camera": turn @ stage.camera,
    }
    arrays |= {name: np.broadcast_to(getattr(camera, name), count) for name in ("fx", "fy", "cx", "cy")}
    for name, part in (("Skull", source.skull), ("Jaw", source.jaw)):
        if part is not None:
            arrays |= {name + "_vertices": part.vertices, name + "_triangles": part.triangles}
            arrays[name + "_poses"] = turn @ stage.pose(part.rotation, part.translation)
    if shapes:
        model = HeadModel.load()
        still = model.vertices(face.identity, np.zeros(52, np.float32))[mesh.head_index]
        moved = model.vertices(face.identity, np.eye(52, dtype=np.float32))[:, mesh.head_index]
        arrays |= {"names": np.array(face.expression_names), "weights": face.expression, "shapes": moved - still}
        arrays["head"] = turn @ stage.pose(face.rotation, face.translation)
    return arrays


def _write_cache(source: Source, path: Path) -> None:
    """The fit's points as PC2 in Blender's coordinates."""
    face, stage = source.need_face(), stage_of(source)
    turn = _Z_UP[:3, :3] if stage.up == "Y" else np.eye(3)
    pc2.write_cache(
        path,
        face.vertices.shape[1],
        int(source.frames[0]),
        (stage.points(row, face.vertices[row]) @ turn.T for row in pc2.sample_rows(source.frames)),
        int(source.frames[-1] - source.frames[0]) + 1,
        source.report,
    )
