"""Moffett's schedule: the published values, the inclusive end, the corner cases."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pruners_moffett._moffett import Moffett

import pruners

ROW = [0.3094, 0.5420, 0.7086, 0.8203, 0.8881, 0.9229, 0.9357, 0.9375]


def test_published_values():
    ramp = Moffett(final_sparsity=0.9375, pretrain=10, sparse=80, every=10)
    due = [step for step in range(300) if ramp.due(step)]
    assert due == [20, 30, 40, 50, 60, 70, 80, 90]
    assert [ramp.sparsity(step) for step in due] == pytest.approx(ROW, abs=1e-4)
    assert ramp.sparsity(90) == 0.9375


def test_the_last_update_reaches_the_end():
    """An earlier version of the published code stopped one short, at 0.9229."""
    ramp = Moffett(final_sparsity=0.9375, sparse=4, every=1)
    reached = [ramp.sparsity(step) for step in range(6) if ramp.due(step)]
    assert reached == pytest.approx([0.5420, 0.8203, 0.9229, 0.9375], abs=1e-4)
    assert reached[-1] == 0.9375


def test_between_updates_it_stands_still():
    ramp = Moffett(final_sparsity=0.9, pretrain=5, sparse=20, every=10)
    assert {ramp.sparsity(step) for step in range(15)} == {0}
    assert {ramp.sparsity(step) for step in range(15, 25)} == {ramp.sparsity(15)}
    assert ramp.sparsity(15) == pytest.approx(0.9 * (1 - 0.5**3))
    assert {ramp.sparsity(step) for step in range(25, 99)} == {0.9}


def test_sparse_zero_prunes_once_after_pretraining():
    ramp = Moffett(final_sparsity=0.9, pretrain=7)
    assert [step for step in range(999) if ramp.due(step)] == [8]
    assert (ramp.sparsity(7), ramp.sparsity(8)) == (0, 0.9)


def test_sparse_that_is_no_multiple_of_every():
    ramp = Moffett(final_sparsity=0.8, sparse=25, every=10)  # two updates
    assert [step for step in range(99) if ramp.due(step)] == [10, 20]
    assert [ramp.sparsity(step) for step in (10, 20)] == pytest.approx([0.7, 0.8])


def test_from_what_is_zero_already():
    ramp = Moffett(sparse=2, every=1).between(0.5, 0.9)
    assert [ramp.sparsity(step) for step in (0, 1, 2)] == pytest.approx([0.5, 0.85, 0.9])


@st.composite
def ramps(draw):
    every = draw(st.integers(1, 50))
    low, high = sorted(draw(st.lists(st.floats(0, 0.999), min_size=2, max_size=2)))
    return Moffett(
        initial_sparsity=low,
        final_sparsity=high,
        pretrain=draw(st.integers(0, 100)),
        sparse=draw(st.just(0) | st.integers(every, 500)),
        every=every,
    )


@given(ramps())
def test_never_falls_and_ends_at_its_ends(ramp):
    values = [ramp.sparsity(step) for step in range(ramp.pretrain + ramp.sparse + 2)]
    assert values == sorted(values)
    assert (values[0], values[-1]) == (ramp.initial_sparsity, ramp.final_sparsity)


@given(ramps())
def test_it_rises_at_updates_only_and_the_last_one_reaches_the_end(ramp):
    steps = range(1, ramp.pretrain + ramp.sparse + 2)
    due = [step for step in steps if ramp.due(step)]
    assert ramp.sparsity(due[-1]) == ramp.final_sparsity
    assert {step for step in steps if ramp.sparsity(step) != ramp.sparsity(step - 1)} <= set(due)


def test_between_sets_the_ends():
    ramp = Moffett(sparse=100)
    assert isinstance(ramp, pruners.Bounded)
    assert ramp.between(None, 0.9).final_sparsity == 0.9
    assert ramp.between(0.6, 0.5).final_sparsity == 0.6
    assert ramp.between(0.25, None).final_sparsity is None


def test_without_an_end_it_says_what_to_give():
    with pytest.raises(pruners.OptionError, match="final_sparsity"):
        Moffett().sparsity(0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"sparse": 99}, "sparse.*every.*100.*99"),
        ({"sparse": -1}, "sparse"),
        ({"pretrain": -1}, "pretrain"),
        ({"pretrain": 1.5}, "pretrain"),
        ({"every": 0}, "every"),
        ({"final_sparsity": 1.0}, "final_sparsity"),
        ({"initial_sparsity": 0.6, "final_sparsity": 0.5}, "final_sparsity.*0.6: 0.5"),
    ],
)
def test_wrong_options_are_refused(wrong, message):
    with pytest.raises(pruners.OptionError, match=message):
        pruners.schedule("moffett", **wrong)
