"""Each format of 2D tracks, read back by a strict parser of its grammar."""

import csv
import json
import re

import numpy as np
import pytest
from facequery.errors import UserError
from facequery.export.formats import FORMATS, format_of
from facequery.export.source import plain_names
from tracks_for_export import ASPECT, FPS, FRAMES, HEIGHT, NAMES, SEEN, WIDTH, camera, expected, source

POINTS = {name: i for i, name in enumerate(plain_names(("nose tip", "brow", "brow_2", *NAMES[3:])))}
NUMBER = r"-?\d+(?:\.\d+)?(?:e-?\d+)?"


def written(name: str, tmp_path, **kwargs) -> str:
    given = source(**kwargs)
    chosen = format_of(name)
    path = tmp_path / f"out{chosen.suffix}"
    assert chosen.write(given, path) == chosen.targets(given, path) == [path]
    return path.read_bytes().decode("utf-8")


def check(found: dict[int, dict[int, tuple[float, float]]], undistorted: bool = False) -> None:
    """`found`: point -> frame number -> FaceQuery's pixels."""
    assert {point: sorted(frames) for point, frames in found.items()} == SEEN
    for point, frames in found.items():
        for frame, xy in frames.items():
            np.testing.assert_allclose(xy, expected(point, frame, undistorted), atol=1e-4)


# ---- Nuke


def tcl(text: str) -> list:
    """Words of a Tcl list: text, or a list for what stands in braces. Raises on anything unbalanced."""
    place = 0

    def words(end: str) -> list:
        nonlocal place
        found: list = []
        while True:
            while place < len(text) and text[place].isspace():
                place += 1
            if place == len(text):
                assert not end, "unclosed brace"
                return found
            character = text[place]
            if character == "}":
                assert end == "}", "brace too many"
                place += 1
                return found
            if character == "{":
                place += 1
                found.append(words("}"))
            elif character == '"':
                place += 1
                word = ""
                while text[place] != '"':
                    place += text[place] == "\\"
                    word += text[place]
                    place += 1
                place += 1
                found.append(word)
            else:
                match = re.compile(r"[^\s{}\"]+").match(text, place)
                assert match
                place = match.end()
                found.append(match[0])

    return words("")


def nodes(text: str) -> list[tuple[str, dict]]:
    words = tcl(text)
    assert words[:3] == ["version", "13.0", "v1"]
    found = []
    for kind, body in zip(words[3::2], words[4::2], strict=True):
        found.append((kind, dict(zip(body[::2], body[1::2], strict=True))))
    return found


def keys(words: list) -> dict[int, float]:
    """Frame -> value of a curve."""
    assert words[0] == "curve"
    found, frame = {}, None
    for word in words[1:]:
        if word == "K":
            continue
        if word[0] == "x":
            frame = int(word[1:])
            continue
        assert frame is not None
        found[frame] = float(word)
        frame += 1
    return found


@pytest.mark.parametrize("undistorted", [False, True])
def test_nuke_tracker(tmp_path, undistorted):
    (root, settings), (kind, knobs) = nodes(written("nuke", tmp_path, undistorted=undistorted))
    assert root == "Root" and (settings["first_frame"], settings["last_frame"]) == ("1001", "1006")
    assert float(settings["fps"]) == pytest.approx(FPS, abs=1e-6)
    assert settings["format"] == f"{WIDTH} {HEIGHT} 0 0 {WIDTH} {HEIGHT} 2 facequery"
    assert kind == "Tracker4"
    head, columns, rows = knobs["tracks"]
    assert head == ["1", "31", str(len(SEEN))] and len(columns) == 31 and len(rows) == len(SEEN)
    names = [column[3] for column in columns]
    found = {}
    for point, row in enumerate(rows):
        assert len(row) == 31
        cells = dict(zip(names, row, strict=True))
        assert cells["name"] == ("nose tip", "brow", "brow_2", *NAMES[3:])[point]
        x, y = keys(cells["track_x"]), keys(cells["track_y"])
        assert list(x) == list(y) == list(keys(cells["error"]))
        found[point] = {frame: (x[frame], HEIGHT - y[frame]) for frame in x}
        # Held between its keys, `enable` is 1 exactly where there is a position.
        enable = keys(cells["enable"])
        for frame in FRAMES.tolist():
            state = enable[max(f for f in enable if f <= frame)]
            assert state == (frame in x)
    check(found, undistorted)


def test_nuke_corner_pin(tmp_path):
    quad = ("p.3", "nose tip", "p.2", "p.1")
    (_, _), (kind, knobs) = nodes(written("nuke-cornerpin", tmp_path, points=("p.0",), quads=(quad,), start=1))
    assert kind == "CornerPin2D"
    assert [knobs[f"from{i}"] for i in (1, 2, 3, 4)] == [
        ["0", "0"], [str(WIDTH), "0"], [str(WIDTH), str(HEIGHT)], ["0", str(HEIGHT)],
    ]  # fmt: skip
    for corner, point in enumerate((3, 0, 2, 1), 1):
        x, y = (keys(part) for part in knobs[f"to{corner}"])
        assert list(x) == [1, 2, 3, 6]  # a hidden corner is still pinned; frame 4 has no face, 5 does not exist
        for frame in x:
            np.testing.assert_allclose((x[frame], HEIGHT - y[frame]), expected(point, frame + 1000), atol=1e-4)


