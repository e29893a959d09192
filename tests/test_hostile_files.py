"""Result files that are damaged, empty, or something else altogether: one sentence each, and nothing is unpickled."""

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from facequery.detection.tracks import Tracks
from facequery.errors import UserError
from facequery.fitting.results import FaceFit, RigidFit
from facequery.head.actor import Actor
from facequery.head.model import HeadModel
from facequery.pipeline.find import load_path
from hypothesis import given, settings
from hypothesis import strategies as st


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('unpickled')",))


def archive(name: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr(name, content)
    return out.getvalue()


def pickled_array() -> bytes:
    out = io.BytesIO()
    np.save(out, np.array([Bomb()], dtype=object), allow_pickle=True)
    return out.getvalue()


_SHAPE = b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999,), }"
HUGE = (b"\x93NUMPY\x01\x00v\x00" + _SHAPE).ljust(127) + b"\n"
KINDS = {
    "empty": b"",
    "text": b"hello",
    "a zip's beginning": b"PK\x03\x04" + bytes(40),
    "an array's beginning": b"\x93NUMPY\x01\x00",
    "a pickle": pickle.dumps({"a": 1}),
    "a zip without arrays": archive("readme.txt", b"x"),
    "an archive of a pickle": archive("vertices.npy", pickled_array()),
    "an archive that claims to be huge": archive("vertices.npy", HUGE),
}
READERS = {
    "face": FaceFit.load, "jaw": RigidFit.load, "actor": Actor.load, "faces": load_path, "head": HeadModel.load,
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reader", READERS)
def test_every_reader_says_so_in_words(reader, kind, tmp_path):
    path = tmp_path / f"{reader}.npz"
    path.write_bytes(KINDS[kind])
    with pytest.raises(UserError):
        READERS[reader](path)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["", "PK\x03\x04", "\x93NUMPY\x01\x00"]))
def test_any_bytes(tmp_path_factory, data, start):
    path: Path = tmp_path_factory.mktemp("any") / "face.npz"
    path.write_bytes(start.encode("latin-1") + data)
    with pytest.raises(UserError):
        FaceFit.load(path)


@pytest.mark.parametrize("kind", ["empty", "text", "an array's beginning", "a pickle"])
def test_a_damaged_chunk_of_tracks(kind, tmp_path, sequence, networks):
    from facequery.pipeline.job import JobRequest
    from facequery.pipeline.run import run_job

    run_job(JobRequest(shots=(sequence(count=3),), preview=False), tmp_path / "job")
    (tmp_path / "job" / "tracks" / "xy_0000.npy").write_bytes(KINDS[kind])
    with pytest.raises(UserError, match="xy_0000"):
        Tracks.load(tmp_path / "job")
