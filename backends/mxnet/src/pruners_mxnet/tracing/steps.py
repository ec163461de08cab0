"""One operator that ran, as its translation sees it, and the list of translations."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from attrs import field, frozen

from .graph import Node
from .tape import Tape

Shape = tuple[int, ...]
Translation = Callable[["Step"], None]
TRANSLATIONS: dict[str, Translation] = {}
"""MXNet's name of an operator -> what writes it down."""


class UnusualError(Exception):
    """An operator's settings have no translation: it is written down as one without a rule."""


def translates(*names: str) -> Callable[[Translation], Translation]:
    """Register a function as the translation of some operators."""

    def register(function: Translation) -> Translation:
        TRANSLATIONS.update(dict.fromkeys(names, function))
        return function

    return register


@frozen(eq=False, slots=False)
class Step:
    """One operator that ran: what it read, what it gave, its settings."""

    tape: Tape
    node: Node
    inputs: tuple[int, ...]
    """Values of the program."""
    shapes: tuple[Shape, ...]
    """Shapes of its outputs."""
    given: Mapping[str, Any] = field(factory=dict)
    """Settings as the model's code handed them over, where that is known."""
    outputs: list[int] = field(factory=list)
    owned: bool = False
    """Whether one of Gluon's own layers ran it, whose sizes follow its weights."""
    numpy: bool = False

    @property
    def shape(self) -> Shape:
        """Shape of the first input."""
        return self.tape.shape(self.inputs[0])

    @property
    def out(self) -> Shape:
        """Shape of the first output."""
        return self.shapes[0]

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Settings as numbers, tuples and text."""
        return {name: _parsed(text) for name, text in self.node.attrs.items()} | dict(self.given)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a setting."""
        return self.settings.get(name, default)

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a setting that is true or false."""
        return bool(self.get(name, default))

    def integer(self, name: str, default: int | None = None) -> int:
        """Return a setting that is a whole number; it remembers how it came about."""
        value = self.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise UnusualError(name)
        return value

    def integers(self, name: str, default: Sequence[int] | None = None) -> tuple[int, ...]:
        """Return a setting that is one or several whole numbers."""
        value = self.get(name, default)
        if isinstance(value, int):
            value = (value,)
        if not isinstance(value, (tuple, list)) or not all(isinstance(each, int) for each in value):
            raise UnusualError(name)
        return tuple(value)

    def number(self, name: str, default: float = 0.0) -> float:
        """Return a setting that is a number."""
        value = self.get(name, default)
        if not isinstance(value, (int, float)):
            raise UnusualError(name)
        return float(value)

    def axis(self, default: int | None = None, name: str = "axis", rank: int | None = None) -> int:
        """Return an axis of the first input, counted from the front."""
        rank = len(self.shape) if rank is None else rank
        axis = int(self.integer(name, default))
        if not -rank <= axis < rank:
            raise UnusualError(name)
        return axis % rank

    def axes(self, name: str = "axis") -> tuple[int, ...]:
        """Return axes of the first input, counted from the front; all of them where none is given."""
        rank = len(self.shape)
        if self.get(name) in (None, (), []):
            return tuple(range(rank))
        return tuple(int(axis) % rank for axis in self.integers(name))

    def do(self, kind: str, inputs: Sequence[int], shape: Sequence[int], **options: Any) -> int:
        """Write down an operation on the way; return its output."""
        return self.tape.op(kind, inputs, [tuple(shape)], self.node, **options)[0]

    def write(self, kind: str, inputs: Sequence[int] | None = None, **options: Any) -> None:
        """Write down the operation that gives the outputs."""
        given = self.inputs if inputs is None else inputs
        self.outputs.extend(self.tape.op(kind, given, self.shapes, self.node, **options))

    def give(self, *values: int) -> None:
        """Say which values are the outputs."""
        self.outputs.extend(values)

    def literal(
        self, size: int, value: int, axis: int, start: int = 0, stop: int | None = None, step: int = 1
    ) -> None:
        """Note that the code handed over a size."""
        self.tape.literal(self.node, size, value, axis, start, stop, step)

    def keep(self, value: int, axis: int) -> None:
        """Note that the code depends on the length of an axis in a way that only the present one fits."""
        self.literal(self.tape.shape(value)[axis], value, axis)


def _parsed(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
