"""The page of the worker's messages: its methods as they are registered, and the protocol in its own words."""

import inspect
import re

from facequery_protocol import messages

NOTES = (messages.hello, messages.progress, messages.log, messages.heartbeat)


def method_texts() -> dict[str, str]:
    """What each method of the worker says of itself, by name."""
    from facequery.worker import default_registry

    registry = default_registry()
    return {name: inspect.getdoc(registry.get(name)) or "" for name in registry.names}


def worker_page() -> str:
    """Markdown: the form of messages, notifications, methods and the numbers of failures."""
    from facequery.worker import greet

    first, form, rest = (inspect.cleandoc(messages.__doc__ or "")).split("\n\n", 2)
    form = inspect.cleandoc(form)
    lines = [
        "# Messages of the worker",
        "",
        "`facequery worker` is what Blender talks to. Anything else that can start a process may do the same: write a "
        "request a line to its stdin, read answers from its stdout. Closing stdin ends it.",
        "",
        first,
        "",
        "```text",
        form,
        "```",
        "",
        rest,
        "",
        f"The protocol's version is {messages.PROTOCOL}, a line has at most {messages.LONGEST_LINE:,} bytes, and what "
        "is in it nests at most "
        f"{messages.DEEPEST} levels deep.",
        "",
        "## Notifications",
        "",
    ]
    for note in NOTES:
        lines += [f"### {note.__name__}", "", _text(inspect.getdoc(note) or ""), ""]
    lines += [
        "## Requests that the worker answers at once",
        "",
        '`ping` returns {"seconds"} since the start; `shutdown` ends the worker; `cancel` with {"id"} of a request '
        'returns {"cancelled": true} if it was waiting or running, which then fails with FQ394.',
        "",
        "### hello",
        "",
        _text(inspect.getdoc(greet) or ""),
        "",
        "## Methods",
        "",
        "One runs at a time, others wait. All report progress and may be cancelled; what was finished stays.",
        "",
    ]
    for name, text in method_texts().items():
        lines += [f"### {name}", "", _text(text), ""]
    lines += [
        "## Failures",
        "",
        "`data.code` is one of the [error numbers](errors.md); `code` is JSON-RPC's:",
        "",
        "| code | |",
        "|---|---|",
    ]
    for name in ("PARSE_ERROR", "INVALID_REQUEST", "METHOD_NOT_FOUND", "INVALID_PARAMS", "INTERNAL_ERROR"):
        lines.append(f"| {getattr(messages, name)} | {name.lower().replace('_', ' ')} |")
    lines += [
        f"| {messages.USER_ERROR} | something that the user can mend: cause and next step say what and how |",
        f"| {messages.CANCELLED} | cancelled |",
        f"| {messages.BUSY} | too many requests are waiting |",
        "",
    ]
    return "\n".join(lines)


def _text(docstring: str) -> str:
    """A docstring as Markdown: what stands in double quotes is a name of JSON."""
    parts = re.split(r"(`[^`]*`)", docstring)
    return "".join(part if part.startswith("`") else re.sub(r'("[A-Za-z_.]+")', r"`\1`", part) for part in parts)
