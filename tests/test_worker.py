"""The worker as a client meets it: a real process, lines in and lines out."""

import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from facequery_protocol import messages
from facequery_protocol.messages import Failure, Request, Result

METHODS = """
import os, sys, time
from facequery.errors import UserError
from facequery.worker import Registry, main

def echo(params, context):
    return params

def noisy(params, context):
    print("a library prints")
    os.write(1, b"and writes to descriptor 1\\n")
    os.system("echo so does a child; cat")
    return "quiet"

def count(params, context):
    context.log("counting")
    for i in range(params["to"]):
        context.progress("Count", i + 1, params["to"])
        time.sleep(0.01)
    return i + 1

def stubborn(params, context):
    time.sleep(60)

def wrong(params, context):
    kinds = {"user": UserError("No face was found.", "Draw a region.", "FQ230"), "memory": MemoryError(),
             "gpu": RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
             "disk": OSError(28, "No space left on device"), "file": OSError(13, "Permission denied", "/a/b"),
             "bug": ValueError("two\\nlines"), "exit": SystemExit(3)}
    raise kinds[params["kind"]]

registry = Registry()
for method in (count, noisy, stubborn, wrong):
    registry.add(method.__name__, method)
registry.add("echo", echo, quick=True)
registry.add("lazy", "posixpath:join", quick=True)
registry.add("absent", "no_such_module:f")
main(registry)
"""


class Client:
    def __init__(self, code: str = METHODS) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.lines: queue.Queue[bytes] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.notes: list[Request] = []

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(b"")

    def send(self, *lines: bytes | messages.Message) -> None:
        assert self.process.stdin
        for line in lines:
            self.process.stdin.write(line if isinstance(line, bytes) else messages.encode(line))
        self.process.stdin.flush()

    def next(self, timeout: float = 60.0) -> messages.Message:
        line = self.lines.get(timeout=timeout)
        assert line, "the worker has ended"
        return messages.decode(line)

    def answer(self, id=None) -> Result | Failure:
        while True:
            message = self.next()
            if isinstance(message, Request):
                self.notes.append(message)
            elif id is None or message.id == id:
                return message

    def call(self, method: str, id: int = 1, **params) -> Result | Failure:
        self.send(Request(method, params, id))
        return self.answer(id)

    def close(self) -> int:
        assert self.process.stdin
        self.process.stdin.close()
        return self.process.wait(timeout=30)


@pytest.fixture
def client():
    made = Client()
    yield made
    made.process.kill()
    made.process.wait()


def test_it_greets_first_and_ends_when_stdin_closes(client):
    greeting = messages.check_hello(client.next())
    assert greeting["facequery"] and greeting["device"] in ("cpu", "cuda", "mps")
    assert {"cancel", "hello", "ping", "shutdown", "echo"} <= set(greeting["methods"])
    assert client.close() == 0


def test_the_worker_that_ships_starts_without_heavy_libraries():
    code = (
        "import sys\nfrom facequery import worker\n"
        "assert not {'torch', 'cv2', 'numba', 'OpenImageIO', 'av'} & set(sys.modules)\nworker.main()"
    )
    client = Client(code)
    messages.check_hello(client.next())
    assert isinstance(client.call("ping"), Result) and client.close() == 0


def test_calls_are_answered_and_text_survives(client):
    words = {"path": 'a "b" \\ ü 面\n', "numbers": [1, 2.5, None, True]}
    assert client.call("echo", 5, **words) == Result(5, words)
    client.send(Request("echo", {"a": 1}, "text id"))
    assert client.answer("text id") == Result("text id", {"a": 1})


def test_printing_does_not_break_the_messages(client):
    assert client.call("noisy") == Result(1, "quiet")


def test_progress_and_log_lines_come_before_the_result(client):
    assert client.call("count", 3, to=40) == Result(3, 40)
    steps = [n.params for n in client.notes if n.method == "progress"]
    assert steps[0]["done"] == 1 and steps[-1]["done"] == 40 and 2 <= len(steps) < 40
    assert {s["id"] for s in steps} == {3} and any(n.method == "log" for n in client.notes)


def test_heartbeats_name_what_runs(client):
    client.send(Request("count", {"to": 100_000}, 9))
    while True:
        note = client.next()
        if isinstance(note, Request) and note.method == "heartbeat" and note.params["busy"] == [9]:
            break


def test_a_running_and_a_waiting_request_can_be_cancelled(client):
    client.send(Request("count", {"to": 100_000}, 1), Request("count", {"to": 5}, 2), Request("cancel", {"id": 2}, 3))
    first = client.answer()
    assert isinstance(first, Failure) and (first.id, first.kind) == (2, messages.CANCELLED)
    assert client.answer(3) == Result(3, {"cancelled": True})
    assert client.call("echo", 4, a=1) == Result(4, {"a": 1})  # quick methods do not wait for long ones
    client.send(Request("cancel", {"id": 1}, 5))
    answers = {m.id: m for m in (client.answer(), client.answer())}
    assert answers[5] == Result(5, {"cancelled": True})
    stopped = answers[1]
    assert isinstance(stopped, Failure) and stopped.kind == messages.CANCELLED
    client.send(Request("cancel", {"id": 77}, 6))
    assert client.answer(6) == Result(6, {"cancelled": False})
    assert client.call("count", 1, to=2) == Result(1, 2)  # the id is free again


