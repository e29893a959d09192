import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from facequery.apps.cryptomatte import cryptomatte, identifier, murmur3_32
from facequery.shots.images import read_picture, write_picture
from read_cryptomatte import read_cryptomatte

NAMES = ("skin", "nose", "Narbe über dem Auge")


def discs(width=60, height=40):
    """Three mattes, soft at the border, that overlap."""
    y, x = np.mgrid[:height, :width]
    places = ((20, 20, 18), (26, 20, 10), (31, 18, 6))
    return np.stack([np.clip(r - np.hypot(x - a, y - b) + 0.5, 0, 1) for a, b, r in places]).astype(np.float32)


def written(path, mattes, names):
    made = cryptomatte(mattes, names)
    write_picture(path, made.picture, half=False, compression="zip", names=made.names, metadata=made.metadata)
    return made


def test_names_are_hashed_as_the_specification_says():
    for text, hashed in (("", 0), ("test", 0xBA6BD213), ("Hello, world!", 0xC0363E43)):
        assert murmur3_32(text.encode()) == hashed
    known = {"hello": 6.0705627102400005616e-17, "cube": -4.08461912519e15, "sphere": 2.79018604383e15}
    for name, value in known.items():
        assert identifier(name) == pytest.approx(value, rel=1e-6)
    for number in range(3000):  # one name in 128 hashes to no proper number
        assert np.isfinite(identifier(str(number)))
        assert abs(identifier(str(number))) >= np.finfo(np.float32).tiny


def test_mattes_come_back_by_their_names(tmp_path):
    mattes = discs()
    made = written(tmp_path / "c.exr", mattes, NAMES)
    found = read_cryptomatte(tmp_path / "c.exr")
    assert tuple(found) == NAMES
    np.testing.assert_array_equal(found[NAMES[2]], mattes[2])
    free = 1 - mattes[2]
    np.testing.assert_allclose(found["nose"], np.minimum(mattes[1], free), atol=1e-6)
    assert sum(found.values()).max() <= 1 + 1e-6
    shares = made.picture[..., 1::2]
    assert (np.diff(shares, axis=-1) <= 0).all()  # the largest first


def test_more_regions_than_a_pixel_holds():
    mattes = np.full((9, 2, 2), 0.125, np.float32)
    mattes[4] = 0.2
    picture = cryptomatte(mattes, [str(i) for i in range(9)]).picture
    assert picture.shape == (2, 2, 12)
    assert (picture[..., 0] == identifier("4")).all()


@pytest.mark.skipif(find_spec("bpy") is None, reason="bpy is not installed")
def test_blender_takes_a_matte_out_by_name(tmp_path):
    mattes = discs()
    written(tmp_path / "c.exr", mattes, NAMES)
    script = str(Path(__file__).with_name("cryptomatte_in_blender.py"))
    arguments = [str(tmp_path / "c.exr"), "nose", str(tmp_path / "nose.exr"), "60", "40"]
    done = subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = read_picture(tmp_path / "nose.exr", "matte")[..., 0]
    np.testing.assert_allclose(found, np.minimum(mattes[1], 1 - mattes[2]), atol=1e-5)
