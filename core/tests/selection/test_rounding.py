"""Every rounding rule against its formula, written out with exact fractions and a sort."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruners import OptionError
from pruners.selection import RULES, Multiple, Ranking, choose_masks, rounding_rule

SPARSITIES = [0.1, 0.3, 0.5, 0.8, 0.9]


def masks(scores, s, rounding):
    ranking = Ranking("w", np.asarray(scores, np.float64))
    return choose_masks({"w": ranking}, s, rounding=rounding).masks["w"]


def pruned_of_seven(rounding):
    return [7 - int(masks(np.arange(1.0, 8.0), s, rounding).sum()) for s in SPARSITIES]


@pytest.mark.parametrize(
    ("rounding", "pruned", "tied"),
    [
        ("floor", [0, 2, 3, 5, 6], [0, 0, 1, 1]),
        ("round", [1, 2, 4, 6, 6], [0, 0, 1, 1]),
        ("gt", [0, 2, 3, 5, 6], [0, 0, 0, 1]),
        ("gt_nm1", [1, 2, 4, 5, 6], [0, 0, 0, 1]),
        ("keep_ge", [1, 2, 3, 6, 6], [1, 1, 1, 1]),
        ("keep_low", [1, 2, 3, 6, 6], [1, 0, 0, 1]),
        ("keep_floor", [1, 3, 4, 6, 7], [0, 0, 1, 1]),
        ("keep_floor_ge", [1, 3, 4, 6, 7], [1, 1, 1, 1]),
        ("keep_ceil", [0, 2, 3, 5, 6], [1, 1, 1, 1]),
        ("pct_le", [1, 2, 4, 5, 6], [0, 0, 0, 1]),
        ("le_kth", [1, 3, 4, 6, 7], [0, 0, 0, 1]),
        (("multiple", 1), [0, 2, 3, 5, 6], [0, 0, 1, 1]),
        (("multiple", 4), [0, 0, 3, 3, 3], [1, 1, 1, 1]),
    ],
)
def test_the_table_of_rules(rounding, pruned, tied):
    assert pruned_of_seven(rounding) == pruned
    assert masks([1, 1, 1, 2], 0.5, rounding).astype(int).tolist() == tied


def literal(rounding, scores, s):
    """Return the mask that the published formula gives, with `s` taken as the decimal it is written as."""
    n, s = len(scores), Fraction(str(s))
    rising = np.sort(scores)
    falling = rising[::-1]

    def cheapest(k, highest_index=False):
        index = np.arange(n)
        order = np.lexsort((-index if highest_index else index, scores))
        mask = np.ones(n, bool)
        mask[order[:k]] = False
        return mask

    kept_nearest = max(round(n * (1 - s)), 1)
    kept_floor = math.floor(n * (1 - s))
    if rounding == "floor":
        return cheapest(math.floor(s * n))
    if rounding == "gt":
        k = math.floor(s * n)
        return scores > rising[k - 1] if k else np.ones(n, bool)
    if rounding in ("gt_nm1", "pct_le"):
        return scores > rising[math.floor((n - 1) * s)]
    if rounding == "keep_ge":
        return scores >= falling[kept_nearest - 1]
    if rounding == "keep_low":
        return cheapest(n - kept_nearest, highest_index=True)
    if rounding == "keep_floor":
        return cheapest(n - kept_floor)
    if rounding == "keep_floor_ge":
        return scores >= falling[kept_floor - 1] if kept_floor else np.zeros(n, bool)
    if rounding == "keep_ceil":
        return scores >= falling[math.ceil(n * (1 - s)) - 1]
    if rounding == "le_kth":
        return scores > rising[math.floor(n * s)]
    return cheapest(n - min(n, math.ceil(n * (1 - s) / rounding[1]) * rounding[1]))


EXACT = [name for name in RULES if name != "round"]


@pytest.mark.parametrize("rounding", [*EXACT, ("multiple", 3), ("multiple", 8)])
@given(
    scores=st.lists(st.integers(0, 6) | st.integers(0, 1000), min_size=1, max_size=60),
    hundredths=st.integers(1, 99),
)
def test_rules_equal_their_literal_formulas(rounding, scores, hundredths):
    scores = np.array(scores, float)
    s = hundredths / 100
    np.testing.assert_array_equal(masks(scores, s, rounding), literal(rounding, scores, s))


@given(n=st.integers(1, 500), hundredths=st.integers(1, 99))
def test_round_is_what_torch_computes(n, hundredths):
    s = hundredths / 100
    assert rounding_rule("round")(n, s) == (round(s * n), "lower")


def test_percentile_rule_equals_numpy():
    scores = np.random.default_rng(0).standard_normal(97)
    for s in (0.05, 0.25, 0.5, 0.625, 0.9):
        np.testing.assert_array_equal(masks(scores, s, "pct_le"), scores > np.percentile(scores, 100 * s))


@pytest.mark.parametrize(
    ("n", "s", "k"), [(10, 0.8, 8), (100, 0.29, 29), (1000, 0.001, 1), (3, 0.3333333, 0)]
)
def test_floor_is_not_fooled_by_binary_fractions(n, s, k):
    assert rounding_rule("floor")(n, s) == (k, "lower")
    assert rounding_rule("keep_floor")(n, round(1 - s, 12))[0] == n - k


@pytest.mark.parametrize("rounding", [*RULES, ("multiple", 5), Multiple(3), lambda n, s: (n, "lower")])
@pytest.mark.parametrize("n", [0, 1, 7])
def test_nothing_is_pruned_at_sparsity_zero(rounding, n):
    assert rounding_rule(rounding)(n, 0.0)[0] == 0
    assert masks(np.ones(n), 0.0, rounding).all()


def test_a_rule_of_ones_own():
    assert masks([3.0, 1.0, 2.0], 0.1, lambda n, s: (n - 1, "lower")).tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("rounding", "message"),
    [
        ("ceil", "rounding is 'ceil'; choose from floor, round"),
        (("multiple", 0), "'multiple' takes an integer from 1"),
        (("multiple", 2.5), "'multiple' takes an integer from 1"),
        (("divisor", 2), "choose from"),
        (3, "rounding is 3"),
    ],
)
def test_unknown_rules_are_refused(rounding, message):
    with pytest.raises(OptionError, match=message):
        rounding_rule(rounding)
