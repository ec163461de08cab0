"""FPGM: the published tables, exact ties, and distances that are accurate where a Gram matrix is not."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pruners_fpgm._fpgm import distance_sums

import pruners

LINE = np.arange(1.0, 11.0).reshape(10, 1)
whole = hnp.arrays(
    np.float64, st.tuples(st.integers(1, 9), st.integers(1, 5)), elements=st.integers(-6, 6).map(float)
)


def scores(weight, **options):
    return pruners.scores({"w": np.asarray(weight)}, pruners.pruner("fpgm", **options))["w"]


def gone(weight, sparsity, **options):
    masks = pruners.masks({"w": weight}, pruners.pruner("fpgm", **options), sparsity=sparsity)
    return np.flatnonzero(~masks["w"].any(axis=1)).tolist()


def plainly(rows):
    """Every distance from its definition, added without rounding."""
    return [math.fsum(math.dist(row, other) for other in rows.tolist()) for row in rows.tolist()]


def test_the_worked_example():
    found = scores([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [5.0, 5.0]])
    np.testing.assert_allclose(found, [10.071, 9.639, 10.067, 19.305], atol=5e-4)


@pytest.mark.parametrize(("sparsity", "pruned"), [(0.2, [4, 5]), (0.6, [2, 3, 4, 5, 6, 7]), (0.3, [3, 4, 5])])
def test_symmetric_ties(sparsity, pruned):
    assert gone(LINE, sparsity) == pruned


def test_the_two_published_stages():
    """rate_keep_norm_per_layer=0.9, rate_dist_per_layer=0.3: norm drops {0}, distance {4, 5, 6}."""
    assert gone(LINE, 0.1 + 0.3, keep_norm=0.9) == [0, 4, 5, 6]
    assert scores(LINE, keep_norm=0.9).tolist() == [-1, 36, 29, 24, 21, 20, 21, 24, 29, 36]


def test_norms_alone_decide_below_the_first_stage():
    weight = np.array([[3.0], [-1.0], [2.0], [0.5], [-4.0]])
    assert scores(weight, keep_norm=0.4)[[3, 1, 2]].tolist() == [-3, -2, -1]
    assert [gone(weight, s, keep_norm=0.4) for s in (0.2, 0.4, 0.6)] == [[3], [1, 3], [1, 2, 3]]


@pytest.mark.parametrize("keep", [0.9, 0.8, 0.7, 0.3])
def test_the_first_stage_counts_in_decimal(keep):
    """10 * (1 - 0.9) is 0.99999...: one filter goes all the same."""
    assert (scores(LINE, keep_norm=keep) < 0).sum() == round(10 * (1 - keep))


def test_two_filters_and_one_are_tied():
    assert scores([[1.0, 2.0], [4.0, 6.0]]).tolist() == [5.0, 5.0]
    assert scores([[1.0, 2.0]]).tolist() == [0.0]


def test_equal_filters_have_equal_scores():
    rows = np.random.default_rng(0).normal(size=(40, 300)).astype(np.float32)
    rows[[7, 23, 39]] = rows[0]
    found = scores(rows)
    assert found[0] == found[7] == found[23] == found[39]


def test_a_common_offset_costs_no_digits():
    rows = np.random.default_rng(1).normal(size=(12, 30))
    expected = plainly(rows)
    np.testing.assert_allclose(scores(rows + 1e6), plainly(rows + 1e6), rtol=1e-9)
    np.testing.assert_allclose(scores(rows), expected, rtol=1e-10)


@pytest.mark.parametrize("factor", [1e-30, 1e30])
def test_the_ends_of_float32(factor):
    rows = (np.random.default_rng(2).normal(size=(6, 8)) * factor).astype(np.float32)
    np.testing.assert_allclose(scores(rows), plainly(rows.astype(np.float64)), rtol=1e-10)


def test_float64_does_not_overflow():
    np.testing.assert_allclose(scores([[1e200], [3e200], [2e200]]), [3e200, 3e200, 2e200])


@settings(max_examples=200, deadline=None)
@given(whole)
def test_sums_are_the_definition(rows):
    np.testing.assert_allclose(distance_sums(rows), plainly(rows), rtol=1e-11, atol=1e-11)


@settings(max_examples=100, deadline=None)
@given(whole, st.integers(-20, 20), st.randoms(use_true_random=False))
def test_scale_and_order_do_not_matter(rows, exponent, random):
    order = random.sample(range(len(rows)), len(rows))
    np.testing.assert_array_equal(scores(rows * 2.0**exponent), scores(rows) * 2.0**exponent)
    np.testing.assert_array_equal(scores(rows[order]), scores(rows)[order])
    np.testing.assert_array_equal(scores(-rows), scores(rows))


@settings(max_examples=50, deadline=None)
@given(whole, st.floats(0.01, 1))
def test_the_norm_stage_ranks_below_and_leaves_distances_among_the_rest(rows, keep):
    found = scores(rows, keep_norm=keep)
    dropped = found < 0
    assert dropped.sum() == math.floor(len(rows) * (1 - keep) + 1e-9)
    norms = np.square(rows).sum(axis=1)
    assert norms[dropped].max(initial=0) <= norms[~dropped].min(initial=np.inf)
    np.testing.assert_allclose(found[~dropped], plainly(rows[~dropped]), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_weight_that_is_no_number_is_named(bad):
    model = {"w": np.array([[1.0, bad], [2.0, 3.0]])}
    with pytest.raises(pruners.ScoreError, match="'fpgm', score of 'w' is NaN"):
        pruners.prune(model, "fpgm", sparsity=0.5)
    np.testing.assert_array_equal(model["w"], [[1.0, bad], [2.0, 3.0]])


@pytest.mark.parametrize("keep", [0, -0.1, 1.1])
def test_a_wrong_fraction_is_refused(keep):
    with pytest.raises(pruners.OptionError, match="keep_norm"):
        pruners.pruner("fpgm", keep_norm=keep)
