"""What goes into a module and what comes out, as NumPy arrays in the order of an exported program."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from pruners import TraceError

from .._arrays import to_host
from ..tracing.results import tensors_in
from ..tracing.running import Arguments, Snapshot, set_mode, untouched


def arrays(example_inputs: Any) -> list[np.ndarray]:
    """Return copies of the tensors that a module is called with: positional ones first, then named ones."""
    given = Arguments.of(example_inputs)
    return [to_host(leaf.clone()) for leaf in input_tensors(given)]


def input_tensors(given: Arguments) -> list[Tensor]:
    """Return the tensors among arguments, in order; one that is given twice comes twice."""
    return [leaf for leaf in tree_leaves((given.positional, dict(given.named))) if isinstance(leaf, Tensor)]


def outputs(module: nn.Module, example_inputs: Any) -> list[np.ndarray]:
    """
    Return every tensor that a module gives in evaluation mode; the module is left as it was.

    Raises
    ------
    pruners.TraceError
        If the module does not run; the cause is chained.
    """
    with untouched(Snapshot(module)), torch.no_grad():
        set_mode(module, "eval")
        try:
            given = Arguments.of(example_inputs).fresh().call(module)
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            raise TraceError(
                f"{type(module).__name__} does not run on these example inputs: {why}"
            ) from error
        return [to_host(tensor.clone()) for leaf in tree_leaves(given) for tensor in tensors_in(leaf)]


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let PyTorch compute on so many threads of the processor while a block runs."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
