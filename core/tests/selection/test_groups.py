"""Exactly so many in every group, against a stable sort of each group."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pruners import OptionError, ScoreError
from pruners.selection import Ranking, groups, keep_per_group

DTYPES = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]


def expected(ranking, size, keep, axis):
    values = np.moveaxis(ranking.values().astype(np.float64), axis, -1)
    alive = np.ones(ranking.shape, bool) if ranking.alive is None else ranking.alive
    alive = np.moveaxis(alive, axis, -1)
    mask = np.ones(values.shape, bool)
    for index in np.ndindex(values.shape[:-1]):
        for start in range(0, values.shape[-1], size):
            group = values[index][start : start + size]
            pruned = max(0, len(group) - keep)
            order = np.lexsort((group, alive[index][start : start + size]))
            mask[index][start + order[:pruned]] = False
    return np.moveaxis(mask, -1, axis)


@st.composite
def layers(draw):
    shape = draw(st.lists(st.integers(0, 5), min_size=1, max_size=4))
    shape[draw(st.integers(0, len(shape) - 1))] = draw(st.integers(0, 70))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = generator.standard_normal(shape)
    if draw(st.booleans()):
        values = np.round(values)
    if draw(st.booleans()):
        values = np.where(generator.random(shape) < 0.3, generator.choice([-0.0, np.inf, -np.inf]), values)
    array = np.asarray(values).astype(draw(st.sampled_from(DTYPES)))
    array = array.transpose(draw(st.permutations(range(array.ndim))))
    if draw(st.booleans()):
        array = array[::-1]
    if draw(st.booleans()):
        array = array[..., ::2]
    alive = generator.random(array.shape) < 0.5 if draw(st.booleans()) else None
    return Ranking("w", array, draw(st.booleans()), alive)


@settings(max_examples=300, deadline=None)
@given(ranking=layers(), size=st.integers(1, 40), data=st.data())
def test_groups_equal_a_stable_sort(ranking, size, data):
    keep = data.draw(st.integers(0, size))
    axis = data.draw(st.integers(0, len(ranking.shape) - 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(groups, "CHUNK", data.draw(st.sampled_from([1, 64, 1 << 17])))
        mask = keep_per_group(ranking, size, keep, axis=axis)
    np.testing.assert_array_equal(mask, expected(ranking, size, keep, axis))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("size", "keep"), [(4, 2), (8, 4), (16, 8), (64, 16), (64, 6)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_large_weights_with_ties_keep_exactly_so_many(dtype, size, keep, order):
    x = np.random.default_rng(0).standard_normal((160, 1024)).astype(dtype)  # bfloat16 ties by itself
    x = np.array(x, order=order)
    x[:8] = 0
    mask = keep_per_group(Ranking("w", x, True), size, keep)
    assert (mask.reshape(160, -1, size).sum(-1) == keep).all()
    rows = np.abs(x.astype(np.float64)).reshape(-1, size)
    low = np.argsort(rows, axis=1, kind="stable")[:, : size - keep]
    assert not np.take_along_axis(np.ascontiguousarray(mask).reshape(-1, size), low, axis=1).any()


def test_a_shorter_group_at_the_end_can_have_its_own_count():
    w = np.arange(1.0, 11.0).reshape(1, 10)
    kept = keep_per_group(Ranking("w", w), 4, 1, keep_rest=2).astype(int).tolist()
    assert kept == [[0, 0, 0, 1, 0, 0, 0, 1, 1, 1]]
    assert keep_per_group(Ranking("w", w), 4, 1).astype(int).tolist() == [[0, 0, 0, 1, 0, 0, 0, 1, 0, 1]]


@pytest.mark.parametrize("size", [4, 32])
@pytest.mark.parametrize("keep", [0, 2, "all"])
def test_nan_is_refused_whatever_is_kept(size, keep):
    w = np.ones((3, 64))
    w[1, 5] = np.nan
    with pytest.raises(ScoreError, match="flat index 69"):
        keep_per_group(Ranking("w", w), size, size if keep == "all" else keep)


@pytest.mark.parametrize(
    ("size", "keep", "axis", "message"),
    [(4, 5, 1, "keep is 5 of 4"), (0, 0, 1, "keep is 0 of 0"), (4, 2, 2, "axis is 2, but 'w'")],
)
def test_wrong_arguments_are_named(size, keep, axis, message):
    with pytest.raises(OptionError, match=message):
        keep_per_group(Ranking("w", np.zeros((4, 4))), size, keep, axis=axis)
