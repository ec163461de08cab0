"""Sums that do not depend on how their terms are cut, and are as right as the divisor of scores has to be."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pruners.selection.sums import BLOCK, Anchored


def added(terms, cuts, bound):
    found = Anchored(bound)
    found.add(np.array(part) for part in np.split(terms, cuts))
    return found.value()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_sum_does_not_depend_on_the_cut(data):
    size = data.draw(st.integers(1, 3000))
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    terms = np.abs(random.standard_normal(size)) * data.draw(st.sampled_from([1e-320, 1e-30, 1.0, 1e200]))
    bound = float(terms.max())
    cuts = sorted(data.draw(st.lists(st.integers(0, size), max_size=5)))
    whole = added(terms, [], bound)
    assert added(terms, cuts, bound) == whole
    assert added(random.permutation(terms), cuts, bound) == whole
    assert whole == pytest.approx(math.fsum(terms), rel=1e-12)


def test_a_full_block_of_the_largest_is_exact():
    assert added(np.full(BLOCK, 0.75), [], 0.75) == 0.75 * BLOCK
    assert added(np.full(BLOCK, 1.0), [], 1.0) == BLOCK


def test_what_overflows_is_infinite():
    assert added(np.full(8, 1e308), [], 1e308) == math.inf
    assert added(np.array([1.0, math.inf]), [], math.inf) == math.inf
    assert added(np.zeros(3), [], 0.0) == 0.0
