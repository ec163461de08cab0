"""Run a live model again and again in its own framework."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from ..errors import ExportError
from ..protocols import OpenModel, Serves, Traceable


@contextmanager
def serving(opened: OpenModel, example_inputs: Any) -> Iterator[Callable[[], object]]:
    """Yield a function that runs the model once; raises ExportError where there is nothing to run."""
    if isinstance(opened, Serves):
        with opened.serving(example_inputs) as run:
            yield run
    elif isinstance(opened, Traceable):
        yield partial(opened.run, example_inputs)
    else:
        raise ExportError("models of this framework have no forward pass to run")
