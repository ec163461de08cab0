"""Filter norms: the published table, any p, and no overflow."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import pruners

WEIGHTS = np.array([[3.0, 4.0], [1.0, 0.0], [0.0, 2.0], [-6.0, 8.0], [0.5, 0.5]])
rows = hnp.arrays(
    np.float64, st.tuples(st.integers(1, 6), st.integers(1, 5)), elements=st.floats(-100, 100, width=32)
)


def scores(weight, p):
    return pruners.scores({"w": weight}, pruners.pruner("filter-norm", p=p))["w"]


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        (1, [7, 1, 2, 14, 1]),
        (2, [5, 1, 2, 10, 0.70711]),
        (math.inf, [4, 1, 2, 8, 0.5]),
        (0.5, [13.9282, 1, 2, 27.8564, 2]),
        (3, [4.49794, 1, 2, 8.99588, 0.62996]),
    ],
)
def test_the_worked_example(p, expected):
    np.testing.assert_allclose(scores(WEIGHTS, p), expected, rtol=1e-5)


def test_keep_rates_count_in_decimal():
    """Of 10 filters keep_rate=0.8 prunes two, though 10 * (1 - 0.8) is 1.9999999999999996."""
    mask = pruners.masks({"w": np.arange(1.0, 11).reshape(10, 1)}, "filter-norm", sparsity=1 - 0.8)["w"]
    assert np.flatnonzero(~mask).tolist() == [0, 1]


def test_the_paper_and_the_default_are_l1():
    assert scores(WEIGHTS, 1).tolist() == pruners.scores({"w": WEIGHTS}, "filter-norm")["w"].tolist()


@settings(max_examples=100, deadline=None)
@given(rows, st.sampled_from([0.3, 1, 1.5, 2, 7, 40, math.inf]), st.integers(-30, 30))
def test_norms_are_numpys_scale_and_keep_the_order_of_filters(weight, p, exponent):
    found = scores(weight, p)
    with np.errstate(over="ignore", under="ignore", divide="ignore"):
        expected = np.linalg.norm(weight, ord=p, axis=1)
    plain = np.isfinite(expected) & (np.abs(weight) > 1e-6).all(axis=1)
    np.testing.assert_allclose(found[plain], expected[plain], rtol=1e-9)
    np.testing.assert_allclose(scores(weight * 2.0**exponent, p), found * 2.0**exponent, rtol=1e-12)
    np.testing.assert_array_equal(scores(weight[::-1], p), found[::-1])


def test_the_ends_of_the_range():
    weight = np.array([[1e200, 1e200], [1e-200, 0.0], [0.0, 0.0]])
    np.testing.assert_allclose(scores(weight, 2), [math.sqrt(2) * 1e200, 1e-200, 0.0])
    np.testing.assert_allclose(scores(weight, 50), [2 ** (1 / 50) * 1e200, 1e-200, 0.0])


def test_a_norm_that_overflows_is_refused():
    with pytest.raises(pruners.ScoreError, match="layer 'w': the norm with p=0.001.*take a larger p"):
        scores(np.ones((2, 50)), 0.001)


def test_a_weight_that_is_no_number_is_named():
    with pytest.raises(pruners.ScoreError, match="score of 'w' is NaN"):
        pruners.masks({"w": np.array([[np.nan, 1.0], [1.0, 1.0]])}, "filter-norm", sparsity=0.5)
    assert scores(np.array([[np.inf, 1.0], [1.0, 1.0]]), 2)[0] == np.inf


@pytest.mark.parametrize("p", [0, -1, math.nan])
def test_a_wrong_p_is_refused(p):
    with pytest.raises(pruners.OptionError, match="'p'"):
        pruners.pruner("filter-norm", p=p)
