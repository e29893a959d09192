from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from facequery.geometry.crops import crop_from_similarity, sample_crop
from facequery.shots.glance import Picture, Planes
from facequery.shots.shot import open_shot

CROPS = [
    crop_from_similarity(centre, half, roll)
    for centre, half, roll in (([90.0, 70.0], 60.0, 0.0), ([100.0, 60.0], 45.3, 0.4), ([5.0, 130.0], 80.0, -1.0),
                               ([91.5, 71.5], 14.0, 0.1))  # reduced, turned, over the edge, enlarged
]  # fmt: skip
SIZE = 48


def film(path: Path, codec: str, kind: str, size: tuple[int, int] = (190, 142)) -> Path:
    rng = np.random.default_rng(0)
    picture: Any = cv2.resize(rng.integers(70, 186, (24, 32, 3), dtype=np.uint8), size, interpolation=cv2.INTER_CUBIC)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=Fraction(24))
        stream.width, stream.height, stream.pix_fmt = *size, kind
        for _ in range(3):
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


@pytest.mark.parametrize(("codec", "kind", "name"), [("libx264", "yuv420p", "a.mp4"), ("mjpeg", "yuvj420p", "a.mov")])
def test_crops_out_of_planes_are_those_of_the_picture(tmp_path, codec, kind, name):
    shot = open_shot(film(tmp_path / name, codec, kind))
    for index, glance in shot.glances([0, 2]):
        assert isinstance(glance, Planes)
        shown = shot.display(index)
        np.testing.assert_array_equal(glance.picture(), shown)
        for crop in CROPS:
            off = glance.crop(crop, SIZE).astype(int) - sample_crop(shown, crop, SIZE)
            assert np.abs(off).mean() < 0.9
            assert np.abs(off.mean((0, 1))).max() < 0.4  # no colour cast


@pytest.mark.parametrize(("codec", "kind", "stops"), [("libx264", "yuv420p10le", 0.0), ("libx264", "yuv420p", 1.0)])
def test_what_is_not_shown_as_it_is_stored_is_converted_first(tmp_path, codec, kind, stops):
    shot = open_shot(film(tmp_path / "a.mp4", codec, kind), exposure=stops)
    ((index, glance),) = shot.glances([1])
    assert isinstance(glance, Picture)
    np.testing.assert_array_equal(glance.picture(), shot.display(index))
    np.testing.assert_array_equal(glance.crop(CROPS[0], SIZE), sample_crop(shot.display(index), CROPS[0], SIZE))
