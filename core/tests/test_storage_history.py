"""What removals have kept of a model: composed, by identity, gone with the model."""

from __future__ import annotations

import gc

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pruners.structure import history
from pruners.structure.plan import RemovalPlan


class Model:
    """Equal to every other, and not hashable."""

    def __eq__(self, other: object) -> bool:
        return True


@given(st.lists(st.floats(0.2, 1.0), min_size=1, max_size=4), st.integers(1, 30), st.randoms())
def test_repeated_removals_compose(shares, width, random):
    model, labels = Model(), np.arange(width)
    for share in shares:
        count = max(1, int(share * len(labels)))
        kept = np.array(sorted(random.sample(range(len(labels)), count)))
        history.record(model, RemovalPlan(kept={"w": {0: kept}}))
        labels = labels[kept]
    assert history.kept_of(model)["w"][0].tolist() == labels.tolist()


def test_axes_and_parameters_are_kept_apart():
    model = Model()
    history.record(model, RemovalPlan(kept={"a": {0: np.array([1, 2])}}))
    history.record(model, RemovalPlan(kept={"a": {1: np.array([0])}, "b": {0: np.array([3])}}))
    found = {
        name: {axis: kept.tolist() for axis, kept in axes.items()}
        for name, axes in history.kept_of(model).items()
    }
    assert found == {"a": {0: [1, 2], 1: [0]}, "b": {0: [3]}}


def test_models_are_told_apart_by_identity():
    one, other = Model(), Model()
    history.record(one, RemovalPlan(kept={"a": {0: np.array([1])}}))
    assert history.kept_of(other) == {} and history.kept_of(one) != {}


def test_a_model_that_goes_takes_its_history_with_it():
    gc.collect()
    before = len(history._KNOWN)
    model = Model()
    history.record(model, RemovalPlan(kept={"a": {0: np.array([1])}}))
    assert len(history._KNOWN) == before + 1
    del model
    gc.collect()
    assert len(history._KNOWN) == before


def test_what_cannot_be_referred_to_weakly_has_no_history():
    model = {"a": np.ones(2)}
    history.record(model, RemovalPlan(kept={"a": {0: np.array([1])}}))
    assert history.kept_of(model) == {}
