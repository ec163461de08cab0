"""Integers that remember which lengths and attributes of a model they were computed from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from attrs import field, frozen

from pruners.structure.program import Arithmetic, Constant


@frozen
class Length:
    """The length of one axis of an array that was there while a model ran."""

    array: Any = field(eq=id)
    axis: int


class Book(Protocol):
    """Told what the code does with integers that are sizes."""

    def keep(self, expression: Any, value: int) -> None:
        """Take note that the code made something of a size that only this one fits."""
        ...

    def equal(self, left: Any, right: Any, value: int) -> None:
        """Take note that the code found two sizes equal."""
        ...


class TrackedInt(int):
    """
    An integer with the expression it is the value of; it computes as any other.

    Sums, differences, products, quotients and remainders of whole numbers are followed. Where the code
    makes a fraction, a root or a power of it, the book is told to keep it as it is; and where it finds two
    of them equal, to keep them so.
    """

    expression: Any
    book: Book

    def __new__(cls, value: int, expression: Any, book: Book) -> TrackedInt:
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
        return TrackedInt(int.__neg__(self), Arithmetic("-", Constant(0), self.expression), self.book)

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
    """Return an integer without its history."""
    return int.__int__(value)


def expression_of(value: int) -> Any:
    """Return how an integer came about; a number from elsewhere is a constant."""
    return value.expression if isinstance(value, TrackedInt) else Constant(plain(value))


def _kept(value: TrackedInt) -> int:
    """Return the plain integer; the code may do anything with it, so it must stay as it is."""
    number = plain(value)
    value.book.keep(value.expression, number)
    return number


def _compared(left: TrackedInt, right: object, equal: Any) -> bool:
    """Note an equality that the code relied on."""
    if equal is True and isinstance(right, int) and not isinstance(right, bool):
        left.book.equal(left.expression, expression_of(right), plain(left))
    return equal  # type: ignore[no-any-return]


def _binary(name: str, operator: str, reflected: bool) -> Callable[[TrackedInt, Any], Any]:
    base = getattr(int, name)

    def compute(self: TrackedInt, other: Any) -> Any:
        if isinstance(other, float):
            return base(_kept(self), other)
        result = base(self, other)
        if type(result) is not int or isinstance(other, bool):
            return result
        pair = expression_of(self), expression_of(other)
        left, right = pair[::-1] if reflected else pair
        return TrackedInt(result, Arithmetic(operator, left, right), self.book)

    compute.__name__ = name
    return compute


for _name, _operator in {"add": "+", "sub": "-", "mul": "*", "floordiv": "//", "mod": "%"}.items():
    setattr(TrackedInt, f"__{_name}__", _binary(f"__{_name}__", _operator, False))
    setattr(TrackedInt, f"__r{_name}__", _binary(f"__r{_name}__", _operator, True))