def test_cancelling_does_not_wait_for_a_method_that_still_loads(client):
    client.send(Request("stubborn", {}, 1))
    while not client.next().params.get("busy"):  # a heartbeat that names it
        pass
    client.send(Request("cancel", {"id": 1}, 2))
    answers = {m.id: m for m in (client.answer(), client.answer())}
    assert answers[2] == Result(2, {"cancelled": True})
    assert isinstance(answers[1], Failure) and answers[1].kind == messages.CANCELLED
    client.send(Request("cancel", {"id": 1}, 3))
    assert client.answer(3) == Result(3, {"cancelled": True})  # and no second answer for 1


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("user", "FQ230"),
        ("memory", "FQ395"),
        ("gpu", "FQ395"),
        ("disk", "FQ396"),
        ("file", "FQ397"),
        ("bug", "FQ399"),
        ("exit", "FQ399"),
    ],
)
def test_errors_are_a_code_a_cause_and_a_next_step(client, kind, code):
    failure = client.call("wrong", kind=kind)
    assert isinstance(failure, Failure) and failure.code == code
    assert failure.cause.endswith(".") and failure.next_step.endswith(".") and "\n" not in failure.cause
    assert failure.kind == (messages.INTERNAL_ERROR if code == "FQ399" else messages.USER_ERROR)
    assert isinstance(client.call("ping", 2), Result)


def test_unknown_methods_used_ids_and_broken_imports(client):
    unknown = client.call("fly")
    assert isinstance(unknown, Failure) and unknown.kind == messages.METHOD_NOT_FOUND
    broken = client.call("absent", 2)
    assert isinstance(broken, Failure) and broken.code == "FQ399"
    client.send(Request("count", {"to": 100_000}, 3), Request("count", {"to": 1}, 3))
    used = client.answer(3)
    assert isinstance(used, Failure) and used.code == "FQ392"


def test_ten_thousand_broken_lines_get_an_answer_each_and_the_worker_lives(client):
    rng = np.random.default_rng(5)
    valid = messages.encode(Request("echo", {"a": [1, {"b": "ü"}]}, 1)).strip()
    shapes = [b"{", b"[]", b"7", b'"x"', b"\xff\xfe\x00", b"[" * 2000, b'{"jsonrpc":"2.0","method":"fly","id":1}',
              b'{"jsonrpc":"2.0","method":"echo","id":{}}', b'{"jsonrpc":"2.0","method":"echo","id":1,"params":[]}',
              b'{"jsonrpc":"2.0","id":1e999,"method":"echo"}', b'{"id":' + b"9" * 400 + b"}"]  # fmt: skip
    lines = []
    for i in range(10_000):
        if i % 2:
            line = bytearray(valid)
            for _ in range(int(rng.integers(1, 4))):
                line[rng.integers(len(line))] = rng.integers(1, 256)
            # Keep what is still a good echo, or a notification, out: only answers to faults are counted.
            line = bytearray(bytes(line).replace(b"\n", b"?").replace(b"\r", b"?").replace(b"2.0", b"2.1"))
        else:
            line = bytearray(shapes[int(rng.integers(len(shapes)))])
        lines.append(bytes(line) + b"\n")
    threading.Thread(target=client.send, args=lines, daemon=True).start()
    kinds = set()
    for _ in lines:
        failure = client.answer()
        assert isinstance(failure, Failure) and failure.cause
        kinds.add(failure.kind)
    assert kinds >= {-32700, -32600, -32601, -32602}
    assert isinstance(client.call("ping", 2), Result)


def test_a_line_without_end_is_dropped(client):
    threading.Thread(target=client.send, args=(b"x" * (messages.LONGEST_LINE + 50) + b"\n",), daemon=True).start()
    failure = client.answer()
    assert isinstance(failure, Failure) and failure.kind == messages.PARSE_ERROR
    assert isinstance(client.call("ping", 2), Result)


def test_shutdown_ends_it_even_when_a_method_does_not_listen(client):
    client.send(Request("stubborn", {}, 1))
    assert client.call("shutdown", 2) == Result(2, {})
    assert client.process.wait(timeout=30) == 0


def test_hello_proves_that_paths_lead_to_the_same_files(client, tmp_path: Path):
    nonce = tmp_path / "nonce ü.txt"
    nonce.write_text("4711", encoding="utf-8")
    answer = client.call("hello", nonce=str(nonce))
    assert isinstance(answer, Result) and answer.result["nonce"] == "4711" and answer.result["device"]
    failure = client.call("hello", 2, nonce=str(tmp_path / "none"))
    assert isinstance(failure, Failure) and failure.code == "FQ398"


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_in_the_terminal_is_not_meant_for_it(client):
    client.call("ping")
    client.process.send_signal(signal.SIGINT)
    assert isinstance(client.call("ping", 2), Result) and client.close() == 0


def test_closing_stdin_ends_it_in_the_middle_of_a_request(client):
    client.send(Request("count", {"to": 100_000}, 1))
    client.next()
    assert client.close() == 0
