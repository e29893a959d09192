"""The command on a folder of its own: no face is in its pictures, but every figure must be there and in its place."""

import json

import cv2
import numpy as np
import pytest
from facequery.cli import main
from facequery.detection.detector import Detector
from facequery.detection.finder import FaceFinder
from facequery.evaluation.annotated import load_annotated
from facequery.evaluation.calibration import Placed
from facequery.evaluation.folders import summarised
from facequery.evaluation.predict import FindFaces, predict_auto
from facequery.head.layouts import load_layout

KEYS_68 = ["set", "faces", "missed", "nme", "nme_core", "nme68", "nme51", "contour", "brows", "nose", "eyes", "mouth",
           "fail10", "auc10", "ms_per_face"]  # fmt: skip
KEYS_189 = ["set", "faces", "missed", "nme", "nme_core"]


def folder_of(path, layout, count):
    """Three gray pictures, annotated as if the layout's points were a flat face in them."""
    positions = load_layout(layout).positions[:, :2] * [1, -1]
    points = 160 + 900 * positions
    path.mkdir()
    rows = []
    for index in range(3):
        cv2.imwrite(str(path / f"{index}.png"), np.full((320, 320, 3), 90 + 30 * index, np.uint8))
        rows.append({"image": f"{index}.png", "layout": layout, "points": points.tolist()})
    assert len(points) == count
    (path / "landmarks.json").write_text(json.dumps(rows))
    return path


def test_json_is_one_line_a_folder_with_every_figure(tmp_path, capsys):
    folders = [folder_of(tmp_path / "a", "ibug68", 68), folder_of(tmp_path / "b", "frl189", 189)]
    with pytest.raises(SystemExit) as end:
        main(["eval", *map(str, folders), "--crop", "points", "--json", "--curves", str(tmp_path / "c.png")])
    assert end.value.code in (0, None)
    lines = capsys.readouterr().out.strip().splitlines()
    first, second = (json.loads(line, parse_constant=pytest.fail) for line in lines)
    assert [key for key in first if key in KEYS_68] == KEYS_68 and first["set"] == "a" and first["faces"] == 3
    assert [key for key in second if key in KEYS_189] == KEYS_189 and "nme68" not in second
    assert first["missed"] == second["missed"] == 0 and first["nme"] == first["nme68"] > 0
    assert (tmp_path / "c.png").exists()


def test_a_picture_in_which_nothing_is_found_counts_as_an_error_of_a_hundred_percent(tmp_path):
    chosen = load_annotated(folder_of(tmp_path / "a", "ibug68", 68))
    detector = Detector.from_pretrained()
    find = FindFaces(detector, FaceFinder.from_pretrained())
    asked = Placed.everywhere(chosen, load_layout("ibug68").positions, None)
    found = predict_auto(detector, find, chosen, asked)
    figures = summarised(chosen, found, {}, {}).figures
    assert figures["missed"] == 3 and figures["nme68"] == figures["contour"] == 100.0 and figures["auc10"] == 0.0


@pytest.mark.parametrize("words", [["--crop", "middle"], ["--layout", "dense520"]])
def test_bad_settings_end_with_one_sentence(words, tmp_path, capsys):
    folder = folder_of(tmp_path / "a", "ibug68", 68)
    with pytest.raises(SystemExit) as end:
        main(["eval", str(folder), *words])
    error = capsys.readouterr().err
    assert end.value.code == 2 and error.startswith("facequery: ") and "Traceback" not in error
