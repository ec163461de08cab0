"""Pieces moved, put together and averaged: every bit arrives where it belongs."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pruners import RankError, ScoreError
from pruners.protocols import Box
from pruners.sharding import averaging
from pruners.sharding.boxes import Among, in_rows, row_boxes
from pruners.sharding.moving import by_rows, moved, piece, whole
from pruners.sharding.summing import largest, total

from .cuts import all_well, boxes, cut, even, on_ranks

DTYPES = [bool, np.float16, ml_dtypes.bfloat16, np.float32, np.float64]


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_pieces_go_to_where_they_are_wanted(data):
    ranks = data.draw(st.integers(1, 4))
    shape = tuple(data.draw(st.lists(st.integers(0, 7), min_size=1, max_size=3)))
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    bits = random.integers(0, 2, shape) if (dtype := data.draw(st.sampled_from(DTYPES))) is bool else None
    array = (random.standard_normal(shape) if bits is None else bits).astype(dtype)
    first, second = data.draw(boxes(shape, ranks)), data.draw(boxes(shape, ranks))

    def work(peers):
        now, then = (Among(shape, tuple(each), peers) for each in (first, second))
        mine = cut(array, now.box)
        return moved(mine, now, then), whole(mine, now), piece(array, then), peers.sent

    for arrived, joined, expected, sent in all_well(on_ranks(ranks, work)):
        assert arrived.dtype == joined.dtype == array.dtype
        assert arrived.tobytes() == np.ascontiguousarray(expected).tobytes()
        assert joined.tobytes() == array.tobytes()
        assert sent <= 3 * array.nbytes * ranks


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 40), st.integers(1, 9), st.integers(1, 6))
def test_rows_are_spread_evenly(rows, multiple, ranks):
    shape = (rows, 3)
    boxes = row_boxes(shape, multiple, ranks)
    assert sum(box.shape[0] for box in boxes) == rows
    assert all(box.offset[0] % multiple == 0 for box in boxes if box.size)
    lengths = [-(-box.shape[0] // multiple) for box in boxes]
    assert max(lengths) - min(lengths) <= 1


def test_pieces_that_fit_stay_where_they_are():
    def work(peers):
        now = Among((8, 3), tuple(even((8, 3), 0, 2)), peers)
        return by_rows(now, 4) is now, by_rows(now, 3) is now, in_rows(by_rows(now, 3), 3)

    assert all_well(on_ranks(2, work)) == [(True, False, True)] * 2


@pytest.mark.parametrize(
    "boxes", [[Box((0,), (3,))], [Box((0,), (2,)), Box((2,), (1,))], [Box((0,), (4,)), Box((2,), (2,))]]
)
def test_pieces_that_make_up_no_layer_are_refused(boxes):
    for error in on_ranks(2, lambda peers: Among((4,), tuple(boxes), peers)):
        assert isinstance(error, RankError) and "do not make it up" in str(error)


@pytest.mark.parametrize("held", [64 << 20, 1 << 7])
def test_averages_are_the_same_however_much_is_held(held, monkeypatch):
    monkeypatch.setattr(averaging, "_HELD", held)
    random = np.random.default_rng(0)
    arrays = [{"a": random.random((5, 3)), "b": random.random(17), "c": np.array(1.0)} for _ in range(3)]

    found = all_well(on_ranks(3, lambda peers: averaging.averaged(peers, arrays[peers.rank])))
    for name in arrays[0]:
        expected = (arrays[0][name] + arrays[1][name] + arrays[2][name]) / 3
        assert all(each[name].tobytes() == expected.tobytes() for each in found)


def test_averages_of_different_layers_are_refused():
    for error in on_ranks(2, lambda peers: averaging.averaged(peers, {"a": np.zeros(2 + peers.rank)})):
        assert isinstance(error, ScoreError) and "ranks scored different layers" in str(error)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 2**110), min_size=3, max_size=3))
def test_large_whole_numbers_add_up(numbers):
    assert all_well(on_ranks(3, lambda peers: total(peers, numbers[peers.rank]))) == [sum(numbers)] * 3


def test_the_largest_of_all():
    assert all_well(on_ranks(3, lambda peers: largest(peers, [0.5, 2.5, 1.0][peers.rank]))) == [2.5] * 3
