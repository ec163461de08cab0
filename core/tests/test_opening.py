"""Models that get their shapes from a first run are run before they are opened, where inputs are given."""

from __future__ import annotations

import numpy as np
import pytest
from attrs import field, frozen

import pruners
from pruners.opening import opened_by
from pruners.protocols import Completes
from pruners.registry import backend_for

MODEL = {"w": np.array([[3.0, -1.0], [0.5, -2.0]])}
PLAIN = backend_for(MODEL)


@frozen
class Lazy:
    """A backend that notes on what it ran a model."""

    name: str = "lazy"
    ran: list = field(factory=list)

    def handles(self, model):
        return True

    def open(self, model):
        return PLAIN.open(model)

    def completed(self, model, example_inputs):
        self.ran.append(example_inputs)
        return PLAIN.open(model)


def test_a_backend_that_completes_is_asked_with_inputs_only():
    backend = Lazy()
    assert isinstance(backend, Completes) and not isinstance(PLAIN, Completes)
    assert list(opened_by(backend, MODEL).layers) == ["w"] and backend.ran == []
    assert list(opened_by(backend, MODEL, "inputs").layers) == ["w"] and backend.ran == ["inputs"]


def test_a_backend_that_does_not_complete_opens_as_ever():
    assert list(opened_by(PLAIN, MODEL, "inputs").layers) == ["w"]


@pytest.mark.parametrize(
    "ask",
    [
        lambda inputs: pruners.scores(MODEL, example_inputs=inputs),
        lambda inputs: pruners.masks(MODEL, sparsity=0.5, example_inputs=inputs),
        lambda inputs: pruners.prune({"w": MODEL["w"].copy()}, sparsity=0.5, example_inputs=inputs),
        lambda inputs: pruners.attach(
            {"w": MODEL["w"].copy()}, pruners.Rule(sparsity=0.5), example_inputs=inputs
        ),
        lambda inputs: pruners.remove(MODEL, sparsity=0.5, example_inputs=inputs),
    ],
    ids=["scores", "masks", "prune", "attach", "remove"],
)
def test_every_call_that_takes_inputs_hands_them_on(ask, monkeypatch):
    backend = Lazy()
    for module in ("opening", "removing"):
        monkeypatch.setattr(f"pruners.{module}.backend_for", lambda model: backend)
    try:
        ask("inputs")
    except pruners.RemovalError as error:
        assert "cannot trace" in str(error)
    assert backend.ran == ["inputs"]


def test_a_wrong_request_is_refused_before_the_model_runs(monkeypatch):
    backend = Lazy()
    monkeypatch.setattr("pruners.opening.backend_for", lambda model: backend)
    with pytest.raises(pruners.RuleError, match="give rules"):
        pruners.attach(MODEL, example_inputs="inputs")
    assert backend.ran == []