# ---- After Effects


def keyframes(text: str) -> tuple[dict[str, str], dict[tuple[str, ...], dict[int, list[float]]]]:
    lines = text.split("\n")
    assert lines[0] == "Adobe After Effects 8.0 Keyframe Data" and lines[-2:] == ["End of Keyframe Data", ""]
    settings: dict[str, str] = {}
    blocks: dict[tuple[str, ...], dict[int, list[float]]] = {}
    block = None
    for line in lines[1:-2]:
        words = line.split("\t")
        if not line:
            block = None
        elif words[0]:
            block = blocks.setdefault(tuple(words), {})
        elif words[1] == "Frame":
            assert words[2:4] == ["X pixels", "Y pixels"]
        elif block is None:
            settings[words[1]] = words[2]
        else:
            values = [float(word) for word in words[2:] if word]
            assert all(np.isfinite(values))
            block[int(words[1])] = values
    return settings, blocks


def test_after_effects_points(tmp_path):
    given = source()
    files = format_of("after-effects").write(given, tmp_path / "shot.txt")
    assert files == format_of("after-effects").targets(given, tmp_path / "shot.txt")
    assert [f.name for f in files] == [
        "nose_tip.txt", "brow.txt", "brow_2.txt", "odd_name_x.txt", "Kante.txt",
    ]  # fmt: skip
    found = {}
    for point, file in enumerate(files):
        settings, blocks = keyframes(file.read_text(encoding="utf-8"))
        assert settings == {
            "Units Per Second": "23.976", "Source Width": str(WIDTH), "Source Height": str(HEIGHT),
            "Source Pixel Aspect Ratio": "2", "Comp Pixel Aspect Ratio": "2",
        }  # fmt: skip
        ((words, block),) = blocks.items()
        assert words == ("Transform", "Position")
        found[point] = {1001 + frame: (x, y) for frame, (x, y, _) in block.items()}
    check(found)


def test_after_effects_pastes_at_the_first_frame_even_where_the_point_is_hidden(tmp_path):
    given = source(points=("p.1",))
    usable = given.usable.copy()
    usable[0] = False
    object.__setattr__(given, "usable", usable)
    format_of("after-effects").write(given, tmp_path / "one.txt")
    _, blocks = keyframes((tmp_path / "one.txt").read_text())
    (block,) = blocks.values()
    assert list(block) == [0, 2, 5] and block[0] == block[2]


def test_after_effects_corner_pin(tmp_path):
    text = written("after-effects", tmp_path, points=(), quads=(("p.3", "p.0", "p.2", "p.1"),))
    _, blocks = keyframes(text)
    corners = {words[-1]: block for words, block in blocks.items() if words[:2] == ("Effects", "Corner Pin #1")}
    names = ("Lower Left #4", "Lower Right #5", "Upper Right #3", "Upper Left #2")
    for name, point in zip(names, (3, 0, 2, 1), strict=True):
        assert list(corners[name]) == [0, 1, 2, 5]
        np.testing.assert_allclose(corners[name][5], expected(point, 1006), atol=1e-4)


# ---- matchmoving programs


@pytest.mark.parametrize("start", [None, 0, 86400])
def test_3dequalizer(tmp_path, start):
    lines = iter(written("3dequalizer", tmp_path, start=start).splitlines())
    found: dict[int, dict] = {}
    for _ in range(int(next(lines))):
        name, colour, count = next(lines), int(next(lines)), int(next(lines))
        assert re.fullmatch(r"\w+", name) and 0 <= colour <= 11
        frames = found[POINTS[name]] = {}
        for _ in range(count):
            line = next(lines)
            assert re.fullmatch(rf"\d+ {NUMBER} {NUMBER}", line)
            frame, x, y = line.split()
            frames[int(frame) + 1000] = (float(x), HEIGHT - float(y))
    assert next(lines, None) is None
    check(found)


def test_syntheyes(tmp_path):
    found: dict[int, dict] = {}
    order = []
    outcomes: dict[int, list[int]] = {}
    for line in written("syntheyes", tmp_path).splitlines():
        assert re.fullmatch(rf"\w+ \d+ {NUMBER} {NUMBER} \d+", line)
        name, frame, u, v, outcome = line.split()
        point = POINTS[name]
        order.append((point, int(frame)))
        x, y = (float(u) + 1) / 2 * (WIDTH - 1) + 0.5, (float(v) + 1) / 2 * (HEIGHT - 1) + 0.5
        found.setdefault(point, {})[int(frame) + 1001] = (x, y)
        outcomes.setdefault(point, []).append(int(outcome))
    assert order == sorted(order)
    assert outcomes[0] == [30, 7, 7, 15] and outcomes[1] == [30, 15, 15]
    check(found)


