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
def test_panels_offer_what_the_backend_has():
    from facequery.apps.project import BLENDS
    from facequery.apps.regions import STANDARD
    from facequery.export.formats import FORMATS

    text = (ADDON / "host" / "clip_state.py").read_text(encoding="utf-8")
    values = {
        target.id: node.value
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    offered = {name for name, *_ in ast.literal_eval(values["EXPORTS"])}
    # ST maps have a button of their own.
    assert offered == {one.name for one in FORMATS} - {"nuke-stmap"}
    assert {name for name, *_ in ast.literal_eval(values["BLENDS"])} == set(BLENDS)
    regions = {node.value for node in ast.walk(values["MATTES"]) if isinstance(node, ast.Constant)}
    assert set(STANDARD) <= regions


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
