"""The page of the extension's panels: what each shows, and what its buttons do, from the extension's source."""

import ast
from dataclasses import dataclass
from typing import Final

from tools.manual.source import ROOT, assigned, spoken, words

EDITORS: Final = {"VIEW_3D": "3D View", "CLIP_EDITOR": "Movie Clip Editor"}
ADDON: Final = ROOT / "blender_addon"
# What gives a panel the values that it shows, and the class that declares them.
STATES: Final = {
    "scene_state": "SceneState",
    "object_state": "ObjectState",
    "clip_state": "ClipState",
    "active_face": "FaceState",
}


@dataclass(frozen=True)
class Panel:
    """One panel: its title, editor, place in the order, and what it shows: (class of a field or "", name)."""

    title: str
    editor: str
    order: int
    shown: tuple[tuple[str, str], ...]


def operators() -> dict[str, tuple[str, str]]:
    """Label and description of the extension's operators by name."""
    out = {}
    for node in _classes("ops"):
        names = assigned(node.body)
        name = spoken(names.get("bl_idname"))
        if "." in name:  # bl_idname of an operator, not of a menu or a handler of files
            said = spoken(names.get("bl_description")) or (ast.get_docstring(node) or "").partition("\n")[0]
            out[name] = (spoken(names.get("bl_label")), said)
    return out


def fields() -> dict[tuple[str, str], tuple[str, str]]:
    """Label and description of the values that the extension keeps, by class and name."""
    out: dict[tuple[str, str], tuple[str, str]] = {}
    for node in _classes("host"):
        for statement in node.body:
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.annotation, ast.Call):
                said = words(statement.annotation)
                name = getattr(statement.target, "id", "")
                out[node.name, name] = (said.get("name", name), said.get("description", ""))
    return out


def panels() -> list[Panel]:
    """The panels in the order in which the editors show them."""
    classes = {node.name: node for node in _classes("ui")}
    out = []
    for node in classes.values():
        if "bpy.types.Panel" not in [ast.unparse(base) for base in node.bases]:
            continue
        body = _inherited(node, classes)
        names = assigned(body)
        order = names.get("bl_order")
        number = order.value if isinstance(order, ast.Constant) and isinstance(order.value, int) else 0
        editor = EDITORS[spoken(names.get("bl_space_type"))]
        out.append(Panel(spoken(names.get("bl_label")), editor, number, _shown(body)))
    return sorted(out, key=lambda panel: (panel.editor, panel.order))


def _inherited(node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> list[ast.stmt]:
    """The statements of a class after those of its bases, so that its own come last and win."""
    bases = [classes[name] for base in reversed(node.bases) if (name := ast.unparse(base)) in classes]
    return [statement for base in bases for statement in _inherited(base, classes)] + node.body


def _shown(body: list[ast.stmt]) -> tuple[tuple[str, str], ...]:
    """(class of the values or "", name) of the fields and operators that a panel draws, in the order of the source."""
    found: dict[tuple[str, str], int] = {}
    for method in (node for node in body if isinstance(node, ast.FunctionDef)):
        kinds = _kinds(method)
        for call in ast.walk(method):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)):
                continue
            place = {"operator": 0, "prop": 1}.get(call.func.attr)
            if place is None or len(call.args) <= place or not (name := spoken(call.args[place])):
                continue
            kind = kinds.get(ast.unparse(call.args[0]), "?") if place else ""
            found[kind, name] = min(found.get((kind, name), call.lineno), call.lineno)
    return tuple(sorted(found, key=lambda key: found[key]))


def _kinds(method: ast.FunctionDef) -> dict[str, str]:
    """The classes of the values that a method's variables and parameters hold, where the source says so."""
    out = {a.arg: ast.unparse(a.annotation) for a in method.args.args if a.annotation}
    for node in ast.walk(method):
        if isinstance(node, ast.Assign):
            targets, values = [node.targets[0]], [node.value]
            if isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple):
                targets, values = node.targets[0].elts, node.value.elts
            for target, value in zip(targets, values, strict=True):
                if isinstance(value, ast.Call) and (kind := STATES.get(ast.unparse(value.func))):
                    out[ast.unparse(target)] = kind
    return out


def _classes(folder: str) -> list[ast.ClassDef]:
    paths = sorted((ADDON / folder).glob("*.py"))
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in paths]
    return [node for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)]


def panels_page() -> str:
    """Markdown: a section for each panel, and the operators that stand in menus, tools and shortcuts."""
    described, kept = operators(), fields()
    lines = [
        "# Panels",
        "",
        "All panels stand in the tab FaceQuery of the sidebar (N). [In Blender](../blender.md) goes through them in "
        "the order of the work; this page says what each button and field does, in the words of its tooltip.",
        "",
    ]
    mentioned = set()
    for panel in panels():
        rows = []
        for kind, name in panel.shown:
            label, said = kept.get((kind, name), ("", "")) if kind else described.get(name, ("", ""))
            mentioned.add(name)
            if said:
                rows.append(f"| **{label or name}** | {said} |")
        if rows:
            lines += [f"## {panel.title} ({panel.editor})", "", "| | |", "|---|---|", *rows, ""]
    lines += ["## In menus, tools, preferences and scripts", "", "| operator | |", "|---|---|"]
    for name, (label, said) in sorted(described.items()):
        if name not in mentioned and said:
            lines.append(f"| **{label}** `bpy.ops.{name}` | {said} |")
    return "\n".join([*lines, ""])
