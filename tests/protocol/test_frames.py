"""The four frame numbers: conversions undo each other, gaps are kept, absent frames are named."""

import json

import numpy as np
import pytest
from facequery_protocol.errors import ProtocolError
from facequery_protocol.frames import KINDS, FrameMap, describe, parse_range
from hypothesis import given
from hypothesis import strategies as st

MAP = FrameMap(np.array([1001, 1002, 1003, 1007, 1008, 1010]), fps=25.0, scene_start=101)


def test_a_frame_in_all_four_countings():
    assert MAP.convert(1001, "file", "clip") == 1
    assert MAP.convert(1001, "file", "scene") == 101
    assert MAP.convert(1007, "file", "index") == 3
    assert MAP.convert(3, "index", "clip") == 7  # the clip counts the gap, the arrays do not
    assert MAP.convert([5, 0], "index", "scene").tolist() == [110, 101]
    assert MAP.convert(106, "scene", "file") == 1006


@given(st.data())
def test_every_conversion_of_frames_that_exist_can_be_undone(data):
    files = data.draw(st.sets(st.integers(-500, 5000), min_size=1, max_size=40))
    frames = FrameMap(
        np.array(sorted(files)), 24, data.draw(st.none() | st.integers(-500, 5000)), data.draw(st.integers(-99, 99))
    )
    source, target = data.draw(st.sampled_from(KINDS)), data.draw(st.sampled_from(KINDS))
    numbers = frames.convert(frames.files, "file", source)
    np.testing.assert_array_equal(frames.convert(frames.convert(numbers, source, target), target, source), numbers)
    again = FrameMap.from_dict(json.loads(json.dumps(frames.to_dict())))
    np.testing.assert_array_equal(again.files, frames.files)
    np.testing.assert_array_equal(again.convert(numbers, source, target), frames.convert(numbers, source, target))


def test_gaps_and_blenders_clip_that_ends_at_the_first():
    assert MAP.gaps == [(1004, 1006), (1009, 1009)]
    assert MAP.clip_duration == 3
    assert FrameMap(MAP.files, clip_first=1007).clip_duration == 2
    assert FrameMap(MAP.files, clip_first=1005).clip_duration == 0
    assert FrameMap(np.arange(1, 51)).clip_duration == 50


def test_a_clip_that_starts_in_the_middle_of_the_sequence():
    frames = FrameMap(np.arange(990, 1100), clip_first=1001)
    assert frames.convert([1001, 990], "file", "clip").tolist() == [1, -10]


def test_absent_frames_are_minus_one_or_an_error():
    assert MAP.index([1000, 1001, 1005, 1010, 1011]).tolist() == [-1, 0, -1, 5, -1]
    assert MAP.has([4, 7], "clip").tolist() == [False, True]
    assert MAP.index([-1, 0, 6], "index").tolist() == [-1, 0, -1]
    with pytest.raises(ProtocolError, match="1005"):
        MAP.convert([1001, 1005], "file", "index")
    with pytest.raises(ProtocolError, match="index 6"):
        MAP.convert(6, "index", "file")
    assert [MAP.nearest(n) for n in (900, 1004, 1005, 1006, 2000)] == [0, 2, 2, 3, 5]


def test_time_runs_through_gaps():
    assert MAP.seconds(3) == pytest.approx(6 / 25)
    assert MAP.seconds(1010, "file") == pytest.approx(9 / 25)


def test_a_part_of_a_shot_keeps_clip_and_scene_numbers():
    part = MAP.select(1003, 1008)
    assert part.convert(0, "index", "clip") == 3 and part.convert(0, "index", "scene") == 103
    with pytest.raises(ProtocolError):
        MAP.select(2000, 2001)


@pytest.mark.parametrize("files", [[], [3, 2], [1, 1], [1.5], [[1, 2]], ["a"]])
def test_numbers_that_do_not_rise_are_refused(files):
    with pytest.raises(ProtocolError):
        FrameMap(np.array(files))


@pytest.mark.parametrize(
    "change",
    [{"runs": []}, {"runs": [[1]]}, {"runs": [[5, 3]]}, {"runs": [[0, 10**9]]}, {"runs": "x"}, {"fps": 0}, {"fps": "x"},
     {"clip_first": 1.5}, {"scene_start": None}, {"runs": [[1, 2], [2, 3]]}],
)  # fmt: skip
def test_bad_documents_are_refused(change):
    with pytest.raises(ProtocolError):
        FrameMap.from_dict(MAP.to_dict() | change)


@pytest.mark.parametrize(
    ("text", "expected"), [("1001-1096", (1001, 1096)), (" 7 ", (7, 7)), ("-5--1", (-5, -1)), ("-3-4", (-3, 4))]
)
def test_ranges(text, expected):
    assert parse_range(text) == expected


@pytest.mark.parametrize("text", ["", "a-b", "5-3", "1-", "-", "1001:1096", "1.5-2"])
def test_bad_ranges(text):
    with pytest.raises(ProtocolError):
        parse_range(text)


def test_numbers_in_short():
    assert describe([1, 2, 3, 7, 9, 10]) == "1-3, 7, 9-10"
