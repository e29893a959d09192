"""The four frame numbers: conversions undo each other, gaps are kept, absent frames are named."""

import numpy as np
import pytest
from facequery_protocol.errors import ProtocolError
from facequery_protocol.frames import KINDS, FrameMap, describe
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


def test_a_clip_that_starts_in_the_middle_of_the_sequence():
    frames = FrameMap(np.arange(990, 1100), clip_first=1001)
    assert frames.convert([1001, 990], "file", "clip").tolist() == [1, -10]


def test_absent_frames_are_minus_one_or_an_error():
    assert MAP.index([1000, 1001, 1005, 1010, 1011]).tolist() == [-1, 0, -1, 5, -1]
    assert MAP.index([4, 7], "clip").tolist() == [-1, 3]
    assert MAP.index([-1, 0, 6], "index").tolist() == [-1, 0, -1]
    with pytest.raises(ProtocolError, match="1005"):
        MAP.convert([1001, 1005], "file", "index")
    with pytest.raises(ProtocolError, match="index 6"):
        MAP.convert(6, "index", "file")


@pytest.mark.parametrize("files", [[], [3, 2], [1, 1], [1.5], [[1, 2]], ["a"]])
def test_numbers_that_do_not_rise_are_refused(files):
    with pytest.raises(ProtocolError):
        FrameMap(np.array(files))


@pytest.mark.parametrize("fps", [0.0, -24.0, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(fps):
    with pytest.raises(ProtocolError):
        FrameMap(np.arange(3), fps)


def test_numbers_in_short():
    assert describe([1, 2, 3, 7, 9, 10]) == "1-3, 7, 9-10"
