"""The page of all commands, from the command line itself."""

import re
from typing import Any

import typer

# Some versions of Typer bring a Click of their own, so that its classes are reached through its objects alone.
_KINDS = {"<str>": "TEXT", "<float>": "NUMBER", "<int>": "N", "<Path>": "PATH", " <list[Path]>": ""}
Command = Any
Context = Any


def command_tree() -> Command:
    """The group of every command of `facequery`, those for training included."""
    from facequery import cli

    cli.mount_training()
    return typer.main.get_command(cli.app)


def commands_page() -> str:
    """Markdown: each command with its usage, arguments and options."""
    group = command_tree()
    lines = [
        "# Commands",
        "",
        f"{group.help} Every command has `--help`, which says what is said here. Bad input ends a command with one "
        "sentence, a [number](errors.md) and exit code 2; Ctrl-C ends it with 130, and the same command goes on later.",
        "",
    ]
    context = group.context_class(group, info_name="facequery")
    for name in sorted(group.commands):
        command = group.commands[name]
        lines += _section(command, command.context_class(command, info_name=name, parent=context))
    return "\n".join(lines)


def _section(command: Command, context: Context) -> list[str]:
    usage = command.get_usage(context).removeprefix("Usage: ")
    lines = [f"## facequery {context.info_name}", "", "```text", " ".join(usage.split()), "```", ""]
    lines += [_paragraphs(command.help or ""), ""]
    rows = []
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and "--help" not in parameter.opts:
            rows.append(f"| `{_name(record[0])}` | {_cell(record[1])} |")
    return [*lines, *(("| | |", "|---|---|") if rows else ()), *rows, ""]


def _paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def _name(text: str) -> str:
    for kind, said in _KINDS.items():
        text = text.replace(kind, said)
    return " ".join(text.split()).replace("|", "\\|")


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|").replace("<", "&lt;").strip()
