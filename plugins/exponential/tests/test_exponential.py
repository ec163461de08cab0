"""The exponential ramp: its values, and what holds for all options."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pruners_exponential._exponential import Exponential

import pruners

TABLE = {0: 0, 1: 0.1487, 2: 0.2752, 3: 0.3830, 5: 0.5528, 7: 0.6759, 9: 0.7651, 10: 0.8}


def test_published_values():
    ramp = Exponential(final_sparsity=0.8, start=0, stop=10)
    for step, value in TABLE.items():
        assert ramp.sparsity(step) == pytest.approx(value, abs=1e-4), step
    assert ramp.sparsity(0) == 0 and ramp.sparsity(10) == 0.8


def test_every_update_takes_the_same_share_of_what_is_left():
    ramp = Exponential(initial_sparsity=0.2, final_sparsity=1 - 0.8 * 0.5**4, start=10, stop=14)
    assert [1 - ramp.sparsity(step) for step in range(10, 15)] == pytest.approx([0.8, 0.4, 0.2, 0.1, 0.05])


def test_rounds_of_a_fifth_of_the_rest():
    rounds = Exponential(final_sparsity=1 - 0.8**2, stop=2)
    assert rounds.sparsity(1) == pytest.approx(0.2) and rounds.sparsity(2) == pytest.approx(0.36)


def test_updates_include_the_end():
    ramp = Exponential(final_sparsity=0.9, start=3, stop=15, every=5)
    assert [step for step in range(50) if ramp.due(step)] == [3, 8, 13, 15]


@st.composite
def ramps(draw):
    start, steps = draw(st.integers(0, 1000)), draw(st.integers(1, 1000))
    low, high = sorted(draw(st.lists(st.floats(0, 0.999), min_size=2, max_size=2)))
    every = draw(st.integers(1, 1500))
    return Exponential(
        initial_sparsity=low, final_sparsity=high, start=start, stop=start + steps, every=every
    )


@given(ramps())
def test_never_falls_and_ends_at_its_ends(ramp):
    values = [ramp.sparsity(step) for step in range(max(0, ramp.start - 2), ramp.stop + 3)]
    assert values == sorted(values)
    assert values[0] == ramp.sparsity(ramp.start) == ramp.initial_sparsity
    assert ramp.sparsity(ramp.stop) == values[-1] == ramp.final_sparsity
    assert all(0 <= value < 1 for value in values)


@given(ramps())
def test_updates_run_from_start_to_stop(ramp):
    due = [step for step in range(ramp.stop + 2000) if ramp.due(step)]
    assert (due[0], due[-1]) == (ramp.start, ramp.stop)
    assert all(step - ramp.start == index * ramp.every for index, step in enumerate(due[:-1]))


def test_between_sets_the_ends():
    ramp = Exponential(stop=10)
    assert isinstance(ramp, pruners.Bounded)
    assert ramp.between(None, 0.9).sparsity(10) == 0.9
    assert ramp.between(0.25, 0.75) == Exponential(initial_sparsity=0.25, final_sparsity=0.75, stop=10)
    assert Exponential(final_sparsity=0.5, stop=10).between(0.25, None).final_sparsity == 0.5
    assert ramp.between(0.25, None).final_sparsity is None


def test_a_layer_that_starts_above_the_end_stays_there():
    ramp = Exponential(final_sparsity=0.5, stop=10).between(0.6, None)
    assert {ramp.sparsity(step) for step in range(12)} == {0.6}


def test_without_an_end_it_says_what_to_give():
    with pytest.raises(pruners.OptionError, match="final_sparsity"):
        Exponential(stop=10).sparsity(0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"initial_sparsity": -0.1}, "initial_sparsity"),
        ({"final_sparsity": 1.0}, "final_sparsity"),
        ({"initial_sparsity": 0.6, "final_sparsity": 0.5}, "final_sparsity.*0.6: 0.5"),
        ({"start": -1}, "start"),
        ({"start": 10}, "stop.*10: 10"),
        ({"stop": 1.5}, "stop"),
        ({"every": 0}, "every"),
    ],
)
def test_wrong_options_are_refused(wrong, message):
    with pytest.raises(pruners.OptionError, match=message):
        pruners.schedule("exponential", **{"stop": 10} | wrong)
