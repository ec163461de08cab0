"""Paddle's hooks: the published values of both formulas, and the counts they lead to."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pruners_paddle._paddle import Paddle, PaddleStatic

import pruners

CODE = {0: 0.2232, 1: 0.3537, 2: 0.4463, 3: 0.5181, 5: 0.6265, 7: 0.7074, 9: 0.7720, 10: 0.8}
FIGURE = {0: 0, 1: 0.2313, 2: 0.3665, 3: 0.4625, 5: 0.5978, 7: 0.6938, 9: 0.7682, 10: 0.8}
DEFAULTS = {0: 0.1682, 3: 0.2666, 6: 0.3364, 30: 0.6029, 57: 0.7387, 60: 0.75}


@pytest.mark.parametrize(("variant", "table"), [("code", CODE), ("figure", FIGURE)])
def test_published_values(variant, table):
    ramp = Paddle(final_sparsity=0.8, interval=1, end=10, variant=variant)
    for step, value in table.items():
        assert ramp.sparsity(step) == pytest.approx(value, abs=1e-4), step
    assert ramp.sparsity(10) == 0.8


def test_published_values_of_the_defaults():
    ramp = Paddle(final_sparsity=0.75)
    for step, value in DEFAULTS.items():
        assert ramp.sparsity(step) == pytest.approx(value, abs=1e-4), step
    assert [step for step in range(200) if ramp.due(step)] == list(range(0, 61, 3))


def test_three_passes():
    ramp = Paddle(final_sparsity=0.75, interval=1, end=3)
    assert [ramp.sparsity(p) for p in range(4)] == pytest.approx([0.3230, 0.5120, 0.6460, 0.75], abs=1e-4)


def test_weights_left_of_eight_in_a_session():
    model = {"w": np.arange(1.0, 9.0).reshape(2, 4)}
    ramp = pruners.schedule("paddle", interval=1, end=3)
    pruning = pruners.attach(model, pruners.Rule(sparsity=0.75, schedule=ramp, rounding="keep_floor"))
    left = []
    for p in range(4):
        pruning.epoch(p)
        left.append(int(np.count_nonzero(model["w"])))
    assert left == [5, 3, 2, 2]


def test_an_interval_that_does_not_divide_the_end_still_reaches_it():
    ramp = Paddle(final_sparsity=0.75, interval=4, end=10)
    assert [step for step in range(99) if ramp.due(step)] == [0, 4, 8, 10]
    assert ramp.sparsity(8) < ramp.sparsity(10) == 0.75


def test_steps_shrink():
    values = [Paddle(final_sparsity=0.75).sparsity(p) for p in range(0, 61, 3)]
    steps = np.diff(values)
    assert np.all(steps > 0) and np.all(np.diff(steps) < 0)


@st.composite
def ramps(draw):
    low, high = sorted(draw(st.lists(st.floats(0, 0.999), min_size=2, max_size=2)))
    return Paddle(
        initial_sparsity=low,
        final_sparsity=high,
        interval=draw(st.integers(1, 100)),
        end=draw(st.integers(1, 300)),
        variant=draw(st.sampled_from(["code", "figure"])),
    )


@given(ramps())
def test_never_falls_and_ends_at_its_bound(ramp):
    values = [ramp.sparsity(p) for p in range(ramp.end + 3)]
    assert values == sorted(values)
    assert values[0] >= ramp.initial_sparsity
    assert ramp.sparsity(ramp.end) == values[-1] == ramp.final_sparsity


@given(ramps())
def test_updates_run_from_the_first_pass_to_the_last(ramp):
    due = [p for p in range(ramp.end + 300) if ramp.due(p)]
    assert (due[0], due[-1]) == (0, ramp.end)
    assert due[:-1] == list(range(0, ramp.end, ramp.interval))


def test_zeros_from_before_are_a_lower_bound():
    ramp = Paddle(interval=1, end=3).between(0.6, 0.75)
    assert [ramp.sparsity(p) for p in range(4)] == pytest.approx([0.6, 0.6, 0.6460, 0.75], abs=1e-4)


@pytest.mark.parametrize("kind", [Paddle, PaddleStatic])
def test_between_sets_the_ends(kind):
    assert isinstance(kind(), pruners.Bounded)
    assert kind().between(None, 0.75).final_sparsity == 0.75
    assert kind().between(0.25, 0.75) == kind(initial_sparsity=0.25, final_sparsity=0.75)
    assert kind(final_sparsity=0.5).between(0.6, None).final_sparsity == 0.6
    assert kind().between(0.25, None).final_sparsity is None


def test_static_is_there_before_training():
    static = pruners.schedule("paddle-static", final_sparsity=0.6)
    assert [step for step in range(99) if static.due(step)] == [0]
    assert static.sparsity(0) == static.sparsity(50) == 0.6


def test_static_keeps_the_floor_as_the_code_does():
    model = {"w": np.arange(1.0, 8.0).reshape(1, 7)}
    static = pruners.schedule("paddle-static")
    pruners.attach(model, pruners.Rule(sparsity=0.6, schedule=static, rounding="keep_floor"))
    assert np.count_nonzero(model["w"]) == 2  # floor(0.4 * 7); pruning floor(0.6 * 7) would leave 3


@pytest.mark.parametrize("name", ["paddle", "paddle-static"])
def test_without_an_end_it_says_what_to_give(name):
    with pytest.raises(pruners.OptionError, match=f"'{name}'.*final_sparsity"):
        pruners.schedule(name).sparsity(0)


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("paddle", {"final_sparsity": 1.0}, "final_sparsity"),
        ("paddle", {"initial_sparsity": 0.6, "final_sparsity": 0.5}, "final_sparsity.*0.6: 0.5"),
        ("paddle", {"interval": 0}, "interval"),
        ("paddle", {"end": 0}, "end"),
        ("paddle", {"end": 2.5}, "end"),
        ("paddle", {"variant": "doc"}, "variant"),
        ("paddle-static", {"final_sparsity": -0.1}, "final_sparsity"),
        ("paddle-static", {"initial_sparsity": 0.6, "final_sparsity": 0.5}, "final_sparsity.*0.6: 0.5"),
    ],
)
def test_wrong_options_are_refused(name, wrong, message):
    with pytest.raises(pruners.OptionError, match=message):
        pruners.schedule(name, **wrong)
