"""Job documents: complete after reading, relative on disk, refused in one sentence."""

import contextlib
import json
import os
from pathlib import Path

import pytest
from facequery_protocol import job
from facequery_protocol.errors import ProtocolError
from hypothesis import given
from hypothesis import strategies as st


def document(**request):
    return {"schema": job.SCHEMA, "version": 1, "request": {"shots": ["/plates/a b/ü.####.exr"], **request}}


def test_missing_settings_get_their_defaults_and_unknown_ones_stay():
    found = job.validated(document(later=3))["request"]
    assert found["layouts"] == ["ibug68"] and found["frames"] is None and found["later"] == 3


def test_a_job_moves_with_its_plates(tmp_path):
    folder = tmp_path / "shows" / "job ü" / "v001"
    folder.mkdir(parents=True)
    shots = [str(tmp_path / "shows" / "plates" / "shot.####.exr")]
    job.write_job(folder, document() | {"request": {"shots": shots, "layouts": ["skull", str(folder / "own.json")]}})
    stored = json.loads((folder / "job.json").read_text(encoding="utf-8"))["request"]
    assert stored["shots"] == ["../../plates/shot.####.exr"] and stored["layouts"] == ["skull", "own.json"]
    assert job.read_job(folder)["request"]["shots"] == shots
    os.rename(tmp_path / "shows", tmp_path / "archive")
    moved = job.read_job(tmp_path / "archive" / "job ü" / "v001")["request"]
    assert moved["shots"] == [str(tmp_path / "archive" / "plates" / "shot.####.exr")]
    assert [p.name for p in (tmp_path / "archive" / "job ü" / "v001").iterdir()] == ["job.json"]


@pytest.mark.parametrize(
    "request_",
    [{"shots": []}, {"shots": "a.mp4"}, {"shots": [""]}, {"frames": [5, 3]}, {"frames": [1]}, {"frames": ["a", "b"]},
     {"face": 0}, {"face": True}, {"regions": ["1,2,3"]}, {"regions": ["1,2,0,4"]}, {"regions": [5]},
     {"cameras": ["a", "b"]}, {"fits": ["nose"]}, {"exposure": "dark"}, {"exposure": float("nan")}, {"fps": 0},
     {"allow_gaps": 1}, {"colorspace": 7}, {"actor": ""}, {"weights": None}, {"layouts": [None]}, {"shots": ["a\0b"]}],
)  # fmt: skip
def test_bad_settings_are_refused_in_one_sentence(request_):
    with pytest.raises(ProtocolError) as error:
        job.validated(document(**request_))
    assert "\n" not in str(error.value) and str(error.value).endswith(".")


@pytest.mark.parametrize("bad", [None, [], {}, {"schema": "x"}, {"schema": job.SCHEMA}, document() | {"version": 2},
                                 document() | {"version": True}, document() | {"request": []}])  # fmt: skip
def test_what_is_no_job_is_refused(bad):
    with pytest.raises(ProtocolError):
        job.validated(bad)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["shots", *job._DEFAULTS]), json_values))
def test_anything_is_read_or_refused(request_):
    with contextlib.suppress(ProtocolError):
        job.validated(document(**request_))


@pytest.mark.parametrize("text", ["", "{", "\x00", "[" * 100_000, '{"schema": "facequery.job"}'])
def test_broken_files_are_named(tmp_path, text):
    (tmp_path / "job.json").write_text(text)
    with pytest.raises(ProtocolError, match=r"job\.json"):
        job.read_job(tmp_path)
    with pytest.raises(ProtocolError, match="no job folder"):
        job.read_job(tmp_path / "nothing")


def test_regions():
    assert job.check_region("10,20,30.5,40") == (None, (10, 20, 30.5, 40))
    assert job.check_region("1001:10,20,30,40") == (1001, (10, 20, 30, 40))


def test_paths_may_not_climb_out(tmp_path):
    assert job.inside("a/b.npy", tmp_path) == tmp_path.resolve() / "a" / "b.npy"
    (tmp_path / "link").symlink_to("/")
    for path in ("../x", "/etc/passwd", "a/../../x", "link/etc", "a\0b"):
        with pytest.raises(ProtocolError):
            job.inside(path, tmp_path)


def test_the_protocol_needs_the_standard_library_and_numpy_only():
    import ast
    import sys

    package = Path(job.__file__).parent
    for file in package.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module]
            for name in names:
                assert name.split(".")[0] in {*sys.stdlib_module_names, "numpy", "facequery_protocol"}, (file, name)
