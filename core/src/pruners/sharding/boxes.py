"""Where pieces lie in a layer, and which ranks hold them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from attrs import field, frozen

from ..errors import RankError
from ..protocols.ranks import Box, Peers


@frozen(eq=False)
class Among:
    """
    How a layer lies on several ranks, and how these are reached.

    Parameters
    ----------
    shape : tuple of int
        The whole layer's canonical shape ``(out, in, *kernel)``.
    boxes : tuple of Box
        Each rank's piece. Equal boxes are copies: the lowest rank that holds one counts it.
    peers : Peers
        The ranks.

    Raises
    ------
    RankError
        If the pieces do not make up the layer.
    """

    shape: tuple[int, ...]
    boxes: tuple[Box, ...]
    peers: Peers = field(repr=False)
    _first: dict[Box, int] = field(init=False, repr=False)
    """The lowest rank that holds each piece."""

    @_first.default
    def _lowest(self) -> dict[Box, int]:
        return {box: rank for rank, box in reversed(list(enumerate(self.boxes)))}

    def __attrs_post_init__(self) -> None:
        total = sum(box.size for box in self._first)
        if len(self.boxes) != self.peers.size or total != math.prod(self.shape):
            raise RankError(
                f"the pieces of a layer of shape {self.shape} on {self.peers.size} ranks do not make it up: "
                f"{', '.join(str(box) for box in self.boxes)}"
            )

    @property
    def box(self) -> Box:
        """The piece on this rank."""
        return self.boxes[self.peers.rank]

    @property
    def size(self) -> int:
        """Number of weights of the whole layer."""
        return math.prod(self.shape)

    @property
    def counted(self) -> bool:
        """Whether this rank's piece counts: it is no copy of a lower rank's."""
        return self.counts(self.peers.rank)

    def counts(self, rank: int) -> bool:
        """Return whether the piece of `rank` counts."""
        return self._first[self.boxes[rank]] == rank

    def coarser(self, extent: Sequence[int]) -> Among:
        """
        Return how tiles of `extent` lie in a layer whose pieces are cut between tiles, or at its end.

        Axes that `extent` does not name are whole in a tile, and left out.
        """
        boxes = [Box(_tiles(box.offset, extent), _tiles(box.shape, extent)) for box in self.boxes]
        return Among(_tiles(self.shape, extent), tuple(boxes), self.peers)

    def places(self, positions: np.ndarray) -> np.ndarray:
        """Return the C-order positions in the whole layer of C-order positions in this rank's piece."""
        box = self.box
        if box.shape[1:] == self.shape[1:]:
            first = box.offset[0] * math.prod(self.shape[1:]) if self.shape else 0
            return positions + first
        own = np.unravel_index(positions, box.shape)
        moved = tuple(index + start for index, start in zip(own, box.offset, strict=True))
        return np.asarray(np.ravel_multi_index(moved, self.shape))


def _tiles(lengths: Sequence[int], extent: Sequence[int]) -> tuple[int, ...]:
    return tuple(-(-length // each) for length, each in zip(lengths, extent, strict=False))


def everything(shape: tuple[int, ...]) -> Box:
    """Return the box that is a whole layer."""
    return Box((0,) * len(shape), shape)


def everywhere(shape: tuple[int, ...], peers: Peers) -> Among:
    """Return how a layer lies of which every rank has a copy."""
    return Among(shape, (everything(shape),) * peers.size, peers)


def row_boxes(shape: tuple[int, ...], multiple: int, ranks: int) -> tuple[Box, ...]:
    """Return pieces of whole rows, cut at multiples of `multiple`, as even as that allows; some are empty."""
    runs = -(-shape[0] // multiple)
    cuts = [min(shape[0], runs * rank // ranks * multiple) for rank in range(ranks + 1)]
    rest = (0,) * (len(shape) - 1)
    return tuple(
        Box((start, *rest), (stop - start, *shape[1:]))
        for start, stop in zip(cuts[:-1], cuts[1:], strict=True)
    )


def in_rows(among: Among, multiple: int) -> bool:
    """Return whether every piece consists of whole rows, cut at multiples of `multiple`."""
    return all(
        not box.size
        or (
            box.shape[1:] == among.shape[1:]
            and box.offset[0] % multiple == 0
            and (box.shape[0] % multiple == 0 or box.offset[0] + box.shape[0] == among.shape[0])
        )
        for box in among.boxes
    )


def overlap(one: Box, other: Box) -> Box | None:
    """Return what two boxes share, or None."""
    start = tuple(map(max, one.offset, other.offset))
    ends = [
        min(a + n, b + m) for a, n, b, m in zip(one.offset, one.shape, other.offset, other.shape, strict=True)
    ]
    shape = tuple(end - first for end, first in zip(ends, start, strict=True))
    return Box(start, shape) if min(shape, default=1) > 0 else None


def slices(part: Box, whole: Box) -> tuple[slice, ...]:
    """Return where `part` lies in an array of what `whole` holds."""
    return tuple(
        slice(start - first, start - first + length)
        for start, first, length in zip(part.offset, whole.offset, part.shape, strict=True)
    )
