"""Damaged files of every kind are read or refused in one sentence, never worse."""

import contextlib

import numpy as np
import pytest
from facequery.errors import UserError
from facequery.shots import open_shot
from shot_files import write

PICTURES = [(".png", "uint16"), (".exr", "half"), (".tif", "uint16"), (".jpg", "uint8"), (".dpx", "uint16"),
            (".hdr", "float"), (".tga", "uint8"), (".bmp", "uint8"), (".webp", "uint8")]  # fmt: skip


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """The bytes cut short, with wrong bytes anywhere or in the header, or with a piece replaced."""
    out = bytearray(data)
    kind = rng.integers(4)
    if kind == 0:
        return bytes(out[: rng.integers(len(out))])
    if kind == 3:
        start = int(rng.integers(len(out)))
        out[start : start + int(rng.integers(50))] = rng.bytes(int(rng.integers(50)))
        return bytes(out)
    for _ in range(int(rng.integers(1, 12))):
        out[rng.integers(len(out) if kind == 1 else min(len(out), 200))] = rng.integers(256)
    return bytes(out)


def look_at(path) -> None:
    with contextlib.suppress(UserError):
        shot = open_shot(path, colorspace="srgb")
        for index in range(min(len(shot), 8)):
            picture = shot.display(index)
            assert picture.shape == (shot.height, shot.width, 3)
        shot.close()


@pytest.mark.parametrize(("suffix", "kind"), PICTURES)
def test_damaged_pictures(tmp_path, rng, suffix, kind):
    picture = rng.random((24, 32, 3)).astype(np.float32)
    write(tmp_path / f"whole{suffix}", picture, kind)
    data = (tmp_path / f"whole{suffix}").read_bytes()
    for _ in range(25):
        (tmp_path / f"damaged{suffix}").write_bytes(damaged(data, rng))
        look_at(tmp_path / f"damaged{suffix}")


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi"])
def test_damaged_videos(video, tmp_path, rng, name):
    data = video(frames=12, name=name, codec="mpeg4" if name.endswith("avi") else "libx264").read_bytes()
    for _ in range(20):
        (tmp_path / f"damaged {name}").write_bytes(damaged(data, rng))
        look_at(tmp_path / f"damaged {name}")
