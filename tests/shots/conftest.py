"""Small picture files and videos, made on the spot."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from shot_files import HEIGHT, WIDTH, counter_picture, write


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.fixture
def sequence(tmp_path: Path, rng) -> Callable[..., tuple[Path, dict[int, np.ndarray]]]:
    """Makes "ein Schuß é/shot a.####.png" of the given numbers; returns the folder and the pictures by number."""

    def make(numbers, suffix=".png", kind="uint8", channels=3, pad=4):
        folder = tmp_path / "ein Schuß é"
        folder.mkdir(exist_ok=True)
        pictures = {}
        for n in numbers:
            if kind.startswith("uint"):
                picture = rng.integers(0, 256 if kind == "uint8" else 65536, (HEIGHT, WIDTH, channels)).astype(kind)
            else:
                picture = rng.random((HEIGHT, WIDTH, channels)).astype(np.float16).astype(np.float32)
            write(folder / f"shot a.{n:0{pad}d}{suffix}", picture, kind)
            pictures[n] = picture
        return folder, pictures

    return make


@pytest.fixture
def video(tmp_path: Path) -> Callable[..., Path]:
    """Makes a video of numbered pictures: B-frames, few key frames, times as given (in 1/90000 s) or even."""

    def make(
        frames=50,
        name="clip ü.mp4",
        codec="libx264",
        pixels="yuv420p",
        times=None,
        pictures=None,
        matrix=None,
        **settings,
    ):
        path = tmp_path / name
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=25)
            first = counter_picture(0) if pictures is None else pictures[0]
            stream.width, stream.height, stream.pix_fmt = first.shape[1], first.shape[0], pixels
            if codec == "libx264":
                stream.options = {"g": "20", "bf": "3", "crf": "8", "sc_threshold": "0"}
            if times is not None:
                stream.codec_context.time_base = Fraction(1, 90000)
            for key, value in settings.items():
                setattr(stream.codec_context, key, value)
            for i in range(frames):
                picture = counter_picture(i) if pictures is None else pictures[i]
                kind = "rgb24" if picture.dtype == np.uint8 else "rgb48le"
                frame = av.VideoFrame.from_ndarray(picture, format=kind).reformat(format=pixels, dst_colorspace=matrix)
                if times is not None:
                    frame.pts, frame.time_base = times[i], Fraction(1, 90000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return make
