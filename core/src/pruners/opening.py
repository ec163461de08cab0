"""Find a model's backend and open the model, run once first where it has no shapes before it runs."""

from __future__ import annotations

from typing import Any

from .protocols import Backend, Completes, OpenModel
from .registry import backend_for


def open_model(model: Any, example_inputs: Any = None) -> OpenModel:
    """Return a model opened by its backend; with `example_inputs`, missing shapes are found by running it."""
    return opened_by(backend_for(model), model, example_inputs)


def opened_by(backend: Backend, model: Any, example_inputs: Any = None) -> OpenModel:
    """Return a model opened by this backend, likewise."""
    if example_inputs is not None and isinstance(backend, Completes):
        return backend.completed(model, example_inputs)
    return backend.open(model)
