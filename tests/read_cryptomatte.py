"""Reads a Cryptomatte as its specification says, without what wrote it."""

import json
import struct

import numpy as np
import OpenImageIO as oiio


def read_cryptomatte(path):
    """Name -> matte (H, W) of the one Cryptomatte in a file."""
    source = oiio.ImageInput.open(str(path))
    spec = source.spec()
    pixels = source.read_image("float")
    source.close()
    assert pixels is not None
    metadata = {a.name: str(a.value) for a in spec.extra_attribs if a.name.startswith("cryptomatte/")}
    (layer,) = [value for name, value in metadata.items() if name.endswith("/name")]
    (manifest,) = [json.loads(value) for name, value in metadata.items() if name.endswith("/manifest")]
    assert {name.rsplit("/", 1)[1] for name in metadata} == {"name", "hash", "conversion", "manifest"}
    assert str(spec.format) == "float"
    column = {name: index for index, name in enumerate(spec.channelnames)}
    mattes = {}
    for name, digits in manifest.items():
        number = struct.unpack("<f", struct.pack("<I", int(digits, 16)))[0]
        matte = np.zeros(pixels.shape[:2], np.float32)
        for level in range(len(column) // 4):
            for one, share in ("RG", "BA"):
                here = pixels[..., column[f"{layer}{level:02d}.{one}"]] == np.float32(number)
                matte += here * pixels[..., column[f"{layer}{level:02d}.{share}"]]
        mattes[name] = matte
    return mattes
