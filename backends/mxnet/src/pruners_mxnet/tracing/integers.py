"""Integers that remember which lengths and attributes of a model they were computed from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import frozen

from pruners.structure.program import Arithmetic, Constant


@frozen
class Length:
    """The length of one axis of an array that was there while a model ran."""

    array: Any
    axis: int


Fixed = Callable[[Any, int], None]
"""``fixed(expression, value)``: told that the code made something of a size that only this one fits."""


class TrackedInt(int):
    """
    An integer with the expression it is the value of; it computes as any other.

    Sums, differences, products, quotients and remainders of whole numbers are followed. Where the code
    makes a fraction, a root or a power of it, it is told to `fixed`: it must stay as it is. Comparisons
    are not seen; the proof of a removal answers for those.
    """

    expression: Any
    fixed: Fixed

    def __new__(cls, value: int, expression: Any, fixed: Fixed) -> TrackedInt:
        """Return `value`, remembered as `expression`."""
        made = int.__new__(cls, value)
        made.expression = expression
        made.fixed = fixed
        return made

    def __neg__(self) -> int:
        return TrackedInt(int.__neg__(self), Arithmetic("-", Constant(0), self.expression), self.fixed)

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
    value.fixed(value.expression, number)
    return number


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
        return TrackedInt(result, Arithmetic(operator, left, right), self.fixed)

    compute.__name__ = name
    return compute


for _name, _operator in {"add": "+", "sub": "-", "mul": "*", "floordiv": "//", "mod": "%"}.items():
    setattr(TrackedInt, f"__{_name}__", _binary(f"__{_name}__", _operator, False))
    setattr(TrackedInt, f"__r{_name}__", _binary(f"__r{_name}__", _operator, True))
