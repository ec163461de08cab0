"""The published values of automated gradual pruning, in both forms, and what holds for all options."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pruners_agp._agp import AGP

import pruners

NNI = {0: 0, 1: 0.2381, 2: 0.4236, 3: 0.5630, 5: 0.7298, 7: 0.7912, 9: 0.8, 10: 0.8}
CUBIC = {0: 0, 1: 0.2168, 2: 0.3904, 3: 0.5256, 5: 0.7, 7: 0.7784, 9: 0.7992, 10: 0.8}


@pytest.mark.parametrize(("form", "table"), [("nni", NNI), ("paper", CUBIC)])
def test_published_values(form, table):
    ramp = AGP(final_sparsity=0.8, start=0, stop=10, every=1, form=form)
    for step, value in table.items():
        assert ramp.sparsity(step) == pytest.approx(value, abs=1e-4), step
    assert ramp.sparsity(0) == 0 and ramp.sparsity(10) == 0.8


def test_nni_reaches_the_end_on_the_last_epoch_before_stop():
    ramp = AGP(final_sparsity=0.8, start=1, stop=10, every=1, form="nni")  # span 8
    assert ramp.sparsity(1) == 0 and ramp.sparsity(5) == pytest.approx(0.7) and ramp.sparsity(9) == 0.8
    assert ramp.sparsity(8) < 0.8


def test_nni_span_is_a_multiple_of_every():
    ramp = AGP(final_sparsity=0.8, start=0, stop=10, every=4, form="nni")  # span 8
    assert [ramp.sparsity(step) for step in (0, 4, 8, 12)] == pytest.approx([0, 0.7, 0.8, 0.8])


def test_nni_default_ramp_of_one_epoch_prunes_at_stop():
    ramp = AGP(final_sparsity=0.8, stop=1, form="nni")
    assert (ramp.sparsity(0), ramp.sparsity(1)) == (0, 0.8)


def test_paper_updates_n_times_after_the_first_and_then_no_more():
    ramp = AGP(final_sparsity=0.9, start=3, stop=15, every=5)
    assert [step for step in range(50) if ramp.due(step)] == [3, 8, 13]
    assert ramp.sparsity(13) == 0.9
    assert ramp.sparsity(8) == pytest.approx(0.9 * (1 - 0.5**3))


def test_nni_updates_without_end():
    ramp = AGP(final_sparsity=0.9, start=3, stop=15, every=5, form="nni")
    assert [step for step in range(30) if ramp.due(step)] == [3, 8, 13, 18, 23, 28]


def test_from_a_sparsity_above_zero():
    ramp = AGP(initial_sparsity=0.5, final_sparsity=0.9, stop=2)
    assert [ramp.sparsity(step) for step in (0, 1, 2)] == pytest.approx([0.5, 0.85, 0.9])


@st.composite
def ramps(draw):
    start, steps = draw(st.integers(0, 1000)), draw(st.integers(1, 1000))
    low, high = sorted(draw(st.lists(st.floats(0, 0.999), min_size=2, max_size=2)))
    return AGP(
        initial_sparsity=low,
        final_sparsity=high,
        start=start,
        stop=start + steps,
        every=draw(st.integers(1, steps)),
        form=draw(st.sampled_from(["paper", "nni"])),
    )


@given(ramps())
def test_never_falls_and_ends_at_its_ends(ramp):
    values = [ramp.sparsity(step) for step in range(ramp.start, ramp.stop + 2)]
    assert values == sorted(values)
    assert ramp.sparsity(ramp.start) == values[0] == ramp.initial_sparsity
    assert values[-1] == ramp.final_sparsity
    assert all(0 <= value < 1 for value in values)


@given(ramps())
def test_an_update_reaches_the_end(ramp):
    due = [step for step in range(ramp.stop + ramp.every + 1) if ramp.due(step)]
    assert due[0] == ramp.start
    assert ramp.sparsity(due[-1]) == ramp.final_sparsity


def test_between_sets_the_ends():
    ramp = AGP(stop=10)
    assert isinstance(ramp, pruners.Bounded)
    assert ramp.between(None, 0.9).sparsity(10) == 0.9
    assert ramp.between(0.25, 0.75) == AGP(initial_sparsity=0.25, final_sparsity=0.75, stop=10)
    assert AGP(final_sparsity=0.5, stop=10).between(0.25, None).final_sparsity == 0.5
    assert ramp.between(0.25, None).final_sparsity is None


def test_a_layer_that_starts_above_the_end_stays_there():
    ramp = AGP(final_sparsity=0.5, stop=10).between(0.6, None)
    assert {ramp.sparsity(step) for step in range(12)} == {0.6}


def test_without_an_end_it_says_what_to_give():
    with pytest.raises(pruners.OptionError, match="final_sparsity"):
        AGP(stop=10).sparsity(0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"initial_sparsity": -0.1}, "initial_sparsity"),
        ({"final_sparsity": 1.0}, "final_sparsity"),
        ({"final_sparsity": float("nan")}, "final_sparsity"),
        ({"initial_sparsity": 0.6, "final_sparsity": 0.5}, "final_sparsity.*0.6: 0.5"),
        ({"start": -1}, "start"),
        ({"start": 10}, "stop.*10: 10"),
        ({"stop": 1.5}, "stop"),
        ({"every": 0}, "every"),
        ({"every": 11}, "every.*10: 11"),
        ({"form": "tf"}, "form"),
    ],
)
def test_wrong_options_are_refused(wrong, message):
    with pytest.raises(pruners.OptionError, match=message):
        pruners.schedule("agp", **{"stop": 10} | wrong)
