"""Collects the sizes that a model's code hands to operations."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from attrs import define, field
from torch import Tensor, nn
from torch.nn.utils import parametrize

from pruners.structure.program import (
    Arithmetic,
    Attribute,
    Constant,
    Dimension,
    Expression,
    LiteralSize,
    Place,
)

from .integers import TrackedInt, expression_of, plain
from .scopes import Scopes
from .tape import Tape

_TORCH = str(Path(torch.__file__).parent) + os.sep
_HERE = str(Path(__file__).parent) + os.sep
_WRITTEN = (nn.MultiheadAttention, nn.LayerNorm, nn.RMSNorm, nn.GroupNorm, nn.Unflatten, nn.ChannelShuffle)
"""Modules of PyTorch whose forward hands sizes to operations."""
_MIRRORS = frozenset(
    [
        "in_channels",
        "out_channels",
        "groups",
        "in_features",
        "out_features",
        "num_features",
        "num_channels",
        "embedding_dim",
        "num_embeddings",
    ]
)
"""Integers of PyTorch's other modules that the model's code may read."""


def is_basic(module: nn.Module) -> bool:
    """Say whether a module is one of PyTorch's own that computes sizes from its weights."""
    kind = type(module)
    if parametrize.is_parametrized(module):
        kind = kind.__mro__[1]
    return kind.__module__.startswith("torch.nn.modules.") and kind not in _WRITTEN


@define(eq=False)
class SizeBook:
    """The literal sizes of one recorded pass."""

    mode: str
    tape: Tape
    scopes: Scopes
    literals: list[LiteralSize] = field(factory=list)
    open: bool = True
    function: str = ""
    line: str = ""

    def track(self, value: int, expression: Expression) -> TrackedInt:
        """Return an integer that remembers an expression."""
        return TrackedInt(value, expression, self)

    def shape(self, tensor: Tensor) -> torch.Size:
        """Return a tensor's shape, each length remembering its axis."""
        value = self.tape.number(tensor)
        return torch.Size(
            [self.track(length, Dimension(value, axis)) for axis, length in enumerate(tensor.shape)]
        )

    def length(self, tensor: Tensor, axis: int) -> TrackedInt:
        """Return the length of one axis, remembering it."""
        axis = plain(axis) % tensor.ndim
        return self.track(tensor.shape[axis], Dimension(self.tape.number(tensor), axis))

    def note(
        self,
        size: int | Expression,
        value: int | Tensor,
        axis: int,
        start: int = 0,
        stop: int | None = None,
    ) -> None:
        """Take note that the coordinates `start` to `stop` of an axis are as many as `size`."""
        expression = expression_of(size, self) if isinstance(size, int) else size
        number = self.tape.number(value) if isinstance(value, Tensor) else value
        place = Place(self.scopes.name, self.function, self.line)
        self.literals.append(LiteralSize(self.mode, expression, number, axis, place, start, stop))

    def fixed(self, expression: Expression, value: int) -> None:
        """Take note that an expression must stay `value`: as if it sized an array from outside."""
        if isinstance(expression, Constant):
            return
        self.function, self.line = "computation", users_line()
        if value < 0:
            expression = Arithmetic("-", Constant(0), expression)
        self.note(expression, self.tape.program.source((abs(value),)), 0)

    def equal(self, dimension: Dimension, expression: Expression, value: int) -> None:
        """Take note that an axis is as long as an expression says."""
        if expression != dimension:
            self.function, self.line = "comparison", users_line()
            self.note(expression, dimension.value, dimension.axis)

    @contextmanager
    def calling(self, function: str) -> Iterator[None]:
        """Say which function of PyTorch the code calls, and from where."""
        self.function, self.line = function, users_line()
        self.tape.line = self.line
        try:
            yield
        finally:
            self.tape.line = ""

    def close(self) -> None:
        """Stop taking notes: integers that are left behind somewhere compute as plain ones."""
        self.open = False


def users_line() -> str:
    """Return ``"file.py:12"`` of the innermost frame that is neither PyTorch's nor ours."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        path = frame.f_code.co_filename
        if not path.startswith((_TORCH, _HERE, "<")) and "contextlib" not in path:
            return f"{Path(path).name}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


@contextmanager
def tracked_attributes(book: SizeBook) -> Iterator[None]:
    """Let the integers that modules hold remember where they are; the plain ones are put back."""
    held: list[tuple[dict[str, Any], str, Any]] = []
    for owner, module in book.scopes.modules:
        attributes = vars(module)
        found = [(name, value) for name, value in attributes.items() if type(value) in (int, tuple, list)]
        basic = is_basic(module) if found else True
        for name, value in found:
            if name.startswith("_") or (basic and name not in _MIRRORS):
                continue
            tracked = _tracked(value, owner, name, book)
            if tracked is not None:
                held.append((attributes, name, value))
                attributes[name] = tracked
    try:
        yield
    finally:
        for attributes, name, value in held:
            attributes[name] = value


def _tracked(value: Any, owner: str, name: str, book: SizeBook) -> Any:
    """Return an integer, or a tuple or list of them, that remembers; None for anything else."""
    if type(value) is int:
        return book.track(value, Attribute(owner, name))
    if type(value) in (tuple, list) and value and all(type(each) is int for each in value):
        return type(value)(book.track(each, Attribute(owner, name, i)) for i, each in enumerate(value))
    return None


def attributes_of(model: nn.Module, literals: Iterable[LiteralSize]) -> Mapping[Attribute, int]:
    """Return the attributes that literals mention, with their values."""
    found: dict[Attribute, int] = {}
    waiting = [literal.expression for literal in literals]
    while waiting:
        each = waiting.pop()
        if isinstance(each, Arithmetic):
            waiting += [each.left, each.right]
        elif isinstance(each, Attribute) and each not in found:
            value = getattr(model.get_submodule(each.module), each.name)
            found[each] = value if each.index is None else value[each.index]
    return found
