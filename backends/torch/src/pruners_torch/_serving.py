"""Run a module again and again, with nothing around it but what a program that deploys it has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from ._view import evaluating
from .tracing.running import Arguments


@contextmanager
def serving(module: nn.Module, example_inputs: Any) -> Iterator[Callable[[], None]]:
    """Yield a function that runs the module once; flags, buffers and random state are put back at the end."""
    arguments = Arguments.of(example_inputs).fresh()
    device = torch.cuda.is_available()

    def run() -> None:
        with torch.no_grad():
            arguments.call(module)
        if device:
            torch.cuda.synchronize()

    with evaluating(module):
        yield run
