"""What chosen modules gave in one run, compared with what they give in another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from attrs import define, field, frozen
from torch import Tensor, nn

from pruners.structure.plan import Coordinates
from pruners.structure.program import NONE, Program

from ..tracing.results import tensors_in
from .comparing import Comparison
from .tensors import Piece, index

Kept = tuple["np.ndarray | None", ...]


@frozen(eq=False)
class Watched:
    """One recorded call of a module, and which coordinates of its output stay."""

    module: str
    kept: Kept
    cut: bool
    """Whether one of the module's own tensors gets smaller."""

    @property
    def whole(self) -> bool:
        """Whether the output stays as large as it is."""
        return all(axis is None for axis in self.kept)

    def part(self, output: Tensor) -> Tensor:
        """Return what stays of an output."""
        if output.ndim != len(self.kept):
            return output
        for axis, indices in enumerate(self.kept):
            if indices is not None:
                output = output.index_select(axis, index(indices, output))
        return output


def watched(program: Program, mode: str, coordinates: Coordinates, pieces: Sequence[Piece]) -> list[Watched]:
    """Return the recorded calls whose outputs both models give alike, in the order they ended."""
    scaled = {_owner(piece.name) for piece in pieces if piece.factors}
    cut = {_owner(piece.name) for piece in pieces if piece.kept}
    return [
        Watched(call.module, coordinates(mode, call.output), call.module in cut)
        for call in program.calls
        if call.module not in scaled and call.output != NONE
    ]


def _owner(name: str) -> str:
    """Return the module a tensor belongs to; what parametrises a weight belongs to the weight's module."""
    parts = name.split(".")[:-1]
    return ".".join(parts[: parts.index("parametrizations")] if "parametrizations" in parts else parts)


@define(eq=False)
class Diary:
    """The outputs of watched modules, call by call."""

    calls: Mapping[str, list[Watched]]
    pages: list[tuple[Watched, Tensor]] = field(factory=list)

    @classmethod
    def of(cls, calls: Sequence[Watched]) -> Diary:
        """Start an empty diary of these calls."""
        by_module: dict[str, list[Watched]] = {}
        for call in calls:
            by_module.setdefault(call.module, []).append(call)
        return cls(by_module)

    @contextmanager
    def written(self, model: nn.Module) -> Iterator[None]:
        """Write down what the modules give while a block runs: what will stay of it."""
        counts = dict.fromkeys(self.calls, 0)

        def note(name: str, output: Any) -> None:
            expected = self.calls[name]
            call = expected[min(counts[name], len(expected) - 1)]
            counts[name] += 1
            first = next(tensors_in(output), None)
            if first is not None:
                self.pages.append((call, call.part(first.detach()).clone()))

        with _hooked(model, self.calls, note):
            yield

    @contextmanager
    def read_along(self, model: nn.Module, comparison: Comparison, put_back: bool = True) -> Iterator[None]:
        """
        Compare what the smaller model's modules give while a block runs.

        With `put_back`, a module whose output stays whole then gives what it gave before, to the last
        bit: what follows (the best of many boxes, say) is not thrown off by rounding.
        """
        waiting = {name: [page for call, page in self.pages if call.module == name] for name in self.calls}

        def compare(name: str, output: Any) -> Tensor | None:
            first = next(tensors_in(output), None)
            if first is None:
                return None
            if not waiting[name]:
                comparison.missing(name)
                return None
            page = waiting[name].pop(0)
            comparison.add(page, first, name)
            fits = isinstance(output, Tensor) and page.shape == output.shape and page.dtype == output.dtype
            return page.clone() if put_back and fits else None

        with _hooked(model, self.calls, compare):
            yield
        for name, left in waiting.items():
            if left:
                comparison.missing(name)


@contextmanager
def _hooked(model: nn.Module, names: Iterable[str], function: Callable[[str, Any], Any]) -> Iterator[None]:
    """Call a function with the name and output of each named module's calls; it may replace the output."""

    def hook(name: str) -> Callable[[nn.Module, Any, Any], Any]:
        return lambda module, args, output: function(name, output)

    modules = dict(model.named_modules())
    with ExitStack() as stack:
        for name in names:
            if not isinstance(modules[name], torch.jit.ScriptModule):
                stack.callback(modules[name].register_forward_hook(hook(name)).remove)
        yield
