"""The extension in the real bpy module: registering, and that it stays apart from the backend."""

import ast
from pathlib import Path

import pytest

ADDON = Path(__file__).resolve().parents[2] / "blender_addon"


def test_registers_and_unregisters_cleanly(run_script):
    assert "good" in run_script("register.py")


def _imports(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.no_bpy
def test_who_may_import_what():
    files = sorted(ADDON.rglob("*.py"))
    assert files
    for path in files:
        imports, folder = _imports(path), path.relative_to(ADDON).parts[0]
        assert "facequery" not in imports, path
        assert "facequery_protocol" not in imports, f"{path}: import it from _vendor"
        if folder in ("core", "link"):
            assert not imports & {"bpy", "mathutils", "gpu", "bmesh", "bpy_extras"}, path
