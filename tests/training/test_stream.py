import numpy as np
import pytest
from facequery.errors import UserError
from facequery.training.stream import DirectStream, SharedStream, split_batch

from tests.training.fakes import QUERIES, SIZE, blob_mix, clip_mix


def test_batches_split_by_the_shares_in_the_long_run():
    parts = np.array([split_batch(10, [2 / 3, 1 / 3], step) for step in range(30)])
    assert (parts.sum(1) == 10).all() and (parts >= 0).all()
    assert parts[:, 0].sum() == 200


def test_direct_batches_depend_on_seed_and_step_alone():
    stream = DirectStream(blob_mix(), 3)
    first, again, other = stream.batch(5, 6), DirectStream(blob_mix(), 3).batch(5, 6), stream.batch(6, 6)
    assert (first.images == again.images).all() and (first.xy == again.xy).all()
    assert not (first.xy == other.xy).all()
    assert sorted(first.dataset) == [0, 0, 0, 0, 1, 1]


def test_shared_batches_hold_whole_examples_and_images_are_used_again():
    stream = SharedStream(blob_mix, (), [2 / 3, 1 / 3], SIZE, QUERIES, 96, 2.0, 2, 0)
    try:
        used = 0
        for step in range(60):
            batch = stream.batch(step, 12)
            used += 12
            offset = batch.xy - 0.3 * batch.query[..., :2]  # the blob's centre, the same for all queries of an example
            assert np.abs(offset - offset[:, :1]).max() < 1e-5
            brightest = batch.images[..., 0].reshape(12, -1).argmax(1)
            found = np.stack([brightest % SIZE, brightest // SIZE], -1) * 2 / SIZE - 1
            assert np.abs(found - offset[:, 0]).max() < 0.1
            assert (batch.dataset == 0).sum() == 8
        assert sum(stream.made()) <= used / 2 + 96 + 8
    finally:
        stream.close()


def _broken() -> None:
    raise RuntimeError("no data here")


def test_a_maker_that_fails_ends_the_wait():
    stream = SharedStream(_broken, (), [1.0], SIZE, QUERIES, 32, 2.0, 1, 0)  # type: ignore[arg-type]
    try:
        with pytest.raises(UserError, match="ended early"):
            stream.batch(0, 4)
    finally:
        stream.close()


@pytest.mark.parametrize("count,shares,frames", [(10, [0.7, 0.3], [1, 4]), (32, [0.5, 0.2, 0.3], [1, 5, 1])])
def test_batches_hold_whole_clips_and_their_share(count, shares, frames):
    parts = np.array([split_batch(count, shares, step, frames) for step in range(200)])
    assert (parts @ frames == count).all()
    share = (parts * frames).sum(0) / (200 * count)
    assert np.abs(share - shares).max() < 0.02
    with pytest.raises(ValueError, match="clips"):
        split_batch(10, [1.0], 0, [4])


def whole_clips(batch):
    numbers = batch.clip[batch.clip >= 0]
    for number in np.unique(numbers):
        own = np.flatnonzero(batch.clip == number)
        assert len(own) == 4 and (np.diff(own) == 1).all()
        assert (batch.query[own] == batch.query[own[0]]).all()
        assert (batch.xy[own[1]] != batch.xy[own[0]]).any()
    return len(numbers)


def test_both_streams_give_whole_clips():
    assert whole_clips(DirectStream(clip_mix(), 1).batch(3, 16)) == 8
    stream = SharedStream(clip_mix, (), [0.5, 0.5], SIZE, QUERIES, 128, 2.0, 1, 0, [1, 4])
    try:
        assert sum(whole_clips(stream.batch(step, 16)) for step in range(4)) == 32
        assert len(stream.batch(4, 16).images) == 16
    finally:
        stream.close()
