"""Looks at what hangs together in a small network, by parameter, axis and index."""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import define, field

from pruners.structure.engine import Structure

from .builder import Builder
from .comparing import structure_of
from .interpreter import Network


@define(eq=False)
class Found:
    """A network's structure; `results` are what the network returns."""

    net: Builder
    results: tuple[int, ...]
    options: dict[str, Any] = field(factory=dict)
    network: Network = field(init=False)
    structure: Structure = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.network = self.net.network(*self.results)
        self.structure = structure_of(self.network, **self.options)

    def roots(self, name: str, axis: int = 0) -> list[int]:
        """Return the root of each coordinate; 0 where it stays."""
        roots = self.structure.parameter(name)[axis]
        length = self.network.parameters[name].shape[axis]
        return [0] * length if roots is None else roots.tolist()

    def pattern(self, *axes: tuple[str, int]) -> list[str]:
        """Return one string per axis: equal letters leave together, a dot stays."""
        letters: dict[int, str] = {0: "."}
        return [
            "".join(letters.setdefault(root, chr(96 + len(letters))) for root in self.roots(*axis))
            for axis in axes
        ]

    def whole(self, name: str, axis: int = 0) -> bool:
        return not any(self.roots(name, axis))

    def why(self, name: str, axis: int = 0) -> list[str]:
        """Return why coordinates of an axis stay."""
        value = self.network.programs["eval"].parameters[name]
        return [str(reason) for reason in self.structure.reasons("eval", value, axis)]

    def because(self, name: str, axis: int, text: str) -> bool:
        """Say whether an axis stays as a whole, and for a reason that begins with a text."""
        return self.whole(name, axis) and any(reason.startswith(text) for reason in self.why(name, axis))

    def units(self) -> dict[str, int]:
        return {group.name: len(group) for group in self.structure.groups}


def look(net: Builder, *results: int, **options: Any) -> Found:
    return Found(net, results, options)


def labels(structure: Structure, value: int, axis: int) -> list[int]:
    """Return the roots along an axis of a recorded value."""
    roots = structure.labels("eval", value)[axis]
    length = structure.programs["eval"].shapes[value][axis]
    return np.zeros(length, int).tolist() if roots is None else roots.tolist()
