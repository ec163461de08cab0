"""Max pooling whose gradient is right in evaluation mode, too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import mxnet
from mxnet.ndarray import register

from .lending import ALONE
from .tracing.graph import name_of


@contextmanager
def differentiable() -> Iterator[None]:
    """
    Have pooling run as in training, where it gives the same, while a block of code is recorded.

    In host memory MXNet notes which elements were the largest in training mode only: in evaluation mode
    the gradient of max pooling goes to wrong ones, without a word.
    """
    with ALONE:
        original = register._imperative_invoke

        def run(handle: Any, *arguments: Any) -> Any:
            if name_of(handle) != "Pooling":
                return original(handle, *arguments)
            with mxnet.autograd.train_mode():
                return original(handle, *arguments)

        register._imperative_invoke = run
        try:
            yield
        finally:
            register._imperative_invoke = original
