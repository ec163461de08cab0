"""From recorded passes to groups: which coordinates of which parameters leave together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from attrs import define, field, frozen

from . import movement, zeros  # noqa: F401  (movement registers its rules)
from .groups import Group, Member, find_groups
from .labels import FROZEN, Axes, Axis, Classes, Labels, Reason
from .program import Constant, LiteralSize, Place, Program
from .rules import RULES, Walk
from .sites import Site, Sites

_TRIES = 3
"""How often choices that led to nothing are revised."""


@frozen(eq=False)
class Structure:
    """What a model's recorded passes say about its channels."""

    programs: Mapping[str, Program]
    groups: tuple[Group, ...]
    classes: Classes
    _axes: Mapping[str, Mapping[int, Axes]]
    unruled: tuple[Place, ...]
    """Operations without a rule: their inputs are kept whole."""
    parted: bool = False
    """Whether an axis was parted where another choice of carrier was possible."""

    @property
    def size(self) -> int:
        """One more than the largest root."""
        return len(self.classes.root)

    def labels(self, mode: str, value: int) -> tuple[Axis, ...]:
        """Return the roots per axis of a recorded value; 0 or None where it stays."""
        return tuple(self.classes.of(axis) for axis in self._axes[mode][value])

    def parameter(self, name: str) -> tuple[Axis, ...]:
        """Return the roots per stored axis of a parameter or buffer."""
        for mode, program in self.programs.items():
            if name in program.parameters:
                return self.labels(mode, program.parameters[name])
        raise KeyError(name)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Every parameter and buffer, in the model's order."""
        return tuple(dict.fromkeys(name for each in self.programs.values() for name in each.parameters))

    def reasons(self, mode: str, value: int, axis: int) -> list[Reason]:
        """Return why coordinates of an axis stay."""
        return self.classes.reasons(self._axes[mode][value][axis])


@define(eq=False)
class _Attempt:
    """One walk over all programs with one choice of axes."""

    labels: Labels
    sites: Sites
    walks: dict[str, Walk] = field(factory=dict)
    unruled: list[Place] = field(factory=list)


def analyse(
    programs: Mapping[str, Program],
    *,
    weights: Mapping[str, int],
    ignore: Mapping[str, int | None] | None = None,
    literals: Sequence[LiteralSize] = (),
    heads: str = "width",
    rescales: bool = False,
) -> Structure:
    """
    Return what hangs together in a model.

    Parameters
    ----------
    programs : {mode: Program}
        The recorded passes; what any of them ties is tied.
    weights : {parameter: stored axis}
        The layers that can be scored and the stored axis of their output channels.
    ignore : {parameter: stored axis or None}
        Axes to keep whole; None: every axis of the parameter.
    literals : sequence of LiteralSize
        Sizes in the code; those that nothing can change are kept.
    heads : {"width", "heads"}
        What to shorten where channels are parted into heads.
    rescales : bool
        Whether the backend can keep an attention's scale when the width of its heads changes.
    """

    def walk(sites: Sites) -> _Attempt:
        return _walk(programs, _Attempt(Labels(), sites), ignore or {}, literals, rescales)

    attempt = walk(Sites(heads))
    classes = attempt.labels.solve()
    for _ in range(_TRIES):
        dead = _dead(attempt, classes)
        if not dead:
            break
        other = walk(attempt.sites.revised(dead))
        solved = other.labels.solve()
        if np.count_nonzero(solved.root) <= np.count_nonzero(classes.root):
            break
        attempt, classes = other, solved
    axes = {mode: walk.axes for mode, walk in attempt.walks.items()}
    groups = find_groups(programs, axes, classes, _alive(attempt, classes), weights)
    return Structure(programs, groups, classes, axes, tuple(attempt.unruled), bool(attempt.sites.chosen))


def _walk(
    programs: Mapping[str, Program],
    attempt: _Attempt,
    ignore: Mapping[str, int | None],
    literals: Sequence[LiteralSize],
    rescales: bool,
) -> _Attempt:
    shared: dict[str, Axes] = {}
    for mode, program in programs.items():
        walk = attempt.walks[mode] = Walk(attempt.labels, attempt.sites, program.shapes, rescales=rescales)
        _start(program, walk, shared)
        for op in program.ops:
            outputs = RULES[op.kind](walk, op)
            walk.axes.update(zip(op.outputs, outputs, strict=True))
            zeros.follow(walk, op)
            if op.kind == "opaque":
                attempt.unruled.append(op.place)
        for value in program.results:
            for axis in walk.axes[value]:
                attempt.labels.freeze(axis, Reason("is returned by the model"))
    for name, only in ignore.items():
        for index, axis in enumerate(shared.get(name, ())):
            if only is None or index == only:
                attempt.labels.freeze(axis, Reason("is to be ignored"))
    for literal in literals:
        _keep_constant(attempt, literal)
    return attempt


def _start(program: Program, walk: Walk, shared: dict[str, Axes]) -> None:
    """Give labels to parameters (shared between programs) and constants; nothing to what is outside."""
    produced = {value for op in program.ops for value in op.outputs}
    for name, value in program.parameters.items():
        if name not in shared:
            shared[name] = [walk.labels.fresh(length) for length in program.shapes[value]]
        walk.axes[value] = list(shared[name])
    for value in program.constants:
        walk.axes[value] = [walk.labels.fresh(length) for length in program.shapes[value]]
    for value, shape in enumerate(program.shapes):
        if value not in walk.axes and value not in produced:
            walk.axes[value] = [None] * len(shape)
    zeros.start(walk, list(program.parameters.values()))


def _keep_constant(attempt: _Attempt, literal: LiteralSize) -> None:
    if isinstance(literal.expression, Constant):
        axis = attempt.walks[literal.mode].axes[literal.value][literal.axis]
        if axis is not None:
            counted = axis[literal.start : literal.stop : literal.step]
            reason = Reason(f"has its size {literal.expression.value} written in the code", literal.place)
            attempt.labels.freeze(counted, reason)


def _dead(attempt: _Attempt, classes: Classes) -> list[Site]:
    """Return the sites whose carrier ended up kept whole, in the order they were met."""
    carriers = attempt.sites.carriers
    return [site for site in attempt.sites.modules if not _any(classes, carriers.get(site, []))]


def _any(classes: Classes, axes: Sequence[np.ndarray]) -> bool:
    return any(classes.root[axis].any() for axis in axes)


def _alive(attempt: _Attempt, classes: Classes) -> np.ndarray:
    """Return which roots some weight produces and some operation sums over."""
    made, read = np.zeros(len(classes.root), bool), np.zeros(len(classes.root), bool)
    for walk in attempt.walks.values():
        for mark, axes in ((made, walk.produced), (read, walk.consumed)):
            if axes:
                mark[classes.root[np.concatenate(axes)]] = True
    alive: np.ndarray = made & read
    alive[FROZEN] = False
    return alive


__all__ = ["Group", "Member", "Structure", "analyse"]
