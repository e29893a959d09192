"""Files that are damaged, empty, hostile, or something else altogether: one sentence each, nothing is unpickled, and
sizes are looked at before memory is taken.
"""

import io
import json
import os
import pickle
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from facequery.apps.prints import Print
from facequery.apps.refine import Refinement
from facequery.detection.tracks import Tracks
from facequery.errors import DAMAGED, UserError
from facequery.files import check_shapes, load_arrays, save_arrays
from facequery.fitting.results import FaceFit, RigidFit
from facequery.head.actor import Actor
from facequery.head.model import HeadModel
from facequery.pipeline.find import load_path
from facequery_protocol.messages import Failure
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hn
from worker_here import WorkerHere


def free_memory() -> float:
    """Bytes, as far as that is told."""
    if "SC_AVPHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return np.inf
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


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
    "print": lambda path: Print.load(path, 4), "refinement": Refinement.load,
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reader", READERS)
def test_every_reader_says_so_in_words(reader, kind, tmp_path):
    path = tmp_path / f"{reader}.npz"
    path.write_bytes(KINDS[kind])
    with pytest.raises(UserError):
        READERS[reader](path)


PRINT = {"version": np.array(1), "picture": np.zeros((5, 6, 4), np.float32), "corners": np.zeros((2, 3, 2), np.float32),
         "used": np.array([True, False, True, False])}  # fmt: skip
REFINEMENT = {"controls": np.array([3, 8]), "shift": np.zeros((5, 2, 2), np.float32), "score": np.zeros((5, 2)),
              "references": np.array([0])}  # fmt: skip


@pytest.mark.parametrize("arrays,reader", [(PRINT, "print"), (REFINEMENT, "refinement")], ids=["print", "refinement"])
def test_arrays_of_another_kind_or_shape(arrays, reader, tmp_path):
    path = tmp_path / "own.npz"
    save_arrays(path, **arrays)
    assert READERS[reader](path)
    for name in arrays:
        others = [np.array("x"), np.zeros((7, 7)), np.array([1j]), np.full_like(arrays[name], 99)[..., None], None]
        for other in others:
            save_arrays(path, **{key: value for key, value in {**arrays, name: other}.items() if value is not None})
            if not (name == "version" and other is None):  # files of the first version have no number
                with pytest.raises(UserError):
                    READERS[reader](path)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["", "PK\x03\x04", "\x93NUMPY\x01\x00"]))
def test_any_bytes(tmp_path_factory, data, start):
    path: Path = tmp_path_factory.mktemp("any") / "face.npz"
    path.write_bytes(start.encode("latin-1") + data)
    with pytest.raises(UserError):
        FaceFit.load(path)


@pytest.mark.parametrize("kind", [*KINDS, "an array that claims to be huge", "a pickled array"])
def test_a_damaged_chunk_of_tracks(kind, tracked):
    file = tracked / "tracks" / "xy_0000.npy"
    good = file.read_bytes()
    try:
        file.write_bytes(POINTS[kind])
        with pytest.raises(UserError, match="xy_0000"):
            Tracks.load(tracked)
    finally:
        file.write_bytes(good)


# ---- arrays


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["a", "b c", "ü"]),
        st.sampled_from(["f4", "i8", "?", "U3", ">f8"]).flatmap(
            lambda kind: hn.arrays(kind, hn.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
        ),
        min_size=1,
    ),
    st.booleans(),
)
def test_arrays_come_back_as_they_were(tmp_path_factory, arrays, compressed):
    path = tmp_path_factory.mktemp("arrays") / "some.npz"
    if "U3" in {a.dtype.str[1:] for a in arrays.values()}:
        arrays = {name: np.asfortranarray(a) for name, a in arrays.items()}
    save_arrays(path, compressed, **arrays)
    back = load_arrays(path)
    assert list(back) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array)
        assert back[name].dtype == array.dtype and back[name].shape == array.shape
        back[name][...] = back[name]  # may be written to


