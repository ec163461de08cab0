"""Integers that remember how they came about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from pruners.structure.program import Arithmetic, Constant, Dimension, Expression


class Book(Protocol):
    """Told what the code does with integers that are sizes."""

    @property
    def open(self) -> bool:
        """Whether the recording goes on."""
        ...

    def fixed(self, expression: Expression, value: int) -> None:
        """Take note that the code computed with `expression` in a way that it must stay `value`."""
        ...

    def equal(self, dimension: Dimension, expression: Expression, value: int) -> None:
        """Take note that the code found the length of an axis equal to `expression`."""
        ...


class TrackedInt(int):
    """
    An integer with the expression it is the value of; it computes as any other.

    A float that stands on the left (``0.5 * n``) does not ask: that use stays unseen.
    """

    book: Book
    expression: Expression

    def __new__(cls, value: int, expression: Expression, book: Book) -> TrackedInt:
        """Return `value`, remembered as `expression`."""
        made = int.__new__(cls, value)
        made.expression = expression
        made.book = book
        return made

    def __eq__(self, other: object) -> bool:
        return _compared(self, other, int.__eq__(self, other))

    def __ne__(self, other: object) -> bool:
        differs = int.__ne__(self, other)
        if differs is False:
            _compared(self, other, True)
        return differs

    __hash__ = int.__hash__

    def __neg__(self) -> int:
        if not self.book.open:
            return int.__neg__(self)
        return TrackedInt(int.__neg__(self), Arithmetic("-", Constant(0), self.expression), self.book)

    def __int__(self) -> int:
        return _kept(self)

    def __float__(self) -> float:
        return float(_kept(self))

    def __truediv__(self, other: Any) -> Any:
        return int.__truediv__(_kept(self), other)

    def __rtruediv__(self, other: Any) -> Any:
        return int.__rtruediv__(_kept(self), other)

    def __pow__(self, other: Any, modulus: Any = None) -> Any:
        return int.__pow__(_kept(self), other, modulus)

    def __rpow__(self, other: Any, modulus: Any = None) -> Any:
        return int.__rpow__(_kept(self), other, modulus)

    def __reduce__(self) -> tuple[Any, ...]:
        return int, (plain(self),)


def plain(value: int) -> int:
    """Return an integer without its history, and without a word to the book."""
    return int.__int__(value)


def expression_of(value: int, book: Book | None) -> Expression:
    """Return how an integer came about; a number from elsewhere is a constant."""
    if isinstance(value, TrackedInt) and value.book is book:
        return value.expression
    return Constant(plain(value))


def _kept(value: TrackedInt) -> int:
    """Return the plain integer; the code may do anything with it, so it must stay as it is."""
    number = plain(value)
    if value.book.open:
        value.book.fixed(value.expression, number)
    return number


def _compared(left: TrackedInt, right: object, equal: Any) -> bool:
    """Note an equality that the code relied on."""
    if equal is True and left.book.open and not isinstance(right, bool):
        other = expression_of(right, left.book)  # type: ignore[arg-type]
        if isinstance(left.expression, Dimension):
            left.book.equal(left.expression, other, plain(left))
        elif isinstance(other, Dimension):
            left.book.equal(other, left.expression, plain(left))
        elif isinstance(other, Constant):
            left.book.fixed(left.expression, plain(left))
        elif other != left.expression:
            left.book.fixed(Arithmetic("-", left.expression, other), 0)
    return equal  # type: ignore[no-any-return]


def _binary(name: str, operator: str, reflected: bool) -> Callable[[TrackedInt, Any], Any]:
    base = getattr(int, name)

    def compute(self: TrackedInt, other: Any) -> Any:
        if isinstance(other, float):
            return base(_kept(self), other)
        result = base(self, other)
        if type(result) is not int or isinstance(other, bool) or not self.book.open:
            return result
        pair = self.expression, expression_of(other, self.book)
        left, right = pair[::-1] if reflected else pair
        return TrackedInt(result, Arithmetic(operator, left, right), self.book)

    compute.__name__ = name
    return compute


for _name, _operator in {"add": "+", "sub": "-", "mul": "*", "floordiv": "//", "mod": "%"}.items():
    setattr(TrackedInt, f"__{_name}__", _binary(f"__{_name}__", _operator, False))
    setattr(TrackedInt, f"__r{_name}__", _binary(f"__r{_name}__", _operator, True))
