"""What clients ask of the worker, with anything for parameters: an error object each, and nothing outside the job."""

import json
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from facequery.pipeline.job import JobRequest, open_job
from facequery.pipeline.lock import job_lock
from facequery.pipeline.run import run_job
from facequery.worker import default_registry
from facequery_protocol.messages import Failure, Result
from worker_here import WorkerHere

METHODS = [name for name in default_registry().names if name != "about"]
SOURCES = ("methods.py", "export_methods.py", "app_methods.py", "fit_methods.py")


def parameters() -> list[str]:
    """Every word that could be a parameter of a method."""
    import facequery.pipeline

    home = Path(facequery.pipeline.__file__).parent
    text = "".join((home / name).read_text(encoding="utf-8") for name in SOURCES)
    return sorted(set(re.findall(r'"([a-z_]+)"', text)))


def hostile(home: Path) -> list[object]:
    return [None, True, False, 0, -1, 10**18, -(10**18), 1e308, 0.5, "", "x", "\0", "../../etc/passwd", "/etc/passwd",
            "a" * 5000, "\ud800", "\N{RIGHT-TO-LEFT OVERRIDE}", [], [1], ["x"], [None], [[1, 2]], [[[]]], {}, {"a": 1},
            {"schema": 1}, [1e308] * 3, str(home / "empty"), str(home / "a file"), str(home), "/dev/null"]  # fmt: skip


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def home(tmp_path) -> Path:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a file").write_text("x")
    (tmp_path / "no job").mkdir()
    (tmp_path / "no job" / "job.json").write_text("{}")
    return tmp_path


NO_NUMBERS = (b"NaN", b"-Infinity", b"1e", b"9" * 400, b"0x7", b"00")
WRONG: dict[str, list[Any]] = {
    "id": [[], {}, 1.5, True, "x" * 201, 10**30],
    "method": [7, None, "", [], {}, "x" * 201],
    "params": [[], 7, "x", None, True],
    "jsonrpc": [2.0, "2", None, []],
}


def bad_line(dice: random.Random, words: list[str], values: list[object]) -> bytes:
    """A line that deserves an error: no JSON, no message, no such method, or nothing that a method could work on."""
    kind = dice.choice(["cut", "bytes", "utf8", "type", "number", "nesting", "unknown", "parameters", "parameters"])
    params = {word: dice.choice(values) for word in dice.sample(words, dice.randint(0, 6))}
    if dice.random() < 0.9:
        params["folder"] = dice.choice(values)
    method = dice.choice([name for name in METHODS if name != "export.list"])  # which answers whatever it is given
    document: dict[str, Any] = {"jsonrpc": "2.0", "id": dice.choice([1, "a", -(2**53)])}
    document |= {"method": method, "params": params}
    if kind == "type":
        field = dice.choice(sorted(WRONG))
        document[field] = dice.choice(WRONG[field])
    elif kind == "nesting":
        document["params"] = {"deep": "HOLE"}
    elif kind == "number":
        document["params"] = {"large": "HOLE"}
    elif kind == "unknown":
        document["method"] = dice.choice(["", "x.", "__class__.", "os."]) + method.upper()
    line = json.dumps(document).encode()
    if kind == "cut":
        line = line[: dice.randrange(1, len(line))]
    elif kind == "bytes":
        line = line.replace(b"2.0", b"2.1")
        for _ in range(dice.randint(1, 5)):
            place = dice.randrange(len(line))
            line = line[:place] + bytes([dice.choice(b'{}[]":,\\0xe\x00\x7f')]) + line[place + 1 :]
        line = line.replace(b"2.0", b"2.1")
    elif kind == "utf8":
        place = dice.randrange(len(line))
        line = line[:place] + dice.choice([b"\xff", b"\xc3(", b"\xed\xa0\x80", b"\xf8"]) + line[place:]
    elif kind == "nesting":
        depth = dice.choice([50, 500, 5000])
        line = line.replace(b'"HOLE"', b"[" * depth + b"]" * (depth - dice.randint(0, 1)))
    elif kind == "number":
        line = line.replace(b'"HOLE"', dice.choice(NO_NUMBERS))
    return line + b"\n"


def test_ten_thousand_bad_lines_get_an_error_each(home):
    """Also: nothing is written, and none of them is a fault of the program's."""
    before, dice, words = files(home), random.Random(1), parameters()
    values = [*hostile(home), *[str(home / "no job"), str(home / "no job" / ".." / ".." / "..")] * 5]
    kinds: Counter[int] = Counter()
    with WorkerHere() as worker:
        for _ in range(10_000):
            answer = worker.answer(line := bad_line(dice, words, values))
            assert isinstance(answer, Failure) and answer.code != "FQ399", (line, answer)
            assert answer.cause and "\n" not in answer.cause
            kinds[answer.kind] += 1
        assert isinstance(worker.call("ping"), Result)
    assert min(kinds[kind] for kind in (-32700, -32600, -32601, -32602, -32000)) > 100
    assert files(home) == before