@pytest.mark.parametrize("shape", ["(99999999999999,)", "(-1,)", "(2**70,)", "(1000000, 1000000)", "(3,)", "('a',)"])
def test_a_header_that_promises_more_than_there_is(tmp_path, shape):
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    content = b"\x93NUMPY\x01\x00v\x00" + header.encode() + bytes(16)
    (tmp_path / "a.npz").write_bytes(archive("a.npy", content))
    tracemalloc.start()
    with pytest.raises(DAMAGED):
        load_arrays(tmp_path / "a.npz")
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_a_small_file_that_unpacks_to_a_huge_one(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as file, file.open("a.npy", "w") as entry:
        np.lib.format.write_array_header_1_0(entry, {"descr": "|u1", "fortran_order": False, "shape": (300_000_000,)})
        for _ in range(300):
            entry.write(bytes(1_000_000))
    assert (tmp_path / "bomb.npz").stat().st_size < 1_000_000
    tracemalloc.start()
    with pytest.raises(ValueError, match="more than"):
        load_arrays(tmp_path / "bomb.npz")
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_a_wrong_checksum(tmp_path):
    save_arrays(tmp_path / "a.npz", a=np.arange(50.0))
    data = bytearray((tmp_path / "a.npz").read_bytes())
    data[200] ^= 1
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(zipfile.BadZipFile):
        load_arrays(tmp_path / "a.npz")


def test_shapes():
    arrays = {"v": np.zeros((5, 3)), "t": np.array([[0, 1, 4]]), "n": np.array(["x"])}
    check_shapes(arrays, v="V 3 f", t="T 3 i<V", n="T U", absent="9 9 f")
    wrong = [{"v": "V 2 f"}, {"v": "V 3 i"}, {"v": "V f"}, {"t": "V 3 i", "v": "V 3 f"}, {"n": "T f"}]
    for patterns in wrong:
        with pytest.raises(ValueError, match="is not"):
            check_shapes(arrays, **patterns)
    with pytest.raises(ValueError, match='"t"'):
        check_shapes({"v": np.zeros((4, 3)), "t": arrays["t"]}, v="V 3 f", t="T 3 i<V")


# ---- tracks and layouts

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def tracked(tmp_path_factory) -> Path:
    from facequery.head.layouts import load_layout

    folder = tmp_path_factory.mktemp("tracked")
    queries = load_layout("ibug68")
    xy, ones = np.zeros((3, 68, 2), np.float32), np.ones((3, 68), np.float32)
    Tracks(xy, ones, ones, np.arange(3), queries, {"ibug68": (0, 68)}, 32, 24, 24.0).save(folder)
    return folder


@settings(max_examples=60, deadline=None)
@given(data=st.data(), value=_json)
def test_tracks_with_one_entry_of_the_header_replaced(tracked, data, value):
    file = tracked / "tracks.json"
    good = file.read_text(encoding="utf-8")
    document = json.loads(good)
    document[data.draw(st.sampled_from(sorted(document)))] = value
    try:
        file.write_text(json.dumps(document), encoding="utf-8")
        try:
            loaded = Tracks.load(tracked)
        except UserError as error:
            assert "track" in str(error).lower()
        else:
            assert loaded.xy.shape == (3, 68, 2)
    finally:
        file.write_text(good, encoding="utf-8")


@settings(max_examples=60, deadline=None)
@given(data=st.data(), value=_json)
def test_layouts_with_one_entry_replaced(tmp_path_factory, data, value):
    from facequery.assets import asset
    from facequery_protocol.layout import LayoutError, read_layout, validated

    document = json.loads((asset("layouts") / "ibug68.json").read_text(encoding="utf-8"))
    key = data.draw(st.sampled_from(sorted(document)))
    place = document
    if isinstance(document[key], list) and data.draw(st.booleans()):
        place, key = document[key], data.draw(st.integers(0, len(document[key]) - 1))
    place[key] = value
    path = tmp_path_factory.mktemp("layout") / "own.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    try:
        assert validated(read_layout(path))
    except LayoutError as error:
        assert "own.json" in str(error)


# ---- points that the worker is given


def saved(array: object) -> bytes:
    out = io.BytesIO()
    np.save(out, np.asarray(array))
    return out.getvalue()


POINTS = KINDS | {
    "an array that claims to be huge": HUGE, "a pickled array": pickled_array(), "no points": saved(np.zeros((0, 3))),
    "not in threes": saved(np.zeros(7)), "texts": saved(["x"] * 9), "NaN": saved(np.full((9, 3), np.nan)),
    "one place": saved(np.zeros((9, 3))), "a plane": saved(np.mgrid[:3, :3, :1].reshape(3, 9).T),
}  # fmt: skip


@pytest.mark.parametrize("kind", POINTS)
def test_points_for_volume_sampling(kind, tmp_path):
    (tmp_path / "points.npy").write_bytes(POINTS[kind])
    paths = {"skin": str(tmp_path / "points.npy"), "bone": str(tmp_path / "points.npy"), "out": str(tmp_path / "o.npy")}
    with WorkerHere() as worker:
        answer = worker.call("sample.volume", **paths)
    assert isinstance(answer, Failure) and answer.code in ("FQ391", "FQ165"), answer
    assert not (tmp_path / "o.npy").exists()


# ---- weights and checkpoints


def weights_file(path: Path, card: object, tensors=None) -> Path:
    import torch
    from safetensors.torch import save_file

    text = card if isinstance(card, str) else json.dumps(card)
    save_file(tensors or {"a": torch.zeros(2)}, path, metadata={"card": text})
    return path


HUGE_NETWORK = {"kind": "landmarks", "architecture": {"hidden": 10**6, "descriptor": 10**6}}
CARDS = [
    HUGE_NETWORK, {"kind": "landmarks", "architecture": {"input_size": 10**6}}, {"kind": "landmarks"}, [], 3, "{",
    {"kind": "landmarks", "architecture": {"encoder": "os.system"}},
    {"kind": "dense", "architecture": {"points": 10**9}},
    {"kind": "landmarks", "architecture": {"hidden": -5}}, {"kind": "landmarks", "architecture": {"refine": 10**9}},
    {"kind": "landmarks", "architecture": {"refine": 1, "blocks": 10**9}},
    {"kind": "landmarks", "architecture": {"refine": 1, "anchors": 10**9}},
    {"kind": "landmarks", "architecture": []}, {"kind": ["x"], "architecture": {}}, "[" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("card", CARDS, ids=lambda card: str(card)[:40])
def test_weights_whose_card_is_hostile(tmp_path, card):
    from facequery.models.weights import load_landmark_net

    with pytest.raises(UserError, match=r"own\.safetensors"):
        load_landmark_net(weights_file(tmp_path / "own.safetensors", card))


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 2**64 - 1))
def test_any_bytes_as_weights(tmp_path_factory, data, length):
    from facequery.models.weights import load_weights

    path = tmp_path_factory.mktemp("weights") / "own.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + data)
    with pytest.raises(UserError):
        load_weights(path)


