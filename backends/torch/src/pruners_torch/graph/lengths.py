"""What stays of everything that a graph's nodes gave when they were recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from attrs import frozen
from torch import fx

from pruners.structure.plan import Coordinates

from .recording import Made

Kept = tuple["np.ndarray | None", ...]


@frozen(eq=False)
class Lengths:
    """Shapes before and after, and kept coordinates, per node of the graph that was recorded."""

    made: Mapping[fx.Node, Any]
    mode: str
    coordinates: Coordinates

    def gives_tensor(self, node: Any) -> bool:
        """Return whether something is a node that gave one tensor."""
        return isinstance(node, fx.Node) and isinstance(self.made.get(node), Made)

    def old(self, node: fx.Node) -> tuple[int, ...]:
        """Return the shape of what a node gave."""
        shape: tuple[int, ...] = self.made[node].shape
        return shape

    def new(self, node: fx.Node) -> tuple[int, ...]:
        """Return the shape that it will have."""
        return self.shape(self.made[node])

    def kept(self, node: fx.Node) -> Kept:
        """Return per axis the coordinates that stay; None: all."""
        return self.coordinates(self.mode, self.made[node].value)

    def parts(self, node: fx.Node, axis: int) -> tuple[list[int], list[int]]:
        """Return the lengths of an axis of each of a node's tensors, before and after."""
        listed: tuple[Made, ...] = self.made[node]
        return [each.shape[axis] for each in listed], [self.shape(each)[axis] for each in listed]

    def cut(self, node: fx.Node) -> list[int]:
        """Return the lengths, before, of all axes that get shorter, of what a node gives."""
        found: list[int] = []
        for each in _tensors(self.made.get(node)):
            found += [old for old, new in zip(each.shape, self.shape(each), strict=True) if old != new]
        return found

    def shape(self, made: Made) -> tuple[int, ...]:
        """Return the shape that something recorded will have."""
        kept = self.coordinates(self.mode, made.value)
        return tuple(
            old if indices is None else len(indices) for old, indices in zip(made.shape, kept, strict=True)
        )


def _tensors(made: Any) -> list[Made]:
    if isinstance(made, Made):
        return [made]
    return [each for part in made for each in _tensors(part)] if isinstance(made, tuple) else []
