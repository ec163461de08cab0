"""Writes a program down, operation by operation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import define, field

from pruners.structure.program import (
    Arithmetic,
    Constant,
    Dimension,
    Expression,
    LiteralSize,
    Place,
    Program,
)

from .graph import Entry, Node
from .integers import Length, TrackedInt, plain


@define(eq=False)
class Tape:
    """A program that is being written, and where MXNet's arrays are in it."""

    mode: str
    program: Program = field(factory=Program)
    values: dict[Entry, int] = field(factory=dict)
    entries: dict[int, Entry] = field(factory=dict)
    """Identity of an array that the code asked for its shape -> where it is in the graph."""
    literals: list[LiteralSize] = field(factory=list)

    def shape(self, value: int) -> tuple[int, ...]:
        """Return the shape of a value."""
        return self.program.shapes[value]

    def op(
        self, kind: str, inputs: Sequence[int], shapes: Sequence[Sequence[int]], node: Node, **options: Any
    ) -> tuple[int, ...]:
        """Write down one operation."""
        return self.program.op(kind, inputs, shapes, place(node), **options)

    def literal(
        self, node: Node, size: int, value: int, axis: int, start: int, stop: int | None, step: int
    ) -> None:
        """Note a size in the code."""
        expression = self.expression(size)
        length = self.shape(value)[axis]
        if plain(size) == len(range(length)[start:stop:step]):
            found = LiteralSize(self.mode, expression, value, axis, place(node), start, stop, step)
            self.literals.append(found)

    def equal(self, length: Length, expression: Any, node: Node) -> None:
        """Note that an axis is as long as an expression says."""
        found, axis = self._resolved(expression), self._resolved(length)
        if found is not None and isinstance(axis, Dimension) and found != axis:
            self.literals.append(LiteralSize(self.mode, found, axis.value, axis.axis, place(node)))

    def fixed(self, expression: Any, outside: int, node: Node) -> None:
        """Note that an expression must stay what it is: as if it sized an array from outside."""
        found = self._resolved(expression)
        if found is not None and not isinstance(found, Constant):
            self.literals.append(LiteralSize(self.mode, found, outside, 0, place(node)))

    def expression(self, size: int) -> Expression:
        """Return how a number came about, with lengths of recorded values; else a constant."""
        if isinstance(size, TrackedInt):
            found = self._resolved(size.expression)
            return Constant(plain(size)) if found is None else found
        return Constant(size)

    def _resolved(self, expression: Any) -> Expression | None:
        match expression:
            case Length(array, axis):
                entry = self.entries.get(id(array))
                return Dimension(self.values[entry], axis) if entry in self.values else None
            case Arithmetic(operator, left, right):
                parts = self._resolved(left), self._resolved(right)
                return None if None in parts else Arithmetic(operator, *parts)  # type: ignore[arg-type]
        return expression  # type: ignore[no-any-return]

    def mark(self) -> tuple[int, int, int]:
        """Return how much is written."""
        return len(self.program.ops), len(self.program.shapes), len(self.literals)

    def back(self, mark: tuple[int, int, int]) -> None:
        """Strike out what was written since."""
        ops, shapes, literals = mark
        del self.program.ops[ops:]
        del self.program.shapes[shapes:]
        del self.literals[literals:]


def place(node: Node) -> Place:
    """Return where in the user's model a node was met."""
    return Place(node.module, node.op, node.line)
