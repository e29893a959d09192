import json

import numpy as np
import pytest
from facequery.detection.tracks import Tracks, TrackWriter, read_chunks
from facequery.errors import UserError
from facequery.head.model import HeadModel
from facequery.head.queries import QuerySet


@pytest.fixture(scope="module")
def queries() -> QuerySet:
    model = HeadModel.load()
    skin = model.rest[np.flatnonzero(model.region_mask("face"))[::400]]
    return QuerySet.from_positions(model, skin, name="some")


def tracks_of(queries: QuerySet, frames: int = 10) -> Tracks:
    rng = np.random.default_rng(1)
    count = len(queries)
    xy = rng.uniform(0, 100, (frames, count, 2)).astype(np.float32)
    sigma = rng.uniform(0.1, 2, (frames, count)).astype(np.float32)
    visible = rng.uniform(0, 1, (frames, count)).astype(np.float32)
    xy[3], sigma[3], visible[3] = np.nan, np.nan, 0
    numbers = np.arange(frames, dtype=np.int64) + 1001
    layouts = {"first": (0, 5), "rest": (5, count)}
    return Tracks(xy, sigma, visible, numbers, queries, layouts, 640, 360, 23.976, 2.0)


def assert_same(a: Tracks, b: Tracks) -> None:
    for name in ("xy", "sigma", "visible", "frames"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    assert (a.names, a.layouts, a.width, a.height) == (b.names, b.layouts, b.width, b.height)
    assert (a.fps, a.pixel_aspect) == (b.fps, b.pixel_aspect)
    np.testing.assert_allclose(a.queries.positions, b.queries.positions, atol=1e-6)
    np.testing.assert_array_equal(a.queries.triangle, b.queries.triangle)
    assert a.queries.kinds == b.queries.kinds


def test_round_trip(tmp_path, queries):
    tracks = tracks_of(queries)
    tracks.save(tmp_path)
    assert_same(Tracks.load(tmp_path), tracks)


def test_several_chunks_read_as_one(tmp_path, queries):
    tracks = tracks_of(queries)
    writer = TrackWriter.of(tracks, tmp_path, chunk=4)
    assert writer.chunks == [(0, 4), (4, 8), (8, 10)]
    for index, (start, stop) in reversed(list(enumerate(writer.chunks))):
        assert not writer.has(index)
        writer.write(index, tracks.xy[start:stop], tracks.sigma[start:stop], tracks.visible[start:stop])
        assert writer.has(index)
    writer.finish()
    assert_same(Tracks.load(tmp_path), tracks)
    assert [len(part) for part in read_chunks(tmp_path, "xy")] == [4, 4, 2]


def test_the_npz_holds_the_same_under_the_same_names(tmp_path, queries):
    tracks = tracks_of(queries)
    tracks.save(tmp_path)
    with np.load(tmp_path / "tracks.npz", allow_pickle=False) as file:
        for name in ("xy", "sigma", "visible", "frames"):
            np.testing.assert_array_equal(file[name], getattr(tracks, name))
        assert tuple(file["names"]) == tracks.names
        np.testing.assert_allclose(file["queries"], queries.positions)


def test_found_and_layouts(queries):
    tracks = tracks_of(queries)
    assert tracks.found.tolist() == [True] * 3 + [False] + [True] * 6
    part = tracks.layout("rest")
    np.testing.assert_array_equal(part.xy, tracks.xy[:, 5:])
    assert part.names == tracks.names[5:]
    with pytest.raises(UserError, match='no layout "third"'):
        tracks.layout("third")


def test_shapes_that_do_not_belong_together_are_refused(queries):
    tracks = tracks_of(queries)
    with pytest.raises(ValueError, match="do not belong"):
        Tracks(tracks.xy[:4], tracks.sigma, tracks.visible, tracks.frames, queries, {}, 1, 1, 24.0)


def test_no_file_is_left_half_written(tmp_path, queries, monkeypatch):
    tracks = tracks_of(queries)
    writer = TrackWriter.of(tracks, tmp_path)

    def full(file, *_, **__):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OSError, match="No space left"):
        writer.write(0, tracks.xy, tracks.sigma, tracks.visible)
    assert not writer.has(0)
    assert list((tmp_path / "tracks").iterdir()) == []


@pytest.mark.parametrize("damage", ["missing", "truncated", "shape", "header", "newer", "none"])
def test_damage_is_told_in_one_sentence(tmp_path, queries, damage):
    tracks_of(queries).save(tmp_path)
    chunk, header = tmp_path / "tracks" / "xy_0000.npy", tmp_path / "tracks.json"
    if damage == "missing":
        chunk.unlink()
    elif damage == "truncated":
        chunk.write_bytes(chunk.read_bytes()[:60])
    elif damage == "shape":
        np.save(chunk, np.zeros((2, 3, 2), np.float32))
    elif damage == "header":
        header.write_text("{", encoding="utf-8")
    elif damage == "newer":
        header.write_text(json.dumps(json.loads(header.read_text()) | {"version": 99}), encoding="utf-8")
    else:
        header.unlink()
    with pytest.raises(UserError) as error:
        Tracks.load(tmp_path)
    assert "\n" not in str(error.value)
