"""What Blender and the worker say to each other: JSON-RPC 2.0, one message a line, UTF-8.

    request       {"jsonrpc": "2.0", "id": 7, "method": "track", "params": {...}}       Blender to worker
    result        {"jsonrpc": "2.0", "id": 7, "result": {...}}                          worker to Blender
    error         {"jsonrpc": "2.0", "id": 7, "error": {"code": -32000, "message": "cause and next step",
                     "data": {"code": "FQ205", "cause": "...", "next_step": "..."}}}
    notification  {"jsonrpc": "2.0", "method": "hello" | "progress" | "log" | "heartbeat", "params": {...}}

The worker greets with `hello`; a reader drops whatever comes before it. `cancel` is a request like any other, with the
id of what to cancel. Arrays never travel in a message: they are .npy files in the job's folder, named in it.
"""

import json
import math
from dataclasses import dataclass, field
from typing import Any, Final

from .errors import ProtocolError

PROTOCOL: Final = 1  # of the messages; the first number of `hello` that both sides must share
LONGEST_LINE: Final = 4_000_000  # bytes
DEEPEST: Final = 40

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
USER_ERROR: Final = -32000  # something the user can mend: data says what and how
CANCELLED: Final = -32001
BUSY: Final = -32002

Id = int | str


@dataclass(frozen=True)
class Request:
    """A call that wants an answer, or, with `id` None, a notification."""

    method: str
    params: dict[str, Any] = field(default_factory=dict)
    id: Id | None = None


@dataclass(frozen=True)
class Result:
    """The answer to the request `id`."""

    id: Id
    result: Any = None


@dataclass(frozen=True)
class Failure:
    """What went wrong with the request `id` (None: with a line that had no readable id).

    `kind` is JSON-RPC's number, `code` ours ("FQ205"), `cause` one sentence, `next_step` what to do about it.
    """

    id: Id | None
    kind: int
    cause: str
    next_step: str = ""
    code: str = "FQ300"


Message = Request | Result | Failure


class MessageError(ProtocolError):
    """A line that is no message. `failure` is the answer that the protocol wants for it."""

    def __init__(self, cause: str, kind: int = INVALID_REQUEST, id: Id | None = None) -> None:
        super().__init__(cause, code="FQ301")
        self.failure = Failure(id, kind, cause, code="FQ301")


def encode(message: Message) -> bytes:
    """One line, newline included. Numbers that JSON does not have (NaN, infinities) become null."""
    document: dict[str, Any] = {"jsonrpc": "2.0"}
    if isinstance(message, Request):
        if message.id is not None:
            document["id"] = message.id
        document |= {"method": message.method, "params": message.params}
    elif isinstance(message, Result):
        document |= {"id": message.id, "result": message.result}
    else:
        data = {"code": message.code, "cause": message.cause, "next_step": message.next_step}
        text = f"{message.cause} {message.next_step}".strip()
        document |= {"id": message.id, "error": {"code": message.kind, "message": text, "data": data}}
    try:
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(document), ensure_ascii=False, separators=(",", ":"))
    # Lone surrogates (file names that are no UTF-8) would stop the encoder.
    return text.encode("utf-8", errors="backslashreplace") + b"\n"


def decode(line: bytes | str) -> Message:
    """The message of one line. Raises MessageError, with the answer to give in it, on anything else."""
    if len(line) > LONGEST_LINE:
        raise MessageError(f"A message may not be longer than {LONGEST_LINE} bytes.", PARSE_ERROR)
    try:
        text = line.decode("utf-8") if isinstance(line, bytes) else line
        if _depth(text) > DEEPEST:
            raise MessageError(f"A message may not be nested deeper than {DEEPEST} levels.", PARSE_ERROR)
        document = json.loads(text, parse_constant=_no_constant, parse_int=_bounded)
    except UnicodeDecodeError:
        raise MessageError("The message is not UTF-8.", PARSE_ERROR) from None
    except MessageError:
        raise
    except (ValueError, RecursionError):
        raise MessageError("The message is not JSON.", PARSE_ERROR) from None
    return _message(document)


