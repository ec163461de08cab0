"""How far two runs are apart, in numbers that could have told them apart."""

from __future__ import annotations

from attrs import define, field, frozen

_FLOOR = 1e-3
"""Outputs smaller than this part of the largest are measured against that: they may cancel to nothing."""


@frozen
class Difference:
    """How two arrays differ."""

    largest: float
    """Largest absolute difference of finite numbers; infinite where they do not correspond."""
    scale: float
    """Largest absolute finite number of the first."""
    numbers: int
    """Finite numbers compared."""
    size: int
    """Numbers there were."""


@define(eq=False)
class Comparison:
    """Differences gathered over several arrays, in the order they came up."""

    found: list[tuple[str, Difference]] = field(factory=list)

    def add(self, difference: Difference, name: str = "") -> None:
        """Take in how two arrays differ."""
        self.found.append((name, difference))

    def missing(self, name: str = "") -> None:
        """Note that something has no counterpart."""
        self.found.append((name, Difference(float("inf"), 0.0, 0, 0)))

    @property
    def error(self) -> float:
        """Largest difference, relative to the largest number of its own array."""
        return max((self._ratio(each) for _, each in self.found), default=0.0)

    @property
    def numbers(self) -> int:
        """How many finite numbers were compared."""
        return sum(each.numbers for _, each in self.found)

    @property
    def telling(self) -> bool:
        """Whether any number compared was not zero."""
        return any(each.scale > 0 for _, each in self.found)

    @property
    def senseless(self) -> bool:
        """Whether some array held numbers, none of them finite."""
        return any(each.size and not each.numbers and each.largest == 0 for _, each in self.found)

    @property
    def worst(self) -> str:
        """The name that came with the largest difference, relative to the largest number of its own array."""
        return max(self.found, key=lambda each: self._ratio(each[1]))[0] if self.found else ""

    def first_beyond(self, tolerance: float) -> str | None:
        """Return the name that came with the first difference larger than `tolerance`."""
        return next((name for name, each in self.found if not self._ratio(each) <= tolerance), None)

    def _ratio(self, found: Difference) -> float:
        if found.largest == 0:
            return 0.0
        scale = max(found.scale, _FLOOR * max(each.scale for _, each in self.found))
        return found.largest / scale if scale > 0 else float("inf")
