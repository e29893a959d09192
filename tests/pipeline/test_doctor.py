"""`facequery doctor` on a whole installation and on broken ones: what it says, and its exit code."""

import json
import shutil
from collections import namedtuple

import pytest
from facequery.cli import main
from facequery.errors import UserError
from facequery.pipeline import doctor


@pytest.fixture
def quick(monkeypatch):
    """Without the two checks that load networks or start a process."""
    monkeypatch.setattr(doctor, "_detect", lambda: "answers")
    monkeypatch.setattr(doctor, "_greeting", lambda: "greets")


def told(*words: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["doctor", *words])
    return int(stop.value.code or 0)


def findings(capsys, code: int) -> dict[str, dict]:
    assert told("--json") == code
    return {one["what"]: one for one in json.loads(capsys.readouterr().out)}


def test_a_whole_installation(capsys):
    """Everything, the self-test on the sample and the worker too."""
    found = findings(capsys, 0)
    expected = {"FaceQuery", "Python", "torch", "processor", "weights/landmarks.safetensors", "h264 encoder",
                "video decoders", "pictures", "free disk here", "weights", "face on the sample",
                "worker for Blender"}  # fmt: skip
    assert expected <= set(found)
    assert all(one["good"] for one in found.values() if one["needed"])
    assert "68 landmarks" in found["face on the sample"]["found"] and "cpu" in found["worker for Blender"]["found"]


def test_every_finding_that_is_not_good_says_what_to_do(capsys, quick, monkeypatch):
    disk = namedtuple("disk", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: disk(1, 1, 1_000_000))
    monkeypatch.setattr(doctor, "_VIDEO", ("h264", "no such codec"))
    monkeypatch.setitem(doctor._OPTIONAL, "missing", ("no_such_module", "Install it."))
    found = findings(capsys, 1)
    assert not found["free disk here"]["good"] and not found["free disk here"]["needed"]
    assert "no such codec" in found["video decoders"]["found"] and found["video decoders"]["needed"]
    assert all(one["advice"] for one in found.values() if not one["good"])
    assert told() == 1
    assert "bad" in capsys.readouterr().out


def test_narrow_terminals_and_brackets_leave_nothing_out(capsys, quick, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    place = "/a/folder/of/[many]/words/" + "x" * 90 + "/weights.safetensors"
    monkeypatch.setattr(doctor, "_file", lambda name: doctor.Finding(name, place, False, "Get [it] again."))
    assert told() == 1
    lines = [line.split("│") for line in capsys.readouterr().out.splitlines()]
    found = "".join(cells[3].strip() for cells in lines if len(cells) == 5)
    assert found.count(place) == found.count("Get [it] again.") == len(doctor._FILES)


def test_a_library_that_does_not_load_ends_the_examination_there(capsys, quick, monkeypatch):
    monkeypatch.setitem(doctor._LIBRARIES, "scipy", "no_such_module")
    found = findings(capsys, 1)
    assert "install.py" in found["scipy"]["advice"] and "weights" not in found


def test_a_missing_file_and_a_broken_check(capsys, quick, monkeypatch):
    real = doctor.asset

    def asset(name: str):
        if name == "head/bones.npz":
            raise UserError("There is no file head/bones.npz.")
        return real(name)

    def broken() -> str:
        raise ValueError("a picture that was written reads otherwise")

    monkeypatch.setattr(doctor, "asset", asset)
    monkeypatch.setattr(doctor, "_exr", broken)
    found = findings(capsys, 1)
    assert not found["head/bones.npz"]["good"] and "otherwise" in found["EXR, colour"]["found"]
    assert "face on the sample" not in found  # of no use before the rest is mended


def test_an_accelerator_that_computes_wrongly_is_not_needed(capsys, quick, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda i=0: "A card")
    found = findings(capsys, 0)
    assert not found["cuda:0"]["good"] and "--device cpu" in found["cuda:0"]["advice"]
