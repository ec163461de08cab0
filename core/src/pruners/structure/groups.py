"""Units that look alike make a group: the channels of one layer and all that leaves with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from attrs import frozen

from .labels import Axes, Axis, Classes
from .program import Program


@frozen
class Member:
    """One stored axis of one parameter that loses coordinates with a group."""

    parameter: str
    axis: int


@frozen(eq=False)
class Group:
    """Units with the same members: each can leave alone, and takes the same from every member."""

    name: str
    """The first layer whose output channels these are; numbered where several groups begin in one."""
    units: np.ndarray
    """Roots, ordered by their first coordinate in that layer."""
    members: tuple[Member, ...]
    scored: tuple[Member, ...]
    """The output axes of layers among the members."""

    def __len__(self) -> int:
        return len(self.units)


def find_groups(
    programs: Mapping[str, Program],
    axes: Mapping[str, Mapping[int, Axes]],
    classes: Classes,
    alive: np.ndarray,
    weights: Mapping[str, int],
) -> tuple[Group, ...]:
    """Return the groups, in the order in which the model meets their layers."""
    members = _members(programs, axes, classes)
    numbers, count = _numbered(_signatures(members, len(alive)), alive)
    found: list[list[Member]] = [[] for _ in range(count)]
    owners: dict[int, tuple[str, np.ndarray]] = {}
    for member, roots in members.items():
        present = np.flatnonzero(np.bincount(numbers[roots], minlength=count + 1)[:count])
        for number in present:
            found[number].append(member)
        if weights.get(member.parameter) == member.axis:
            order = sorted(present, key=lambda number: int(np.argmax(numbers[roots] == number)))
            for number in order:
                owners.setdefault(int(number), (member.parameter, roots[numbers[roots] == number]))
    names = _names([name for name, _ in owners.values()])
    return tuple(
        _group(name, here, tuple(found[number]), weights)
        for name, (number, (_, here)) in zip(names, owners.items(), strict=True)
    )


def _group(name: str, here: np.ndarray, members: tuple[Member, ...], weights: Mapping[str, int]) -> Group:
    units, first = np.unique(here, return_index=True)
    scored = tuple(each for each in members if weights.get(each.parameter) == each.axis)
    return Group(name, units[np.argsort(first, kind="stable")], members, scored)


def _names(layers: Sequence[str]) -> list[str]:
    """Number the groups that begin in the same layer: "conv.weight", "conv.weight #2"."""
    met: Counter[str] = Counter()
    names = []
    for layer in layers:
        met[layer] += 1
        names.append(layer if met[layer] == 1 else f"{layer} #{met[layer]}")
    return names


def _numbered(signature: np.ndarray, alive: np.ndarray) -> tuple[np.ndarray, int]:
    """Number the distinct signatures of living roots; the number after them is for the others."""
    living = np.flatnonzero(alive)
    distinct, own = np.unique(signature[living], return_inverse=True)
    numbers = np.full(len(alive), len(distinct))
    numbers[living] = own
    return numbers, len(distinct)


def _members(
    programs: Mapping[str, Program], axes: Mapping[str, Mapping[int, Axes]], classes: Classes
) -> dict[Member, np.ndarray]:
    found: dict[Member, np.ndarray] = {}
    for mode, program in programs.items():
        for name, value in program.parameters.items():
            for index, axis in enumerate(axes[mode][value]):
                roots: Axis = classes.of(axis)
                if roots is not None:
                    found.setdefault(Member(name, index), roots)
    return found


def _signatures(members: Mapping[Member, np.ndarray], size: int) -> np.ndarray:
    """Return a number per root that is the same for roots found equally often on the same axes.

    It is the sum of random numbers of the axes that a root is on.
    """
    random = np.random.Generator(np.random.PCG64(0))
    signature = np.zeros(size, np.uint64)
    for roots in members.values():
        counts = np.bincount(roots, minlength=size) if roots.size > size // 8 else None
        number = random.integers(1, 2**63, dtype=np.uint64)
        if counts is not None:
            signature += counts.astype(np.uint64) * number
        else:
            np.add.at(signature, roots, number)
    return signature