def test_pftrack(tmp_path):
    text = written("pftrack", tmp_path)
    blocks = [b.splitlines() for b in re.sub(r"(?m)^#.*\n", "", text).strip().split("\n\n")]
    found: dict[int, dict] = {}
    for name, clip, count, *rows in blocks:
        assert re.fullmatch(r'"\w+"', name) and clip == "1" and int(count) == len(rows)
        frames = found[POINTS[name.strip('"')]] = {}
        for row in rows:
            assert re.fullmatch(rf"\d+ {NUMBER} {NUMBER} {NUMBER}", row)
            frame, x, y, similarity = row.split()
            assert 0 < float(similarity) <= 1
            frames[int(frame)] = (float(x) + 0.5, HEIGHT - (float(y) + 0.5))
    check(found)


@pytest.mark.parametrize("undistorted", [False, True])
def test_mmsolver_holds_both_forms_of_a_position(tmp_path, undistorted):
    document = json.loads(written("mmsolver", tmp_path, undistorted=undistorted))
    assert document["version"] == 3 and document["num_points"] == len(document["points"])
    forms: dict[str, dict] = {"pos": {}, "pos_dist": {}}
    for entry in document["points"]:
        assert isinstance(entry["id"], int) and isinstance(entry["set_name"], str)
        assert set(entry["3d"]) == {"x", "y", "z", "x_lock", "y_lock", "z_lock"}
        for frame in entry["per_frame"]:
            assert 0 <= frame["weight"] <= 1
            for form, found in forms.items():
                u, v = frame[form]
                found.setdefault(POINTS[entry["name"]], {})[frame["frame"]] = (u * WIDTH, (1 - v) * HEIGHT)
    check(forms["pos_dist"], undistorted=False)
    check(forms["pos"], undistorted=True)


def test_mmsolver_without_a_camera(tmp_path):
    given = source()
    object.__setattr__(given, "camera", None)
    format_of("mmsolver").write(given, tmp_path / "a.uv")
    document = json.loads((tmp_path / "a.uv").read_text())
    assert (document["version"], document["is_undistorted"]) == (2, False)
    assert set(document["points"][0]["per_frame"][0]) == {"frame", "pos", "weight"}


# ---- tables


def test_csv_leaves_nothing_out(tmp_path):
    rows = list(csv.DictReader(written("csv", tmp_path).splitlines()))
    assert len(rows) == len(FRAMES) * len(NAMES)
    found: dict[int, dict] = {}
    for row in rows:
        frame, point = int(row["frame"]), int(row["id"].removeprefix("p."))
        if row["usable"] == "1":
            found.setdefault(point, {})[frame] = (float(row["x"]), float(row["y"]))
        assert (row["x"] == "") == (frame == 1004)
    assert [row["name"] for row in rows[:6]] == ["nose tip", "brow", "brow_2", *NAMES[3:]]
    check(found)


def test_json_says_what_its_numbers_are(tmp_path):
    document = json.loads(written("json", tmp_path, undistorted=True))
    assert (document["width"], document["height"], document["pixel_aspect"]) == (WIDTH, HEIGHT, ASPECT)
    assert document["fps"] == FPS and document["undistorted"] and document["frames"] == FRAMES.tolist()
    first = document["points"][0]
    assert first["xy"][3] is None and first["sigma"][3] is None
    np.testing.assert_allclose(first["xy"][4], expected(0, 1006, True), atol=1e-4)


# ---- what all have in common


def test_hidden_points_are_kept_when_asked_for(tmp_path):
    text = written("3dequalizer", tmp_path, keep_hidden=True)
    assert text.splitlines()[0] == str(len(NAMES))
    assert not re.search("nan|inf", text)


@pytest.mark.parametrize("one", [f for f in FORMATS if f.needs == "points"], ids=lambda f: f.name)
def test_no_number_that_is_none_is_written(one, tmp_path):
    for file in one.write(source(keep_hidden=True), tmp_path / f"all{one.suffix}"):
        assert not re.search(r"\b(nan|inf)\b", file.read_text(encoding="utf-8"), re.IGNORECASE)


def test_points_that_are_not_there():
    with pytest.raises(UserError, match='no point "chin"'):
        source(points=("chin",))
    with pytest.raises(UserError, match="needs 4 points"):
        source(quads=(("p.0", "p.1", "p.2"),))
    with pytest.raises(UserError, match="named twice"):
        source(points=("p.0", "nose tip"))


def test_nothing_to_write(tmp_path):
    with pytest.raises(UserError, match="seen in any frame"):
        format_of("nuke").write(source(points=("never",)), tmp_path / "a.nk")
    assert not list(tmp_path.iterdir())


def test_undistorted_points_go_back_to_where_they_came_from():
    np.testing.assert_allclose(
        camera().distort(source(undistorted=True).xy)[:3], source().xy[:3], atol=1e-3
    )  # fmt: skip
