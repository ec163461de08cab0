"""Pooled exact selection against the obvious way to do it: sort everything, stably."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pruners import OptionError, ScoreError
from pruners.selection import Ranking, kernel, keys, parts, select, ties

DTYPES = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]
SPECIAL = [0.0, -0.0, 1e-7, -1e-7, 1e-40, 5e-324, np.inf, -np.inf, 1.0, -1.0, 0.5]


def expected(rankings, k, tie):
    """Return one flat mask of the pool, from a full stable sort of (alive, score)."""
    alive = [np.ones(r.size, bool) if r.alive is None else r.alive.ravel() for r in rankings]
    values = []
    for r in rankings:
        v = r.scores.astype(np.float64).ravel() + 0.0
        values.append(np.abs(v) if r.magnitude else v)
    alive = np.concatenate(alive)
    values = np.where(alive, np.concatenate(values), -np.inf)
    index = np.arange(values.size)
    order = np.lexsort((-index if tie == "upper" else index, values, alive))
    mask = np.ones(values.size, bool)
    mask[order[:k]] = False
    if tie in ("keep", "prune") and 0 < k < values.size:
        last, first = order[k - 1], order[k]
        if values[last] == values[first] and alive[last] == alive[first]:
            mask[(values == values[last]) & (alive == alive[last])] = tie == "keep"
    return mask


def flat(masks):
    return np.concatenate([mask.ravel() for mask in masks])


@st.composite
def arrays(draw, dtype):
    """Arrays with few or many ties, special values, and strides of every kind."""
    shape = tuple(draw(st.lists(st.integers(0, 9), max_size=3)))
    seed = draw(st.integers(0, 2**32 - 1))
    generator = np.random.default_rng(seed)
    values = generator.standard_normal(shape) * draw(st.sampled_from([1.0, 1e-6]))
    if draw(st.booleans()):
        values = np.round(values * 2) / 2
    if draw(st.booleans()):
        values = np.where(generator.random(shape) < 0.4, generator.choice(SPECIAL, size=shape), values)
    with np.errstate(over="ignore", under="ignore"):
        array = np.asarray(values).astype(dtype)
    array = array.transpose(draw(st.permutations(range(array.ndim))))
    if array.ndim and draw(st.booleans()):
        array = array[::-1]
    if array.ndim and draw(st.booleans()):
        array = array[..., ::2]
    return array


@st.composite
def pools(draw):
    same = draw(st.booleans())
    dtype = draw(st.sampled_from(DTYPES))
    rankings = []
    for index in range(draw(st.integers(1, 3))):
        array = draw(arrays(dtype if same else draw(st.sampled_from(DTYPES))))
        alive = None
        if draw(st.booleans()):
            generator = np.random.default_rng(draw(st.integers(0, 99)))
            alive = np.asarray(generator.random(array.shape) < draw(st.sampled_from([0.0, 0.3, 0.9])))
        rankings.append(Ranking(f"layer{index}", array, draw(st.booleans()), alive))
    return rankings


@pytest.mark.parametrize("small", [0, 1 << 16], ids=["sampled", "all candidates"])
@pytest.mark.parametrize("tie", ["lower", "upper", "keep", "prune"])
@settings(max_examples=100, deadline=None)
@given(pool=pools(), data=st.data())
def test_the_kernel_equals_a_stable_sort(small, tie, pool, data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel, "SMALL", small)
        for module in (kernel, keys, ties):
            patch.setattr(module, "CHUNK", 16)
        patch.setattr(parts.blocks, "__defaults__", (16,))
        k = data.draw(st.integers(0, sum(r.size for r in pool)))
        masks = select(pool, k, tie)
    assert [m.shape for m in masks] == [r.shape for r in pool]
    assert [m.dtype for m in masks] == [np.dtype(bool)] * len(pool)
    np.testing.assert_array_equal(flat(masks), expected(pool, k, tie))


LARGE = 300_001


def layouts():
    x = np.random.default_rng(0).standard_normal(LARGE).astype(np.float32)
    zeros = np.where(np.abs(x) < 1.2, 0, x).astype(np.float32)
    square = x[: 540 * 540].reshape(540, 540)
    return {
        "normal": x,
        "float16": x.astype(np.float16),
        "bfloat16": x.astype(ml_dtypes.bfloat16),
        "all equal": np.full(LARGE, 3.0, np.float32),
        "constant zero": np.zeros(LARGE, np.float32),
        "already sparse": zeros,
        "few values": np.round(x * 2),
        "sorted": np.sort(x),
        "falling": np.sort(x)[::-1],
        "two values": (x > 0).astype(np.float64),
        "transposed": square.T,
        "transposed ties": np.round(square * 2).T,
        "all equal, transposed": np.zeros_like(square).T,
        "every other": x[::2],
        "columns": square[:, ::3],
        "broadcast": np.broadcast_to(square[:, :1], (540, 540)),
        "permuted": x[: 66**3].reshape(66, 66, 66).transpose(1, 2, 0),
    }


@pytest.mark.parametrize("name", layouts())
@pytest.mark.parametrize("tie", ["lower", "upper", "keep", "prune"])
def test_large_layers_with_every_distribution_and_stride(name, tie):
    ranking = [Ranking("w", layouts()[name], magnitude=True)]
    for share in (0.001, 0.5, 0.77, 0.9, 0.999):
        k = int(share * ranking[0].size)
        np.testing.assert_array_equal(flat(select(ranking, k, tie)), expected(ranking, k, tie))


def test_ties_straddling_layers_fall_in_the_order_of_the_layers():
    pool = [Ranking(str(i), np.full((300, 400), 2.0, np.float32)[:, : 400 - i]) for i in range(3)]
    for tie in ("lower", "upper"):
        for k in (1, 120_000, 120_001, 200_000, 300_000):
            np.testing.assert_array_equal(flat(select(pool, k, tie)), expected(pool, k, tie))


def test_a_sample_that_misleads_only_costs_time():
    step = kernel._prime(int(LARGE ** (1 / 3) / 2))
    x = np.random.default_rng(0).standard_normal(LARGE)
    x[step // 2 :: step] = 1e3 + np.arange(len(x[step // 2 :: step]))  # all that the sample will see
    for k in (1000, LARGE // 2, LARGE - 1000):
        pool = [Ranking("w", x)]
        np.testing.assert_array_equal(flat(select(pool, k)), expected(pool, k, "lower"))


def test_dead_weights_rank_before_living_zeros_and_minus_infinity():
    alive = np.array([True, True, False, True])
    scores = np.array([-np.inf, 0.0, 5.0, 1.0])
    assert select([Ranking("w", scores, alive=alive)], 1)[0].tolist() == [True, True, False, True]
    zeros = np.zeros(4, np.float32)
    assert select([Ranking("w", zeros, True, alive)], 1)[0].tolist() == [True, True, False, True]
    assert select([Ranking("w", zeros, True, alive)], 2)[0].tolist() == [False, True, False, True]


def test_infinities_are_the_ends_and_negative_zero_is_zero():
    scores = np.array([np.inf, -0.0, -np.inf, 0.0, 1e-45], np.float32)
    assert select([Ranking("w", scores)], 1)[0].tolist() == [True, True, False, True, True]
    assert select([Ranking("w", scores)], 2)[0].tolist() == [True, False, False, True, True]
    assert select([Ranking("w", scores, True)], 2)[0].tolist() == [True, False, True, False, True]


def test_scale_makes_layers_comparable():
    a = Ranking("a", np.array([10.0, 40.0], np.float32), scale=10.0)
    b = Ranking("b", np.array([2.0, 3.0], np.float16))
    assert [m.tolist() for m in select([a, b], 2)] == [[False, True], [False, True]]


def test_extreme_scales_do_not_overflow():
    a = Ranking("a", np.array([1e-40, 3e-40], np.float32), scale=1e-40)
    b = Ranking("b", np.array([2.0, 4.0], np.float32))
    assert [m.tolist() for m in select([a, b], 2)] == [[False, True], [False, True]]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("magnitude", [True, False])
@pytest.mark.parametrize("k", [0, 3, 12])
def test_nan_is_refused_with_its_place(dtype, magnitude, k):
    scores = np.arange(12.0).reshape(3, 4)
    scores[1, 3] = np.nan
    for sign in (1, -1):
        ranking = Ranking("fc.weight", np.asfortranarray(sign * scores).astype(dtype), magnitude)
        with pytest.raises(ScoreError, match=r"'fc\.weight' is NaN at flat index 7 \(1 in all\)"):
            select([ranking], k)


def test_nan_under_a_dead_weight_is_still_refused():
    with pytest.raises(ScoreError, match="flat index 0"):
        select([Ranking("w", np.array([np.nan, 1.0]), alive=np.array([False, True]))], 1)


def test_scores_are_not_changed_and_may_be_read_only():
    scores = np.random.default_rng(0).standard_normal((50, 60))
    before = scores.copy()
    scores.setflags(write=False)
    select([Ranking("w", scores, True)], 1000)
    np.testing.assert_array_equal(scores, before)


@pytest.mark.parametrize(
    ("k", "tie", "message"), [(5, "lower", "k is 5; 4 weights"), (1, "first", "ties is 'first'")]
)
def test_wrong_arguments_are_named(k, tie, message):
    with pytest.raises(OptionError, match=message):
        select([Ranking("w", np.zeros(4))], k, tie)


def test_empty_scalar_and_single():
    assert select([], 0) == []
    assert select([Ranking("w", np.zeros((0, 3)))], 0)[0].shape == (0, 3)
    assert select([Ranking("w", np.array(2.0))], 0)[0].tolist() is True
    assert select([Ranking("w", np.array(2.0))], 1)[0].tolist() is False
    assert select([Ranking("w", np.zeros((1, 1, 1)))], 1)[0].tolist() == [[[False]]]


def test_masks_lie_in_memory_as_the_scores_do():
    scores = np.random.default_rng(0).standard_normal((5, 4, 3)).transpose(2, 0, 1)
    assert select([Ranking("w", scores)], 20)[0].strides == tuple(s // 8 for s in scores.strides)
    assert min(select([Ranking("w", scores[::-1])], 20)[0].strides) > 0
