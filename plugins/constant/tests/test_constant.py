"""One-shot pruning: one update, under two names."""

import numpy as np
import pytest
from pruners_constant._constant import Constant

import pruners


@pytest.mark.parametrize("name", ["constant", "one-shot"])
def test_both_names_give_the_same_schedule(name):
    assert pruners.schedule(name, final_sparsity=0.9, at=3) == Constant(final_sparsity=0.9, at=3)


def test_the_step_and_only_the_step():
    once = Constant(initial_sparsity=0.1, final_sparsity=0.9, at=5)
    assert [step for step in range(100) if once.due(step)] == [5]
    assert [once.sparsity(step) for step in (0, 4, 5, 6, 10**6)] == [0.1, 0.1, 0.9, 0.9, 0.9]


def test_by_default_before_training():
    assert Constant(final_sparsity=0.9).due(0)
    assert Constant(final_sparsity=0.9).sparsity(0) == 0.9


def test_in_a_session():
    model = {"w": np.arange(1.0, 11.0).reshape(2, 5)}
    rule = pruners.Rule(sparsity=0.5, schedule=pruners.schedule("one-shot", at=2))
    pruning = pruners.attach(model, rule)
    reached = [pruning.sparsity().total]
    for _ in range(4):
        pruning.step()
        reached.append(pruning.sparsity().total)
    assert reached == [0, 0, 0.5, 0.5, 0.5]
    assert pruning.log == (pruners.Update(2, 0.5),)


def test_between_sets_the_ends():
    assert isinstance(Constant(), pruners.Bounded)
    assert Constant(at=2).between(0.25, 0.75) == Constant(initial_sparsity=0.25, final_sparsity=0.75, at=2)
    assert Constant(final_sparsity=0.5).between(0.25, None).final_sparsity == 0.5
    assert Constant(final_sparsity=0.5).between(0.6, None).final_sparsity == 0.6
    assert Constant().between(0.25, None).final_sparsity is None


def test_without_an_end_it_says_what_to_give():
    with pytest.raises(pruners.OptionError, match="final_sparsity"):
        Constant(at=5).sparsity(0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"at": -1}, "at"),
        ({"at": 1.5}, "at"),
        ({"final_sparsity": 1.0}, "final_sparsity"),
        ({"initial_sparsity": -0.1}, "initial_sparsity"),
        ({"initial_sparsity": 0.6, "final_sparsity": 0.5}, "final_sparsity.*0.6: 0.5"),
    ],
)
def test_wrong_options_are_refused(wrong, message):
    with pytest.raises(pruners.OptionError, match=message):
        pruners.schedule("constant", **wrong)
