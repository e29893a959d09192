"""The pictures of Blender's window: a script makes every one of them, and sees what is on a screen."""

import ast
import shutil
import subprocess

import pytest
from manual_blocks import ROOT

from tools.manual import blender_pictures


def test_every_picture_of_blender_can_be_made_again():
    tree = ast.parse(blender_pictures.STATES.read_text(encoding="utf-8"))
    (states,) = (
        node.value for node in tree.body if isinstance(node, ast.AnnAssign) and "STATES" in ast.dump(node.target)
    )
    assert isinstance(states, ast.Dict)
    names = {ast.literal_eval(key) for key in states.keys if key}
    there = {path.stem.removeprefix("blender_") for path in blender_pictures.IMAGES.glob("blender_*.jpg")}
    assert names == there
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    shown = "".join(page.read_text(encoding="utf-8") for page in pages)
    assert {name for name in names if f"blender_{name}.jpg" not in shown} == set()


@pytest.mark.skipif(
    any(shutil.which(name) is None for name in ("Xvfb", "xwd", "xsetroot")), reason="no virtual screen here"
)
def test_a_screen_is_photographed_in_its_colours():
    with blender_pictures.virtual_screen() as display:
        subprocess.run(["xsetroot", "-display", display, "-solid", "#102030"], check=True)
        picture = blender_pictures.photograph(display)
    assert picture.shape == (*blender_pictures.SIZE[::-1], 3)
    assert (picture == (0x30, 0x20, 0x10)).all()
