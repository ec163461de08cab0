"""What the steps of random networks draw from, and the table of steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from attrs import define
from hypothesis import strategies as st

from .builder import Builder

T = TypeVar("T")


@define(eq=False)
class Draw:
    """A network in the making, the values it may go on from, and the source of choices."""

    draw: Callable[[st.SearchStrategy], object]
    net: Builder
    pool: list[int]

    @property
    def random(self) -> np.random.Generator:
        return self.net.random

    @staticmethod
    def divisors(number: int) -> list[int]:
        return [each for each in range(1, number + 1) if number % each == 0]


Step = Callable[[Draw, int], list[int]]
"""Goes on from a value; returns new values, none where it does not fit."""

STEPS: dict[int, list[Step]] = {}
"""Number of axes -> steps."""


def step(rank: int) -> Callable[[Step], Step]:
    def register(function: Step) -> Step:
        STEPS.setdefault(rank, []).append(function)
        return function

    return register


def pick(draw: Draw, choices: Sequence[T]) -> T:
    return draw.draw(st.sampled_from(list(choices)))  # type: ignore[return-value]


def flag(draw: Draw) -> bool:
    return draw.draw(st.booleans())  # type: ignore[return-value]


def whole(draw: Draw, least: int, most: int) -> int:
    return draw.draw(st.integers(least, most))  # type: ignore[return-value]
