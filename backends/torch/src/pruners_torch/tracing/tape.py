"""What a recording writes on: the program, and which tensor is which of its values."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from pruners.structure.program import NONE, Place, Program

from .steps import Step, address


class Origin(NamedTuple):
    """How a recorded value is met again when the model runs once more."""

    position: int
    """Which of the dispatched operations, counted from 0."""
    which: int
    """Which of the tensors that it returned, or that it read."""
    side: Literal["returned", "read", "base"] = "returned"
    """``base``: the tensor that the returned one is a view of."""


class Tape:
    """A program in the making and the number of every tensor that lives."""

    def __init__(self, named: Mapping[str, Tensor]) -> None:
        self.program = Program()
        self.origins: dict[int, Origin] = {}
        self.place = Place()
        self.line = ""
        self._places: dict[tuple[str, str, str], Place] = {}
        self.position = -1
        self.paused = False
        self._numbers: dict[int, tuple[weakref.ref[Tensor], int]] = {}
        self._unread: list[tuple[weakref.ref[Tensor], int]] = []
        self._inner: list[tuple[Tensor, Origin]] = []
        self._memory: dict[int, tuple[Tensor, int]] = {}
        for name, tensor in named.items():
            value = self.program.parameter(name, tensor.shape)
            self.give(tensor, value)
            self._memory[address(tensor)] = (tensor, value)
        self._memory.pop(0, None)

    def stand(self, module: str, operation: str) -> None:
        """Say where and what is written down next."""
        key = (module, operation, self.line)
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = Place(*key)
        self.place = place

    def known(self, tensor: Tensor) -> int | None:
        """Return a tensor's value, or None for one that nothing recorded has made or read."""
        entry = self._numbers.get(id(tensor))
        return entry[1] if entry is not None and entry[0]() is tensor else None

    def number(self, tensor: Tensor | None) -> int:
        """Return a tensor's value; one met for the first time comes from outside."""
        if tensor is None:
            return NONE
        entry = self._numbers.get(id(tensor))
        if entry is not None and entry[0]() is tensor:
            return entry[1]
        return self._meet(tensor)

    def give(self, tensor: Tensor, value: int) -> None:
        """Let a tensor stand for a value from now on."""
        self._numbers[id(tensor)] = (weakref.ref(tensor), value)

    def op(
        self, kind: str, inputs: Sequence[int], shapes: Sequence[Sequence[int]], **options: Any
    ) -> tuple[int, ...]:
        """Write down an operation between values no tensor of the model stands for."""
        return self.program.op(kind, inputs, shapes, self.place, **options)

    def write(
        self, kind: str, inputs: Sequence[Tensor | int | None], results: Sequence[Tensor], **options: Any
    ) -> None:
        """Write down an operation; the results stand for its outputs."""
        values = [given if isinstance(given, int) else self.number(given) for given in inputs]
        outputs = self.program.op(kind, values, [result.shape for result in results], self.place, **options)
        for result, value in zip(results, outputs, strict=True):
            self.give(result, value)

    def constant(self, results: Sequence[Tensor]) -> None:
        """Write down arrays made from sizes alone."""
        for result in results:
            self.give(result, self.program.constant(result.shape))

    def locate(self, step: Step) -> None:
        """Note where the values of a step are met again; call it after its translation."""
        position = self.position
        if self.paused:
            self._inner += [(each, Origin(position, i)) for i, each in enumerate(step.results)]
            self._inner += [(each, Origin(position, i, "read")) for i, each in enumerate(step.read)]
            return
        for index, tensor in enumerate(step.results):
            value = self.known(tensor)
            if value is not None and value not in self.origins:
                self.origins[value] = Origin(position, index)
        if self._unread:
            self._locate_sources([(each, Origin(position, i, "read")) for i, each in enumerate(step.read)])

    def rebase(self, written: Tensor) -> None:
        """Let the tensor that a written view looks into stand for a new value."""
        base = written._base
        if base is None or base is written or self.known(base) is None:
            return
        self.write("elementwise", [base], [base], function="alias")
        self.origins[self.number(base)] = Origin(self.position, 0, "base")

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Count operations without writing them down; what they make is written by the caller."""
        self.paused = True
        try:
            yield
        finally:
            self.paused = False

    def settle(self) -> None:
        """Note where the values of a composite are met again, once it is written down."""
        for tensor, origin in reversed(self._inner):
            value = self.known(tensor)
            if value is not None and origin.side == "returned":
                self.origins.setdefault(value, origin)
        self._locate_sources([pair for pair in self._inner if pair[1].side == "read"])
        self._inner.clear()

    def _meet(self, tensor: Tensor) -> int:
        with torch._C.DisableTorchFunction():  # asking for the shape is no part of the model
            value = self._alias(tensor)
            if value is None:
                value = self.program.source(tensor.shape)
                self._unread.append((weakref.ref(tensor), value))
        self.give(tensor, value)
        return value

    def _alias(self, tensor: Tensor) -> int | None:
        """Return the parameter whose memory a tensor shares, laid out alike (``weight.data``)."""
        owner, value = self._memory.get(address(tensor), (None, NONE))
        if owner is None or owner.shape != tensor.shape or owner.stride() != tensor.stride():
            return None
        return value if owner.dtype == tensor.dtype else None

    def _locate_sources(self, read: Sequence[tuple[Tensor, Origin]]) -> None:
        left = []
        for reference, value in self._unread:
            found = next((origin for tensor, origin in read if tensor is reference()), None)
            if found is None:
                left.append((reference, value))
            else:
                self.origins.setdefault(value, found)
        self._unread = left
