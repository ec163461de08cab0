"""What chosen modules gave in one run, compared with what they give in another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from attrs import define, field, frozen
from torch import Tensor, nn

from pruners.structure.comparing import Comparison
from pruners.structure.plan import Coordinates
from pruners.structure.program import Program

from ..tracing.results import tensors_in
from .comparing import difference
from .tensors import Piece, index

Listener = Callable[[str, Any, Any], Any]
Kept = tuple["np.ndarray | None", ...]


@frozen(eq=False)
class Watched:
    """One recorded call of a module, and which coordinates of what it reads and gives stay."""

    module: str
    reads: Kept
    gives: Kept
    cut: bool
    """Whether one of the module's own tensors gets smaller."""
    blank: bool
    """Whether these are all zero, so that only what it reads of other cut modules tells something."""

    @property
    def whole(self) -> bool:
        """Whether the output stays as large as it is."""
        return all(axis is None for axis in self.gives)


def part(tensor: Tensor, kept: Kept) -> Tensor:
    """Return what stays of a tensor."""
    if tensor.ndim != len(kept):
        return tensor
    for axis, indices in enumerate(kept):
        if indices is not None:
            tensor = tensor.index_select(axis, index(indices, tensor))
    return tensor


def watched(program: Program, mode: str, coordinates: Coordinates, pieces: Sequence[Piece]) -> list[Watched]:
    """Return the recorded calls whose outputs both models give alike, in the order they ended."""
    scaled = {_owner(piece.name) for piece in pieces if piece.factors}
    cut = {_owner(piece.name) for piece in pieces if piece.kept}
    told = {_owner(piece.name) for piece in pieces if piece.original.ndim > 1 and bool(piece.original.any())}
    found = []
    for call in program.calls:
        if call.module not in scaled:
            reads, gives = (coordinates(mode, value) for value in (call.input, call.output))
            blank = call.module in cut - told and any(axis is not None for axis in reads)
            found.append(Watched(call.module, reads, gives, call.module in cut, blank))
    return found


def _owner(name: str) -> str:
    """Return the module a tensor belongs to; what parametrises a weight belongs to the weight's module."""
    parts = name.split(".")[:-1]
    return ".".join(parts[: parts.index("parametrizations")] if "parametrizations" in parts else parts)


@frozen(eq=False)
class Page:
    """What one call gave, and where this tells nothing what it read: what will stay of it."""

    given: Tensor
    read: Tensor | None


@define(eq=False)
class Diary:
    """What watched modules read and gave, call by call."""

    calls: Mapping[str, list[Watched]]
    pages: dict[str, list[Page]] = field(factory=dict)

    @classmethod
    def of(cls, calls: Sequence[Watched]) -> Diary:
        """Start an empty diary of these calls."""
        by_module: dict[str, list[Watched]] = {}
        for call in calls:
            by_module.setdefault(call.module, []).append(call)
        return cls(by_module, {name: [] for name in by_module})

    @contextmanager
    def written(self, model: nn.Module) -> Iterator[None]:
        """Write down what the modules give while a block runs: what will stay of it."""

        def note(name: str, args: Any, output: Any) -> None:
            expected, pages = self.calls[name], self.pages[name]
            call = expected[min(len(pages), len(expected) - 1)]
            given, read = _first(output), _first(args) if call.blank else None
            if given is not None:
                kept_input = None if read is None else part(read, call.reads).clone()
                pages.append(Page(part(given, call.gives).clone(), kept_input))

        with _hooked(model, self.calls, note):
            yield

    @contextmanager
    def read_along(self, model: nn.Module, comparison: Comparison, put_back: bool) -> Iterator[None]:
        """
        Compare what the smaller model's modules give while a block runs.

        With `put_back`, a module whose output stays whole then gives what it gave before, to the last
        bit: what follows (the best of many boxes, say) is not thrown off by rounding.
        """
        waiting = {name: list(pages) for name, pages in self.pages.items()}

        def compare(name: str, args: Any, output: Any) -> Tensor | None:
            given, read = _first(output), _first(args)
            if given is None:
                return None
            if not waiting[name]:
                comparison.missing(name)
                return None
            page = waiting[name].pop(0)
            if page.read is not None and read is not None:
                comparison.add(difference(page.read, read), name)
            comparison.add(difference(page.given, given), name)
            known = page.given
            fits = isinstance(output, Tensor) and known.shape == output.shape and known.dtype == output.dtype
            return known.clone() if put_back and fits else None

        with _hooked(model, self.calls, compare):
            yield
        for name, left in waiting.items():
            if left:
                comparison.missing(name)


def _first(values: Any) -> Tensor | None:
    first = next(tensors_in(values), None)
    return None if first is None else first.detach()


@contextmanager
def _hooked(model: nn.Module, names: Iterable[str], function: Listener) -> Iterator[None]:
    """Call a function with the name, input and output of named modules; it may replace the output."""

    def hook(name: str) -> Callable[[nn.Module, Any, Any], Any]:
        return lambda module, args, output: function(name, args, output)

    modules = dict(model.named_modules())
    with ExitStack() as stack:
        for name in names:
            if not isinstance(modules[name], torch.jit.ScriptModule):
                stack.callback(modules[name].register_forward_hook(hook(name)).remove)
        yield
