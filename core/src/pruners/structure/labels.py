"""Labels on coordinates, joined where they must leave together, frozen where they must stay."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import define, field, frozen

from .program import NOWHERE, Place

Axis = np.ndarray | None
"""One label per coordinate; None: every coordinate stays (a batch, a picture's rows)."""

Axes = list[Axis]
"""The axes of one value."""

FROZEN = 0
"""The root of everything that stays."""


@frozen
class Reason:
    """Why something is kept whole."""

    text: str
    place: Place = NOWHERE

    def __str__(self) -> str:
        return f"{self.text} ({self.place})" if self.place != NOWHERE else self.text


@define(eq=False)
class Labels:
    """
    Hands out labels and remembers which must be equal and which must stay.

    Joining costs nothing until `solve`, which finds the classes once for the whole network.
    """

    count: int = 1
    _left: list[np.ndarray] = field(factory=list)
    _right: list[np.ndarray] = field(factory=list)
    _frozen: list[np.ndarray] = field(factory=list)
    _reasons: list[Reason] = field(factory=list)

    def fresh(self, length: int) -> np.ndarray:
        """Return labels that nothing else has."""
        self.count += length
        return np.arange(self.count - length, self.count)

    def join(self, left: Axis, right: Axis, reason: Reason) -> Axis:
        """Make two axes equal coordinate by coordinate; what meets an axis that stays, stays."""
        if left is right:
            return left
        if left is None or right is None:
            self.freeze(left, reason)
            self.freeze(right, reason)
            return None
        self.equate(left, right)
        self.freeze(left[right == FROZEN], reason)
        self.freeze(right[left == FROZEN], reason)
        return left

    def equate(self, left: np.ndarray, right: np.ndarray) -> None:
        """Make labels equal, broadcast."""
        if left.shape != right.shape:
            left, right = np.broadcast_arrays(left, right)
        self._left.append(left.ravel())
        self._right.append(right.ravel())

    def freeze(self, axis: Axis, reason: Reason) -> None:
        """Keep every coordinate of an axis."""
        if axis is not None and axis.size:
            self._frozen.append(axis.ravel())
            self._reasons.append(reason)

    def tie(self, table: np.ndarray, carrier: int) -> np.ndarray:
        """Let only the axis `carrier` of a table of labels vary; return its labels."""
        rows: np.ndarray = np.moveaxis(table, carrier, -1).reshape(-1, table.shape[carrier])
        if len(rows) > 1:
            self.equate(rows[1:], rows[:1])
        first: np.ndarray = rows[0]
        return first

    def solve(self) -> Classes:
        """Return the class of every label."""
        root = _components(self.count, self._left, self._right)
        why = np.full(self.count, -1)
        for number in reversed(range(len(self._frozen))):
            why[root[self._frozen[number]]] = number
        if why[FROZEN] < 0:
            why[FROZEN] = len(self._reasons)
        stays = why >= 0
        stays[FROZEN] = True
        reasons = (*self._reasons, Reason("goes with something that is kept whole"))
        return Classes(np.where(stays[root], FROZEN, root), root, why, reasons)


@frozen(eq=False)
class Classes:
    """The solved labels."""

    root: np.ndarray
    """Label -> root of its class; 0 where the class stays."""
    _component: np.ndarray
    _why: np.ndarray
    _reasons: tuple[Reason, ...]

    def of(self, axis: Axis) -> Axis:
        """Return the roots of an axis; None where every coordinate stays."""
        if axis is None:
            return None
        found = self.root[axis]
        return found if found.any() else None

    def reasons(self, axis: Axis) -> list[Reason]:
        """Return why coordinates of an axis stay, the first met first."""
        if axis is None:
            return []
        numbers = np.unique(self._why[self._component[axis]])
        return [self._reasons[number] for number in numbers if number >= 0]


def _components(count: int, left: Sequence[np.ndarray], right: Sequence[np.ndarray]) -> np.ndarray:
    """Return the lowest label of each label's class: hooking and pointer jumping, vectorised."""
    parent = np.arange(count)
    if not left:
        return parent
    a, b = np.concatenate(left), np.concatenate(right)
    while True:
        apart = a != b
        if not apart.any():
            return parent
        a, b = a[apart], b[apart]
        np.minimum.at(parent, np.maximum(a, b), np.minimum(a, b))
        while True:
            above = parent[parent]
            if np.array_equal(above, parent):
                break
            parent = above
        a, b = parent[a], parent[b]
