"""What is special to the cosine: its shape, and its ends from outside."""

from math import cos, pi

import pytest
from pruners_cosine._cosine import Cosine

import pruners


def test_it_is_half_a_cosine():
    ramp = Cosine(initial_sparsity=0.2, final_sparsity=0.9, start=5, stop=47)
    for step in range(5, 48):
        expected = 0.9 + (0.2 - 0.9) * (1 + cos(pi * (step - 5) / 42)) / 2
        assert ramp.sparsity(step) == pytest.approx(expected, abs=1e-12)


def test_half_way_in_time_is_half_way_in_sparsity():
    ramp = Cosine(final_sparsity=0.8, stop=100)
    assert ramp.sparsity(50) == pytest.approx(0.4)
    assert ramp.sparsity(25) + ramp.sparsity(75) == pytest.approx(0.8)
    assert ramp.sparsity(100) == ramp.sparsity(10**6) == 0.8


def test_the_last_step_is_due_though_the_interval_does_not_divide():
    ramp = Cosine(final_sparsity=0.8, start=2, stop=9, every=3)
    assert [step for step in range(20) if ramp.due(step)] == [2, 5, 8, 9]


def test_a_rule_sets_its_ends():
    ramp = Cosine(stop=4).between(0.1, 0.5)
    assert [round(ramp.sparsity(step), 4) for step in (0, 2, 4)] == [0.1, 0.3, 0.5]
    assert ramp.between(0.7, None).sparsity(4) == 0.7, "a layer never goes back"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "missing a required argument: 'stop'"),
        ({"stop": 0}, "'stop' must be above 'start', 0: 0"),
        ({"stop": 9, "every": 0}, "'every'"),
        ({"stop": 9, "final_sparsity": 1.0}, "'final_sparsity'"),
        ({"stop": 9, "initial_sparsity": 0.6, "final_sparsity": 0.5}, "must be at least 'initial_sparsity'"),
        ({"stop": 9, "evry": 2}, "Did you mean 'every'"),
    ],
)
def test_a_wrong_option_is_named(options, message):
    with pytest.raises(pruners.OptionError, match=message):
        pruners.schedule("cosine", **options)
