"""Units that look alike make a group: the channels of one layer and all that leaves with them."""

from __future__ import annotations

from collections.abc import Mapping

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
    """The first layer whose output channels these are."""
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
    signature = _signatures(members, len(alive))
    # The sum of a parameter axis' random numbers tells which axes a root is on, and how often.
    found: dict[int, list[tuple[Member, np.ndarray]]] = {}
    owners: dict[int, tuple[str, np.ndarray]] = {}
    for member, roots in members.items():
        live = np.unique(roots[alive[roots]])
        for key in np.unique(signature[live]):
            found.setdefault(int(key), []).append((member, roots))
        if live.size and weights.get(member.parameter) == member.axis:
            for key in np.unique(signature[live]):
                owners.setdefault(int(key), (member.parameter, roots))
    return tuple(
        _group(name, roots, signature, alive, key, [member for member, _ in found[key]], weights)
        for key, (name, roots) in owners.items()
    )


def _group(
    name: str,
    roots: np.ndarray,
    signature: np.ndarray,
    alive: np.ndarray,
    key: int,
    members: list[Member],
    weights: Mapping[str, int],
) -> Group:
    here = roots[alive[roots] & (signature[roots] == key)]
    units, first = np.unique(here, return_index=True)
    scored = tuple(each for each in members if weights.get(each.parameter) == each.axis)
    return Group(name, units[np.argsort(first, kind="stable")], tuple(members), scored)


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
    """Return a number per root that is the same for roots found equally often on the same axes."""
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
