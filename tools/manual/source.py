"""What the generated pages read of the source code, without running it."""

import ast
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]


def spoken(node: ast.expr | None) -> str:
    """The text of a string expression; what is filled in when it runs is "...". Empty for anything else."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(spoken(part) if isinstance(part, ast.Constant) else "..." for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = spoken(node.left), spoken(node.right)
        return (left or "...") + (right or "...") if left or right else ""
    if isinstance(node, ast.IfExp):
        return spoken(node.body) or spoken(node.orelse)
    return ""


def assigned(body: list[ast.stmt]) -> dict[str, ast.expr]:
    """Expressions by the names that a class or module gives them."""
    out: dict[str, ast.expr] = {}
    for statement in body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            out[statement.targets[0].id] = statement.value
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
            out[statement.target.id] = statement.value
    return out


def words(call: ast.Call) -> dict[str, str]:
    """The texts among a call's keyword arguments."""
    return {word.arg: text for word in call.keywords if word.arg and (text := spoken(word.value))}
