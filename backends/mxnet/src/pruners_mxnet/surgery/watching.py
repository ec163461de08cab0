"""What chosen blocks gave in one run, compared with what they give in another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import mxnet
import numpy as np
from attrs import define, field, frozen
from mxnet.gluon import Block

from pruners.structure.comparing import Comparison
from pruners.structure.plan import Coordinates
from pruners.structure.program import Call, Program

from .._layers import blocks
from ..tracing.arguments import arrays_in
from .comparing import difference
from .pieces import Piece
from .values import host, like, name_of, select

Listener = Callable[[str, Any, Any], Any]
Kept = tuple["np.ndarray | None", ...]


@frozen(eq=False)
class Watched:
    """One recorded call of a block, and which coordinates of what it reads and gives stay."""

    call: Call
    reads: Kept
    gives: Kept
    cut: bool
    """Whether one of the block's own parameters gets smaller."""
    blank: bool
    """Whether these are all zero, so that only what it reads of other cut blocks tells something."""

    @property
    def whole(self) -> bool:
        """Whether the output stays as large as it is."""
        return all(axis is None for axis in self.gives)


def part(array: Any, kept: Kept) -> np.ndarray:
    """Return what stays of an array, as NumPy."""
    values = host(array)
    if values.ndim != len(kept):
        return values.copy()
    axes = {axis: indices for axis, indices in enumerate(kept) if indices is not None}
    return select(values, axes) if axes else values.copy()


def watched(program: Program, mode: str, coordinates: Coordinates, pieces: Sequence[Piece]) -> list[Watched]:
    """Return the recorded calls whose outputs both models give alike, in the order they ended."""
    scaled = {_owner(piece) for piece in pieces if piece.factors}
    cut = {_owner(piece) for piece in pieces if piece.kept}
    told = {_owner(piece) for piece in pieces if len(piece.shape) > 1 and host(piece.originals[0]).any()}
    found = []
    for call in program.calls:
        if call.module not in scaled:
            reads, gives = (coordinates(mode, value) for value in (call.input, call.output))
            blank = call.module in cut - told and any(axis is not None for axis in reads)
            found.append(Watched(call, reads, gives, call.module in cut, blank))
    return found


def _owner(piece: Piece) -> str:
    return piece.name.rpartition(".")[0]


@frozen(eq=False)
class Page:
    """What one call gave, and where this tells nothing what it read: what will stay of it."""

    given: np.ndarray
    read: np.ndarray | None


@define(eq=False)
class Diary:
    """What watched blocks read and gave, call by call."""

    calls: Mapping[str, list[Watched]]
    pages: dict[str, list[Page]] = field(factory=dict)

    @classmethod
    def of(cls, calls: Sequence[Watched]) -> Diary:
        """Start an empty diary of these calls."""
        by_module: dict[str, list[Watched]] = {}
        for each in calls:
            by_module.setdefault(each.call.module, []).append(each)
        return cls(by_module, {name: [] for name in by_module})

    @contextmanager
    def written(self, model: Block) -> Iterator[None]:
        """Write down what the blocks give while a block of code runs: what will stay of it."""

        def note(name: str, args: Any, output: Any) -> None:
            expected = self.calls[name]
            given, read = _first(output), _first(args)
            if given is not None:
                self.add(expected[min(len(self.pages[name]), len(expected) - 1)], given, read)

        with _heard(model, self.calls, note):
            yield

    def add(self, watched: Watched, given: Any, read: Any) -> None:
        """Write down one call."""
        kept = part(read, watched.reads) if watched.blank and read is not None else None
        self.pages[watched.call.module].append(Page(part(given, watched.gives), kept))

    @contextmanager
    def read_along(self, model: Block, comparison: Comparison, put_back: bool) -> Iterator[None]:
        """
        Compare what the smaller model's blocks give while a block of code runs.

        With `put_back`, a block whose output stays whole then gives what it gave before, to the last
        bit: what follows (the best of many boxes, say) is not thrown off by rounding.
        """
        waiting = {name: list(pages) for name, pages in self.pages.items()}

        def compare(name: str, args: Any, output: Any) -> Any:
            given, read = _first(output), _first(args)
            if given is None:
                return None
            if not waiting[name]:
                comparison.missing(name)
                return None
            page = waiting[name].pop(0)
            if page.read is not None and read is not None:
                comparison.add(difference(page.read, host(read)), name)
            comparison.add(difference(page.given, host(given)), name)
            fits = given is output and page.given.shape == given.shape
            same = fits and page.given.dtype.name == name_of(given)
            return like(page.given, given) if put_back and same else None

        with _heard(model, self.calls, compare):
            yield
        for name, left in waiting.items():
            if left:
                comparison.missing(name)


def _first(held: Any) -> Any:
    return next(iter(arrays_in(held)), None)


@contextmanager
def _heard(model: Block, names: Iterable[str], listener: Listener) -> Iterator[None]:
    """Call a function with the name, arguments and output of named blocks; it may replace the output."""
    found = blocks(model)
    namespaces = [(vars(found[name]), vars(found[name]).get("forward")) for name in names]
    try:
        for name in names:
            vars(found[name])["forward"] = _listening(name, found[name].forward, listener)
        yield
    finally:
        for namespace, own in namespaces:
            namespace.pop("forward", None)
            if own is not None:
                namespace["forward"] = own


def _listening(name: str, forward: Callable[..., Any], listener: Listener) -> Callable[..., Any]:
    def heard(*args: Any, **kwargs: Any) -> Any:
        output = forward(*args, **kwargs)
        if isinstance(_first(output), mxnet.nd.NDArray):
            other = listener(name, args, output)
            return output if other is None else other
        return output

    return heard
