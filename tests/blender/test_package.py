"""The zip: what is in it, that Blender accepts it, and that it works once installed, with no sources beside."""

import tomllib
import zipfile

import pytest

# What Blender's extension platform accepts for add-ons; its command-line tool does not check them.
TAGS = {
    "3D View", "Add Curve", "Add Mesh", "Animation", "Bake", "Camera", "Compositing", "Development", "Game Engine",
    "Geometry Nodes", "Grease Pencil", "Import-Export", "Lighting", "Material", "Mesh", "Modeling", "Motion Capture",
    "Node", "Object", "Paint", "Physics", "Pipeline", "Render", "Rigging", "Scene", "Sculpt", "Sequencer", "System",
    "Text Editor", "Tracking", "User Interface", "UV",
}  # fmt: skip


def test_manifest_and_contents(package):
    with zipfile.ZipFile(package) as archive:
        names = set(archive.namelist())
        manifest = tomllib.loads(archive.read("blender_manifest.toml").decode())
    assert set(manifest["tags"]) <= TAGS
    assert {"__init__.py", "LICENSE", "assets/head/head.npz", "assets/head/bones.npz"} <= names
    assert "assets/layouts/ibug68.json" in names
    assert any(name.startswith("assets/head/NOTICE") for name in names), "the bones' licence wants its notice"
    assert "_vendor/facequery_protocol/layout.py" in names
    unwanted = [n for n in names if n.endswith((".pyc", ".whl")) or "render.npz" in n or n.startswith("facequery/")]
    assert not unwanted
    assert package.stat().st_size < 15e6


@pytest.mark.no_bpy
def test_the_newest_blender_that_is_installed_builds_it(tmp_path, monkeypatch):
    from tools.build_extension import installed_blender

    monkeypatch.setenv("PATH", str(tmp_path))
    places = [str(tmp_path / "Blender *" / "blender.exe")]
    assert installed_blender(places) is None
    for version in ("4.2", "5.0", "4.10"):
        (tmp_path / f"Blender {version}").mkdir()
        (tmp_path / f"Blender {version}" / "blender.exe").touch()
    assert installed_blender(places) == str(tmp_path / "Blender 5.0" / "blender.exe")
    (tmp_path / "blender").write_text("#!/bin/sh\n")
    (tmp_path / "blender").chmod(0o755)
    assert installed_blender(places) == str(tmp_path / "blender")


def test_repository_index(package):
    index = (package.parent / "index.json").read_text(encoding="utf-8")
    assert f"./{package.name}" in index and (package.parent / "index.html").is_file()


def test_installs_by_blenders_own_operator(package, run_script, tmp_path):
    assert "good" in run_script("install.py", package, tmp_path, checkout=False)
