"""Layers cut into pieces, in every way that ranks hold them."""

import numpy as np
from hypothesis import strategies as st
from pruners_conformance.ranks import on_ranks

from pruners.protocols import Box
from pruners.selection import Ranking
from pruners.sharding.boxes import Among, everything, slices


def along(shape, axis, cuts):
    """Return boxes between `cuts` along one axis."""
    edges = [0, *sorted(cuts), shape[axis]]
    boxes = []
    for start, stop in zip(edges[:-1], edges[1:], strict=True):
        offset = tuple(start if a == axis else 0 for a in range(len(shape)))
        boxes.append(Box(offset, tuple(stop - start if a == axis else n for a, n in enumerate(shape))))
    return boxes


def even(shape, axis, ranks):
    """Return the boxes of pieces of equal length, the last ones shorter or empty."""
    length = -(-shape[axis] // ranks)
    return along(shape, axis, [min(shape[axis], length * rank) for rank in range(1, ranks)])


def grid(shape, rows, columns):
    """Return boxes of a cut along both of the first axes."""
    return [
        Box((a.offset[0], b.offset[1], *a.offset[2:]), (a.shape[0], b.shape[1], *a.shape[2:]))
        for a in even(shape, 0, rows)
        for b in even(shape, 1, columns)
    ]


@st.composite
def boxes(draw, shape, ranks):
    """Cuts along any axis, even, uneven or with empty pieces; grids; copies; and all on one rank."""
    kinds = ["copies", "even", "uneven", "twice", "grid"] if shape else ["copies"]
    kind = draw(st.sampled_from(kinds))
    axis = draw(st.integers(0, len(shape) - 1)) if shape else 0
    if kind == "copies":
        return [everything(shape)] * ranks
    if kind == "even":
        return even(shape, axis, ranks)
    if kind == "uneven":
        cuts = draw(st.lists(st.integers(0, shape[axis]), min_size=ranks - 1, max_size=ranks - 1))
        return along(shape, axis, cuts)
    if ranks % 2:
        return even(shape, axis, ranks)
    if kind == "grid" and len(shape) > 1:
        return grid(shape, 2, ranks // 2)
    return even(shape, axis, ranks // 2) * 2


def cut(array, box):
    """Return a rank's piece of an array."""
    return array[slices(box, everything(array.shape))]


def pieces(ranking, boxes, peers):
    """Return a rank's piece of a ranking."""
    among = Among(ranking.shape, tuple(boxes), peers)
    alive = None if ranking.alive is None else cut(ranking.alive, among.box)
    return Ranking(
        ranking.name, cut(ranking.scores, among.box), ranking.magnitude, alive, ranking.scale, among
    )


def joined(shape, boxes, found, dtype=bool):
    """Return a whole array from each rank's piece; pieces that are copies must be equal."""
    whole = np.zeros(shape, dtype)
    for box, piece in zip(boxes, found, strict=True):
        assert piece.shape == box.shape
        whole[slices(box, everything(shape))] = piece
    for box, piece in zip(boxes, found, strict=True):
        assert np.array_equal(cut(whole, box), piece)
    return whole


def all_well(results):
    """Return the results of all ranks, none of which failed."""
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


__all__ = ["all_well", "along", "boxes", "cut", "even", "grid", "joined", "on_ranks", "pieces"]