def test_checkpoints_are_not_unpickled(tmp_path):
    import torch
    from facequery.training.checkpoints import load_checkpoint

    torch.save({"state": Bomb()}, tmp_path / "zip.pt")
    torch.save({"state": Bomb()}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Bomb()))
    (tmp_path / "text.pt").write_text("hello")
    (tmp_path / "empty.pt").write_bytes(b"")
    for name in ("zip", "old", "plain", "text", "empty"):
        with pytest.raises(UserError, match="damaged"):
            load_checkpoint(tmp_path / f"{name}.pt")


# ---- pictures at the ends of what there is


def test_a_picture_of_one_pixel_goes_through_the_command(tmp_path, networks, capsys):
    import cv2
    from facequery.cli import main

    cv2.imwrite(str(tmp_path / "dot.0001.png"), np.zeros((1, 1, 3), np.uint8))
    with pytest.raises(SystemExit) as stop:
        main(["track", str(tmp_path / "dot.####.png"), "--out", str(tmp_path / "job")])
    assert stop.value.code == 2 and "No face was found" in capsys.readouterr().err


@pytest.mark.skipif(free_memory() < 6e9, reason="it takes 3 GB")
def test_a_grey_picture_of_16384_pixels_a_side_goes_through_the_command(tmp_path):
    """A face of 3,000 pixels in it, in a process of its own: its memory is given back."""
    import cv2
    from facequery.assets import asset

    face = cv2.imread(str(asset("sample") / "plate" / "shot.1001.jpg"), cv2.IMREAD_GRAYSCALE)
    face = cv2.resize(face, None, fx=6, fy=6)
    picture = np.full((16384, 16384), 90, np.uint8)
    picture[9000 : 9000 + len(face), 8000 : 8000 + face.shape[1]] = face
    cv2.imwrite(str(tmp_path / "wall.0007.jpg"), picture)
    command = [sys.executable, "-m", "facequery", "track", "wall.0007.jpg", "--no-preview", "--out", "job"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    tracks = Tracks.load(tmp_path / "job")
    assert (tracks.width, tracks.height, tracks.frames.tolist()) == (16384, 16384, [7])
    inside = (tracks.xy[0] > [8000, 9000]) & (tracks.xy[0] < [8000 + face.shape[1], 9000 + len(face)])
    assert inside.all() and np.ptp(tracks.xy[0, :, 0]) > 500


def test_a_picture_that_says_it_is_enormous(tmp_path):
    """A TIFF's header of 60,000 x 60,000 pixels and nothing behind it."""
    import struct

    from facequery.shots import open_shot

    entries = [(256, 60_000), (257, 60_000), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 60_000), (279, 8)]
    body = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", tag, 4, 1, v) for tag, v in entries)
    (tmp_path / "huge.tif").write_bytes(b"II*\0" + struct.pack("<I", 8) + body + bytes(4))
    with pytest.raises(UserError, match=r"huge\.tif"):
        open_shot(tmp_path / "huge.tif").display(0)
