"""Models that several ranks hold together: in copies, or each rank its pieces."""

from __future__ import annotations

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
        count = 1
        for length in self.shape:
            count *= length
        return count


class Peers(Protocol):
    """The ranks that work on one model; every method is called by all of them, in the same order."""

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
        """Return the sum over all ranks of an int64 array, the same on every rank."""
        ...

    def gather(self, array: np.ndarray) -> list[np.ndarray]:
        """Return every rank's array, in the order of ranks; shapes may differ, the type may not."""
        ...

    def exchange(self, parts: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Send part r to rank r; return what each rank sent here. One-dimensional, of one type."""
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

    `Layer.shape` is the whole layer's; `read`, `write`, `native`, `keeper` and masks are of this rank's
    piece. A piece of no weights is possible.
    """

    @property
    def boxes(self) -> Mapping[str, Sequence[Box]]:
        """``{layer: each rank's piece}`` of the layers in pieces; equal boxes are copies of one piece."""
        ...

    def whole(self, arrays: Mapping[str, np.ndarray]) -> AbstractContextManager[Any]:
        """Return a context in which views show these whole layers instead of this rank's pieces."""
        ...
