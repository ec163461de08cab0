"""What options share: whole numbers of every kind, kept as Python's own; a hint for percentages."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral
from typing import Any

from attrs import Attribute

from .errors import OptionError


def integer(value: Any) -> int:
    """Return an integer of any kind, NumPy's too, as an int: a converter; the rest is left to `whole`."""
    return int(value) if _is_whole(value) else value


def whole(least: int | None = None) -> Callable[[Any, Attribute[Any], Any], None]:
    """Return a validator for whole numbers, `least` or more; True and False are none."""

    def check(_: Any, attribute: Attribute[Any], value: Any) -> None:
        if not _is_whole(value):
            raise TypeError(f"{attribute.name!r} must be a whole number, got {value!r}")
        if least is not None and value < least:
            raise OptionError(f"{attribute.name!r} must be >= {least}: {value}")

    return check


def at_least(least: int, name: str, value: Any) -> int:
    """Return an argument as an int; raise OptionError unless it is whole, and `least` or more."""
    if not _is_whole(value) or value < least:
        raise OptionError(f"{name} is {value!r}; give a whole number of at least {least}")
    return int(value)


def percent_hint(value: Any) -> str:
    """Return what to write for a number that was meant as a percentage, empty where it was not."""
    meant = type(value) in (int, float) and 1 < value < 100
    return f": {value:g} % is {value / 100:g}" if meant else ""


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)
