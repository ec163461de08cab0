"""Models that several ranks hold together: in copies, or each rank its pieces."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from attrs import frozen

if TYPE_CHECKING:
    import numpy as np


@frozen
class Box:
    """A piece of a layer: where it begins in ``(out, in, *kernel)`` and how long it is along each axis."""

    offset: tuple[int, ...]
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of weights."""
        return math.prod(self.shape)


class Peers(Protocol):
    """
    The ranks that work on one model; every method is called by all of them, in the same order.

    Arrays are of int64, float64 or uint8, and C-contiguous; none may be changed that is handed in.
    """

    @property
    def rank(self) -> int:
        """Which of the ranks runs here, from 0."""
        ...

    @property
    def size(self) -> int:
        """How many ranks there are."""
        ...

    @property
    def sent(self) -> int:
        """Bytes that this rank has handed to the others so far."""
        ...

    def sum(self, array: np.ndarray) -> np.ndarray:
        """Return the sum over all ranks of an int64 array of one axis, the same on every rank."""
        ...

    def gather(self, array: np.ndarray) -> list[np.ndarray]:
        """Return every rank's array of one axis, in the order of ranks; lengths may differ, types not."""
        ...

    def exchange(self, parts: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Send part r to rank r; return what each rank sent here. One axis, of one type; empty ones occur."""
        ...


@runtime_checkable
class Shared(Protocol):
    """Optional, for open models of frameworks that train on several ranks."""

    def peers(self) -> Peers | None:
        """Return the ranks of the process group; None where there is none or it has one rank."""
        ...


@runtime_checkable
class Sharded(Shared, Protocol):
    """
    Optional, for open models whose layers lie in pieces on several ranks.

    `Layer.shape` is the whole layer's; `read`, `write`, `native`, `keeper`, masks, and a view's weights and
    gradients are of this rank's piece. Gradients of pieces are means over all ranks. A piece of no
    weights is possible.
    """

    @property
    def boxes(self) -> Mapping[str, Sequence[Box]]:
        """``{layer: each rank's piece}`` of the layers in pieces; equal boxes are copies of one piece."""
        ...

    def showing(self, arrays: Mapping[str, np.ndarray]) -> AbstractContextManager[Any]:
        """
        Return a context in which views show these arrays instead of this rank's pieces of these layers.

        They are whole layers or whole rows of them, in canonical layout, as `read` gives pieces. What was
        taken from a view stays valid after the context.
        """
        ...
