"""The report: what it says is right, it needs nothing from elsewhere, and it works in a real browser."""

import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from facequery.detection.tracks import Tracks
from facequery.errors import UserError
from facequery.fitting.results import FitQuality
from facequery.pipeline.report import Measures, write_report
from facequery.pipeline.report_page import Plot, page

sys.path.insert(0, str(Path(__file__).parents[1] / "blender"))
from synthetic_job import FIRST, FRAMES, PLATES, write_job

BROWSER = os.environ.get("FACEQUERY_CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None
)


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> Path:
    """A job with a frame without the face, a doubtful one, corrections, and words that HTML would take for its own."""
    folder, _ = write_job(tmp_path_factory.mktemp("report") / "shot <b> & 'co'", PLATES["anamorphic"])
    frames = list(range(FIRST, FIRST + FRAMES))
    status = ["good", "good", "bridged", "doubtful", "good"]
    quality = FitQuality(
        frames, [0.5, 0.6, float("nan"), 3.25, 0.7], [68] * 5, [0.1] * 5, [0.01] * 5, [0.1] * 5, status,
        [1004, 1003], [500.0], [[450.0, 560.0]], [True], 0.001, 9, 1.0, ["A note with <script>alert(1)</script>."],
    )  # fmt: skip
    (folder / "fit.json").write_text(json.dumps(quality.to_dict()))
    corrections = {"pins": [{"frame": 1002, "landmark": 3, "xy": [1, 2]}], "poses": [], "ignored": []}
    (folder / "corrections.json").write_text(json.dumps(corrections))
    return folder


@pytest.fixture(scope="module")
def text(job) -> str:
    return write_report(job).read_text(encoding="utf-8")


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "rect", "line", "path"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)


def test_it_is_one_file_that_asks_for_nothing(text):
    found = Page(text)
    assert "http" not in re.sub(r"data-plot=\"[^\"]*\"", "", text).lower()
    for _, attributes in found.tags:
        for name in ("src", "href"):
            assert attributes.get(name, "data:").startswith("data:")
    assert sum(tag == "script" for tag, _ in found.tags) == 1  # what a note says is no program


def test_it_says_what_happened(text):
    words = "\n".join(Page(text).words)
    for expected in (
        "4 of 5", "frames with the face", "500 px", "focal length solved (450 to 560)", "Missed frames", "1003",
        "1004, 1003", "1 in frames 1002", "A note with <script>", "Apache-2.0", "ibug68", "torch",
    ):  # fmt: skip
        assert expected in words, expected


def test_the_plots_hold_the_numbers(text):
    plots = [json.loads(attributes["data-plot"]) for _, attributes in Page(text).tags if "data-plot" in attributes]
    by_name = {tuple(one["name"] for one in plot["series"]): plot for plot in plots}
    assert by_name[("root mean square",)]["series"][0]["values"] == [0.5, 0.6, None, 3.25, 0.7]
    assert plots[0]["states"] == ["good", "good", "missed", "doubtful", "good"]
    assert plots[0]["frames"] == list(range(FIRST, FIRST + FRAMES))


def test_the_pictures_are_pictures(text):
    import base64

    images = [attributes for tag, attributes in Page(text).tags if tag == "img"]
    assert len(images) >= 6 and {f"frame {FIRST + 2}", f"frame {FIRST + 3}"} <= {i["alt"] for i in images}
    for image in images:
        data = np.frombuffer(base64.b64decode(image["src"].split(",")[1]), np.uint8)
        assert cv2.imdecode(data, cv2.IMREAD_COLOR).shape[0] > 100


def test_it_is_not_overwritten_unasked(job, text):
    with pytest.raises(UserError, match="overwritten"):
        write_report(job)
    write_report(job, overwrite=True)


def test_without_the_plate_there_is_a_report_all_the_same(tmp_path):
    folder, _ = write_job(tmp_path / "shot", PLATES["anamorphic"])
    for picture in (tmp_path / "shot").glob("*.png"):
        picture.unlink()
    words = "\n".join(Page(write_report(folder).read_text(encoding="utf-8")).words)
    assert "No pictures:" in words and "4 of 5" in words


def test_jitter_of_a_line_is_none_and_of_noise_is_known():
    rng = np.random.default_rng(0)
    frames = np.arange(1, 201)
    line = np.stack([frames * 1.5, frames * 0.5], -1)[:, None] + np.arange(40)[None, :, None] * 3.0
    for noise in (0.0, 0.5):
        xy = (line + rng.normal(0, noise, line.shape)).astype(np.float32)
        ones = np.ones(xy.shape[:2], np.float32)
        from facequery.head.queries import QuerySet

        zeros = np.zeros((40, 3), np.float32)
        names = tuple(map(str, range(40)))
        queries = QuerySet(zeros, names, names, names, ("skin",) * 40, np.full(40, -1, np.int32), zeros, zeros)
        measures = Measures(Tracks(xy, ones, ones, frames, queries, {}, 640, 480, 24.0))
        # The middle of two neighbours has half a variance more; the median of a Rayleigh distribution is 1.177 sigma.
        expected = 1.1774 * noise * np.sqrt(1.5)
        assert np.nanmedian(measures.jitter) == pytest.approx(expected, abs=0.03)


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here; FACEQUERY_CHROMIUM may name one")
def test_in_a_browser_the_plots_answer_to_the_pointer(text, tmp_path):
    """The page in headless Chromium, with a pointer moved over the last frame of the reprojection's plot."""
    probe = """<script>
    const plot = document.querySelectorAll(".plot")[1], box = plot.querySelector("svg").getBoundingClientRect();
    plot.querySelector("svg").dispatchEvent(new PointerEvent("pointermove",
      {clientX: box.left + box.width * 0.999, clientY: box.top + 5}));
    const tip = plot.querySelector(".tip"), out = document.createElement("output");
    out.textContent = [tip.textContent, getComputedStyle(tip).visibility,
      getComputedStyle(document.querySelectorAll(".plot")[0].querySelector(".tip")).visibility,
      document.images.length, [...document.images].every((i) => i.complete && i.naturalWidth > 0)].join("|");
    document.body.append(out);
    </script></body>"""
    file = tmp_path / "probed.html"
    file.write_text(text.replace("</body>", probe), encoding="utf-8")
    assert BROWSER
    command = [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
               "--virtual-time-budget=4000", "--dump-dom", file.as_uri()]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    said = re.search(r"<output>(.*?)</output>", done.stdout, re.S)
    assert said, done.stderr[-2000:]
    told, shown, other, count, loaded = said[1].split("|")
    assert told == f"frame {FIRST + FRAMES - 1}\nroot mean square 0.700 px"
    assert (shown, other, loaded) == ("visible", "hidden", "true") and int(count) >= 6


def test_a_shot_of_one_frame_and_no_points_seen():
    empty = np.array([np.nan])
    text = page("a", "b", [], {}, [Plot("p", "px", {"x": empty})], np.array([7]), ["missed"], {})
    Page(text)
    assert not re.search(r"\bnan\b", text, re.IGNORECASE)