def test_one_hostile_parameter_of_a_job_that_is_finished(home, sequence, networks):
    run_job(JobRequest(shots=(sequence(count=3),), preview=False), home / "job")
    before, dice, words, values = files(home), random.Random(2), parameters(), hostile(home)
    with WorkerHere() as worker:
        for _ in range(150):
            params = {word: dice.choice(values) for word in dice.sample(words, dice.randint(2, 5))}
            params = {"settings": {"shape_spread": 0, "iterations": 2}, **params, "folder": str(home / "job")}
            answer = worker.call(method := dice.choice(["export.write", "report.write", "fit.run"]), **params)
            assert isinstance(answer, Result) or answer.code != "FQ399", (method, params, answer)
    after = files(home)
    anew = [name for name in before if "visible" in name or name == "job/tracks.npz"]  # a fit says anew what is seen
    assert {name: after[name] for name in before if name not in anew} == {n: before[n] for n in before if n not in anew}
    assert all(name.startswith(("job/", "empty/")) for name in after if name not in before)


def test_names_that_climb_out_of_the_job(home, sequence):
    """They are refused before any network is loaded."""
    open_job(home / "job", JobRequest(shots=(sequence(count=1),), preview=False))
    (home / "job" / "link").symlink_to(home / "empty")
    params = {"folder": str(home / "job"), "picture": str(home / "plate" / "shot.1001.png")}
    before = files(home)
    with WorkerHere() as worker:
        for name in ("../out", str(home / "out"), "a/../../out", "", ".", "link/out", "a\0b"):
            for answer in (
                worker.call("project.run", **params, name=name),
                worker.call("segment.run", folder=params["folder"], name=name),
            ):
                assert isinstance(answer, Failure) and answer.code in ("FQ325", "FQ620"), (name, answer)
    assert files(home) == before


def test_views_that_a_job_does_not_have(home, sequence, networks):
    run_job(JobRequest(shots=(sequence(count=1),), preview=False), home / "job")
    marks = [{"name": "a", "frame": 1001, "x": 5, "y": 5}]
    with WorkerHere() as worker:
        for view in (0, -1, 2, True, 10**15, "1"):
            for method in ("pick.points", "refine.run", "report.write", "stmap.write", "export.write"):
                answer = worker.call(method, folder=str(home / "job"), view=view, marks=marks, format="json")
                assert isinstance(answer, Failure) and answer.code in ("FQ391", "FQ507"), (method, view, answer)


NAMES = ["two words", 'it\'s "quoted"', "面 ünïcode", "per%cent #### $HOME", "-rf", "a;b&c|d", "new\nline"]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_need_care_go_through_the_worker(tmp_path, sequence, networks, name):
    place = tmp_path / name
    pattern = Path(sequence(count=3))
    place.mkdir()
    pattern.parent.rename(place / name)
    open_job(place / "job", JobRequest(shots=(str(place / name),), preview=False))
    with WorkerHere() as worker:
        answer = worker.call("job.run", folder=str(place / "job"))
        assert isinstance(answer, Result), answer
        assert answer.result["folder"] == str(place / "job") and "tracks.json" in answer.result["files"]
        written = worker.call("export.write", folder=str(place / "job"), format="json")
        assert isinstance(written, Result) and Path(written.result["files"][0]).is_file()


def test_the_second_worker_on_a_job_refuses(tmp_path, sequence, networks):
    job = tmp_path / "job"
    open_job(job, JobRequest(shots=(sequence(count=3),), preview=False))
    with WorkerHere() as worker:
        with job_lock(job):
            refused = worker.call("job.run", folder=str(job))
            assert isinstance(refused, Failure) and refused.code == "FQ372" and "Another process" in refused.cause
            assert not (job / "tracks.json").exists()
        assert isinstance(worker.call("job.run", folder=str(job)), Result)


def test_a_job_document_of_any_kind(tmp_path, sequence, networks):
    """job.json with one setting replaced by something else: an error that says so, or a job that runs."""
    pattern = sequence(count=2)
    open_job(tmp_path / "job", JobRequest(shots=(pattern,), preview=False))
    file = tmp_path / "job" / "job.json"
    good = json.loads(file.read_text(encoding="utf-8"))
    dice, values = random.Random(3), hostile(tmp_path)
    with WorkerHere() as worker:
        for _ in range(60):
            document = json.loads(json.dumps(good))
            place = document["request"] if dice.random() < 0.85 else document
            place[dice.choice(sorted(place))] = dice.choice(values)
            file.write_text(json.dumps(document), encoding="utf-8")
            answer = worker.call("job.run", folder=str(tmp_path / "job"))
            assert isinstance(answer, Result) or answer.code != "FQ399", (document, answer)
