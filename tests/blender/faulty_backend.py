"""A worker of the standard library alone that greets and then misbehaves in one way.

Run as `python faulty_backend.py MODE worker`.

What it is asked for stands in the file REQUESTS of the environment, a line each, so that a test sees what arrived.
"""

import json
import os
import signal
import sys
import threading
import time

mode = sys.argv[1]
lock = threading.Lock()
POINT = {
    "name": "1", "id": "1", "kind": "skin", "position": [0.02, 0.03, 0.03], "triangle": -1,
    "barycentric": [0, 0, 0], "offset": [0, 0, 0],
}  # fmt: skip
GOOD = {"points": [POINT], "marks": [], "notes": []}


def say(**message):
    with lock:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        sys.stdout.flush()


def raw(data):
    with lock:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def beat():
    while True:
        say(method="heartbeat", params={"seconds": 1.0, "busy": []})
        time.sleep(0.3)


def answer(number):
    if mode == "dies":
        raw(b'{"jsonrpc":"2.0","id":%d,"result":{"points"' % number)
        print("out of memory, perhaps", file=sys.stderr, flush=True)
        os._exit(9)
    if mode == "hangs":
        os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(3600)  # another thread may take the signal, and this one come as far as the answer
    if mode == "floods":
        for i in range(60_000):
            say(method="log", params={"id": number, "level": "info", "text": f"line {i} of very many"})
            say(method="progress", params={"id": number, "step": "Flood", "done": i, "total": 60_000})
    if mode == "babbles":
        raw(b"x" * 9_000_000 + b"\n\xff\xfe\x00\n[]\n{}\nnull\n" + b"[" * 5000 + b"\n")
        say(id=number + 1000, result=GOOD)
        say(id=str(number), result=GOOD)
        say(id=None, error={"code": -32700, "message": "of no request"})
        for progress in ({"done": "many", "total": {}}, {"done": -3, "total": True}, {"step": [], "done": 1e300}):
            say(method="progress", params={"id": number, **progress})
        say(method="progress", params={"id": {}, "done": 1})
        say(method="hello", params={"protocol": 1, "facequery": "0.1.0"})
        say(method="of the future", params={})
    if mode == "late":
        time.sleep(1.0)
    if mode == "nonsense":
        return say(id=number, result={"points": [{"position": "somewhere"}]})
    say(id=number, result=GOOD)
    if mode == "twice":
        say(id=number, result=GOOD)


def main():
    if mode == "dies_before_greeting":
        print("no such library, perhaps", file=sys.stderr, flush=True)
        sys.exit(3)
    if mode == "greets_late":
        time.sleep(1.5)
    methods = ["hello", "job.run"] if mode == "lacks" else ["hello", "about", "pick.points", "job.run"]
    release = "9.9.9" if mode == "other_release" else "0.1.0"
    protocol = 99 if mode == "other_protocol" else 1
    say(method="hello", params={"protocol": protocol, "facequery": release, "device": "cpu", "methods": methods})
    threading.Thread(target=beat, daemon=True).start()
    if mode == "deaf":
        time.sleep(600)
    for line in sys.stdin:
        message = json.loads(line)
        with open(os.environ["REQUESTS"], "a", encoding="utf-8") as file:
            file.write(f"{mode} {message['method']}\n")
        if message["method"] == "cancel":
            if mode != "late":  # which answers all the same
                say(id=message["params"]["id"], error={"code": -32001, "message": "cancelled"})
            say(id=message["id"], result={})
        elif message["method"] == "hello":
            say(id=message["id"], result={"facequery": release})
        elif mode == "waits":
            pass
        else:
            threading.Thread(target=answer, args=(message["id"],), daemon=True).start()


main()
