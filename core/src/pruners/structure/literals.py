"""Sizes written in code: make attributes and kept counts agree with every one of them, or keep more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from attrs import define, field, frozen

from ..errors import RemovalError
from .engine import Structure
from .labels import Axis
from .program import Arithmetic, Attribute, Constant, Dimension, Expression, LiteralSize, Place

Values = Mapping[Attribute, int]


@frozen
class _Count:
    """Kept coordinates of one distinct vector of roots."""

    index: int


@frozen
class _Size:
    """One literal size: what the code computes, and the count it must equal."""

    expression: Expression | _Count
    needed: _Count | Constant
    place: Place


@frozen
class Restored:
    """Units that had to stay because of a size in the code."""

    roots: tuple[int, ...]
    place: Place


@define(eq=False)
class Reconciler:
    """
    Makes a choice of channels fit the sizes written in the code.

    It only ever keeps more: where the code's arithmetic does not give the kept count, the units
    with the highest scores come back until it does; with all of them back it does.
    """

    structure: Structure
    attributes: Values
    _vectors: list[np.ndarray] = field(factory=list)
    _known: dict[bytes, int] = field(factory=dict)
    _sizes: dict[tuple[object, object], _Size] = field(factory=dict)

    def add(self, literals: Sequence[LiteralSize]) -> None:
        """Take the literals of the recorded passes; those alike are one."""
        for literal in literals:
            axis = self.structure.labels(literal.mode, literal.value)[literal.axis]
            counted = None if axis is None else axis[literal.start : literal.stop : literal.step]
            length = len(range(self._length(literal))[literal.start : literal.stop : literal.step])
            needed = self._count(counted, length)
            expression = self._translate(literal.mode, literal.expression)
            if not (isinstance(needed, Constant) and isinstance(expression, Constant)):
                self._sizes.setdefault((expression, needed), _Size(expression, needed, literal.place))

    def fit(
        self, removed: np.ndarray, score: np.ndarray
    ) -> tuple[np.ndarray, dict[Attribute, int], list[Restored]]:
        """
        Return which roots leave, what the attributes become, and what had to stay.

        Parameters
        ----------
        removed : bool array (root,)
            The choice.
        score : float array (root,)
            The highest come back first.

        Raises
        ------
        RemovalError
            If the sizes contradict each other although nothing is removed.
        """
        removed = removed.copy()
        restored: list[Restored] = []
        while True:
            lost = [int(np.count_nonzero(removed[vector])) for vector in self._vectors]
            counts = [len(vector) - gone for vector, gone in zip(self._vectors, lost, strict=True)]
            values = self._solve(counts)
            broken = [size for size in self._sizes.values() if not _holds(size, values, counts)]
            if not broken:
                changed = {each: value for each, value in values.items() if value != self.attributes[each]}
                return removed, changed, restored
            before = len(restored)
            for size in broken:
                # Those that share a count with one already mended are looked at again in the next round.
                if not any(removed[self._vectors[each]].sum() != lost[each] for each in _all_counted(size)):
                    back = self._restore(size, values, counts, removed, score)
                    removed[back] = False
                    if back.size:
                        restored.append(Restored(tuple(int(root) for root in back), size.place))
            if len(restored) == before:
                raise _contradiction(broken[0], values, counts)

    def _length(self, literal: LiteralSize) -> int:
        return self.structure.programs[literal.mode].shapes[literal.value][literal.axis]

    def _count(self, axis: Axis, length: int) -> _Count | Constant:
        if axis is None or not axis.any():
            return Constant(length)
        key = axis.tobytes()
        if key not in self._known:
            self._known[key] = len(self._vectors)
            self._vectors.append(axis)
        return _Count(self._known[key])

    def _translate(self, mode: str, expression: Expression) -> Expression | _Count:
        match expression:
            case Dimension(value, axis):
                shape = self.structure.programs[mode].shapes[value]
                return self._count(self.structure.labels(mode, value)[axis], shape[axis])
            case Arithmetic(operator, left, right):
                parts = self._translate(mode, left), self._translate(mode, right)
                return Arithmetic(operator, *parts)  # type: ignore[arg-type]
        return expression

    def _solve(self, counts: Sequence[int]) -> dict[Attribute, int]:
        """
        Return the values of attributes that the counts ask for; where they disagree, the largest.

        An attribute that fits as it is stays: a quotient does not tell its dividend.
        """
        values: dict[Attribute, int] = {}
        for unknown in (1, 2):
            asked: dict[Attribute, int] = {}
            for size in self._sizes.values():
                free = {each for each in _attributes(size.expression) if each not in values}
                if not free or len(free) > unknown:
                    continue
                target = next(iter(sorted(free, key=str)))
                fixed = {**self.attributes, **values}
                needed = _evaluate(size.needed, fixed, counts)
                if _evaluate(size.expression, fixed, counts) == needed:
                    value: int | None = fixed[target]
                else:
                    value = _invert(size.expression, needed, target, fixed, counts)
                if value is not None:
                    asked[target] = max(value, asked.get(target, 0))
            values.update(asked)
        return {**self.attributes, **values}

    def _restore(
        self,
        size: _Size,
        values: Values,
        counts: Sequence[int],
        removed: np.ndarray,
        score: np.ndarray,
    ) -> np.ndarray:
        """Return roots to bring back: on the side that is too small, else where attributes lead; or none."""
        have, need = (_evaluate(side, values, counts) for side in (size.expression, size.needed))
        small, large = (size.expression, size.needed) if have < need else (size.needed, size.expression)
        for sides in ([small], [large], self._linked(size)):
            vectors = [self._vectors[index] for side in sides for index in _counted(side)]
            gone = [np.unique(vector[removed[vector]]) for vector in vectors]
            pool = np.unique(np.concatenate(gone)) if gone else np.empty(0, int)
            if pool.size:
                each = max(int(np.count_nonzero(vector == pool[-1])) for vector in vectors)
                some = self._missing(size, have, need, max(each, 1), values, counts)
                best = np.lexsort((pool, score[pool]))
                return pool[best[-min(max(some, 1), pool.size) :]]
        return np.empty(0, int)

    def _linked(self, size: _Size) -> list[Expression | _Count]:
        """Return both sides of every size that shares an attribute, directly or through others."""
        known = set(_attributes(size.expression))
        left = list(self._sizes.values())
        sides: list[Expression | _Count] = []
        while True:
            near = [other for other in left if known.intersection(_attributes(other.expression))]
            if not near:
                return sides
            left = [other for other in left if other not in near]
            sides += [side for other in near for side in (other.needed, other.expression)]
            known.update(each for other in near for each in _attributes(other.expression))

    def _missing(
        self, size: _Size, have: int, need: int, each: int, values: Values, counts: Sequence[int]
    ) -> int:
        """Return how many units, each of `each` coordinates, to bring back at once."""
        free = set(_attributes(size.expression))

        def fits(count: int) -> bool:
            return any(_invert(size.expression, count, one, values, counts) is not None for one in free)

        if free and not fits(need):  # no whole number gives this count: the next larger that one gives
            for more in range(1, abs(have - need) // each + 1):
                if fits(need + more * each):
                    return more
        return abs(have - need) // each


def _contradiction(size: _Size, values: Values, counts: Sequence[int]) -> RemovalError:
    have, need = (_evaluate(side, values, counts) for side in (size.expression, size.needed))
    return RemovalError(
        f"sizes in the code contradict each other: {size.place} is handed {have} where the recorded pass "
        f"has {need}, with every channel kept; record the model again"
    )


def _all_counted(size: _Size) -> Iterator[int]:
    yield from _counted(size.expression)
    yield from _counted(size.needed)


def _holds(size: _Size, values: Values, counts: Sequence[int]) -> bool:
    return _evaluate(size.expression, values, counts) == _evaluate(size.needed, values, counts)


def _evaluate(expression: Expression | _Count, values: Values, counts: Sequence[int]) -> int:
    match expression:
        case Constant(value):
            return value
        case _Count(index):
            return counts[index]
        case Attribute():
            return values[expression]
        case Arithmetic(operator, left, right):
            return _compute(operator, _evaluate(left, values, counts), _evaluate(right, values, counts))
    raise TypeError(f"{expression!r} is no expression over counts")


def _compute(operator: str, left: int, right: int) -> int:
    match operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "//":
            return left // right if right else 0
        case "%":
            return left % right if right else 0
    raise ValueError(f"unknown operator {operator!r}")


def _attributes(expression: Expression | _Count) -> Iterator[Attribute]:
    match expression:
        case Attribute():
            yield expression
        case Arithmetic(_, left, right):
            yield from _attributes(left)
            yield from _attributes(right)


def _counted(expression: Expression | _Count) -> Iterator[int]:
    match expression:
        case _Count(index):
            yield index
        case Arithmetic(_, left, right):
            yield from _counted(left)
            yield from _counted(right)


def _invert(
    expression: Expression | _Count, target: int, unknown: Attribute, values: Values, counts: Sequence[int]
) -> int | None:
    """Return the value of `unknown` that makes the expression equal `target`; None where there is none."""
    if expression == unknown:
        return target
    if not isinstance(expression, Arithmetic):
        return None
    left, right = expression.left, expression.right
    on_left, on_right = unknown in _attributes(left), unknown in _attributes(right)
    if on_left == on_right:  # nowhere, or on both sides
        return None
    side, other = (left, right) if on_left else (right, left)
    known = _evaluate(other, values, counts)
    inner = _undo(expression.operator, target, known, on_left)
    return None if inner is None else _invert(side, inner, unknown, values, counts)


def _undo(operator: str, target: int, known: int, on_left: bool) -> int | None:
    """Return x such that ``x operator known`` (or ``known operator x``) is `target`."""
    match operator:
        case "+":
            return target - known
        case "-":
            return target + known if on_left else known - target
        case "*":
            return target // known if known and target % known == 0 else None
        case "//":
            if on_left:
                return target * known
            return known // target if target and known % target == 0 else None
    return None