def hello(facequery: str, device: str, methods: list[str], **more: Any) -> Request:
    """The worker's greeting: its version, what it computes on, and what it can be asked for."""
    return Request(
        "hello", {"protocol": PROTOCOL, "facequery": facequery, "device": device, "methods": methods, **more}
    )


def check_hello(message: Message) -> dict[str, Any]:
    """The contents of a greeting. Raises ProtocolError when it is none, or speaks another protocol."""
    if not isinstance(message, Request) or message.method != "hello":
        raise ProtocolError("The backend did not greet first.", "Install the backend again.", "FQ302")
    if message.params.get("protocol") != PROTOCOL:
        raise ProtocolError(
            f"The backend speaks protocol {message.params.get('protocol')!r}, this side {PROTOCOL}.",
            "Install the same version of both.",
            "FQ303",
        )
    return message.params


def progress(id: Id, step: str, done: int, total: int, **more: Any) -> Request:
    """How far the request `id` is: `done` of `total` frames (or pieces) of its present step."""
    return Request("progress", {"id": id, "step": step, "done": done, "total": total, **more})


def log(text: str, level: str = "info", id: Id | None = None) -> Request:
    """A line for the log; `level` is "info", "warning" or "error"."""
    return Request("log", {"level": level, "text": text, "id": id})


def heartbeat(seconds: float, busy: list[Id]) -> Request:
    """The worker is alive, `seconds` after its start, working on the requests `busy`."""
    return Request("heartbeat", {"seconds": round(seconds, 3), "busy": busy})


def _message(document: Any) -> Message:
    if not isinstance(document, dict):
        raise MessageError("A message must be a JSON object.")
    id = document.get("id")
    if isinstance(id, bool) or not isinstance(id, int | str | None) or (isinstance(id, str) and len(id) > 200):
        raise MessageError('The "id" of a message must be a whole number or a short text.')
    if document.get("jsonrpc") != "2.0":
        raise MessageError('A message must have "jsonrpc": "2.0".', id=id)
    if "method" in document:
        method, params = document["method"], document.get("params", {})
        if not isinstance(method, str) or not 0 < len(method) <= 200:
            raise MessageError('The "method" of a message must be a name.', id=id)
        if not isinstance(params, dict):
            raise MessageError('The "params" of a message must be an object.', INVALID_PARAMS, id)
        return Request(method, params, id)
    if "error" in document:
        error = document["error"]
        if not isinstance(error, dict) or not isinstance(error.get("code"), int) or isinstance(error["code"], bool):
            raise MessageError('The "error" of a message must be an object with a code.', id=id)
        given = error.get("data")
        data: dict[str, Any] = given if isinstance(given, dict) else {}
        cause = data.get("cause") or error.get("message") or "Something went wrong."
        return Failure(id, error["code"], str(cause), str(data.get("next_step", "")), str(data.get("code", "FQ300")))
    if "result" in document:
        if id is None:
            raise MessageError("A result must have the id of its request.")
        return Result(id, document["result"])
    raise MessageError('A message must have a "method", a "result" or an "error".', id=id)


def _depth(text: str) -> int:
    """How deeply a text nests, brackets inside of strings left out: looked at before the parser recurses."""
    depth = deepest = 0
    quoted = escaped = False
    if text.count("[") + text.count("{") <= DEEPEST:
        return 0
    for letter in text:
        if quoted:
            escaped, quoted = (False, True) if escaped else (letter == "\\", letter != '"')
        elif letter == '"':
            quoted = True
        elif letter in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif letter in "]}":
            depth -= 1
    return deepest


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _bounded(digits: str) -> int:
    if len(digits) > 20:
        raise ValueError("the number is too long")
    return int(digits)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
