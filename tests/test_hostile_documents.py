"""JSON files that users and other programs write, with anything in them: what is meant, or one sentence."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from facequery.apps.regions import load_regions
from facequery.detection.tracks import read_header
from facequery.errors import UserError
from facequery.pipeline.cameras import load_camera
from facequery.pipeline.fit import corrections_for, read_corrections, read_quality
from facequery.pipeline.own_meshes import read_mesh_file
from facequery_protocol.errors import ProtocolError
from facequery_protocol.job import read_job
from facequery_protocol.layout import LayoutError, read_layout
from hypothesis import given, settings
from hypothesis import strategies as st

EYE = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
CAMERA = {
    "schema": "facequery.camera", "version": 1, "width": 64, "height": 48, "pixel_aspect": 1.0, "unit": 0.01,
    "focal_length": [35.0, 35.0], "sensor_width": 36.0, "cx": 32.0, "cy": 24.0, "frames": [1, 2],
    "rotation": [EYE, EYE], "translation": [[0, 0, 1], [0, 0, 1]],
    "lens": {"model": "brown", "coefficients": [0.1, 0, 0, 0, 0]},
}  # fmt: skip
CORRECTIONS = {
    "schema": "facequery.corrections", "version": 1, "fade": 8,
    "pins": [{"frame": 1, "landmark": "ibug68.30", "xy": [8.5, 1.0], "view": 1}],
    "poses": [{"frame": 2, "rotation": EYE, "translation": [0.0, 0.0, 0.7]}],
    "ignored": [{"landmark": 8, "first": 1, "last": 2, "view": 1}],
}  # fmt: skip
MESH = {
    "schema": "facequery.mesh", "version": 1, "part": "skull", "file": "scan.obj", "layout": "skull",
    "landmarks": {"nasion": [12.1, 40.2, 88.0]}, "unit": 0.001, "warp": False,
}  # fmt: skip
REGIONS = {
    "schema": "facequery.regions", "version": 1,
    "regions": [{"name": "scar", "vertices": [1, 5], "weights": [1.0, 0.5]}, {"name": "all", "vertices": [2]}],
}  # fmt: skip
QUALITY = {
    "frames": [1001, 1002], "reprojection": [0.5, None], "landmarks": [60, 0], "rotation_sigma": [0.1, 0.2],
    "depth_sigma": [0.01, 0.01], "jaw_sigma": [0.1, 0.1], "status": ["good", "bridged"], "worst_frames": [1],
    "focal": [900.0], "focal_interval": [[800.0, 1000.0]], "focal_solved": [True], "model_error": 1.0, "iterations": 9,
    "seconds": 1.0, "notes": [], "estimated": ["focal"],
}  # fmt: skip


def corrections(path: Path) -> Any:
    class Points:
        ids, names = tuple(f"ibug68.{k}" for k in range(68)), tuple(map(str, range(68)))

    class Some:
        queries = Points

    return corrections_for(read_corrections(path), [Some])  # type: ignore[list-item]


Reader = Callable[[Path], Any]
READERS: dict[str, tuple[str, dict[str, Any], Reader]] = {
    "camera": ("c.json", CAMERA, load_camera),
    "corrections": ("corrections.json", CORRECTIONS, corrections),
    "mesh": ("m.json", MESH, read_mesh_file),
    "regions": ("r.json", REGIONS, lambda path: load_regions(path, 10)),
    "quality": ("fit.json", QUALITY, lambda path: read_quality(path.parent)),
}
REFUSED = (UserError, ProtocolError, LayoutError)

values = st.recursive(
    st.sampled_from([None, True, 0, -1, 2, 0.5, 1e308, 10**18, 10**400, "", "x", "\0", "../x", float("nan")]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.just("name"), inner),
    max_leaves=5,
)


def places(document: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to everything inside a document."""
    keys = document if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ()
    return [place for key in keys for place in [(*way, key), *places(document[key], (*way, key))]]


@pytest.mark.parametrize("reader", READERS)
def test_the_documents_are_good_to_begin_with(reader, tmp_path):
    name, document, read = READERS[reader]
    (tmp_path / "scan.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    (tmp_path / name).write_text(json.dumps(document), encoding="utf-8")
    assert read(tmp_path / name) is not None


@pytest.mark.parametrize("reader", READERS)
@settings(max_examples=150, deadline=None)
@given(data=st.data(), value=values)
def test_anything_anywhere_in_a_document(reader, data, value, tmp_path_factory):
    name, document, read = READERS[reader]
    folder = tmp_path_factory.mktemp(reader)
    (folder / "scan.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    document = copy.deepcopy(document)
    *way, last = data.draw(st.sampled_from(places(document)))
    place: Any = document
    for key in way:
        place = place[key]
    if data.draw(st.booleans()):
        place[last] = value
    else:
        del place[last]
    (folder / name).write_text(json.dumps(document), encoding="utf-8")
    try:
        read(folder / name)
    except UserError as error:
        assert "\n" not in str(error) and str(error)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"7", b"null", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 100_000])
@pytest.mark.parametrize("reader", [*READERS, "job", "tracks", "layout"])
def test_any_text(reader, text, tmp_path):
    others: dict[str, tuple[str, Reader]] = {
        "job": ("job.json", lambda path: read_job(path.parent)),
        "tracks": ("tracks.json", lambda path: read_header(path.parent)),
        "layout": ("own.json", read_layout),
    }
    name, read = (READERS[reader][0], READERS[reader][2]) if reader in READERS else others[reader]
    (tmp_path / name).write_bytes(text)
    with pytest.raises(REFUSED):
        read(tmp_path / name)
