"""Arrays handed from one way of lying on the ranks to another; no rank holds more than its own pieces."""

from __future__ import annotations

import attrs
import numpy as np

from ..selection.ranking import Ranking
from .boxes import Among, in_rows, overlap, row_boxes, slices


def moved(array: np.ndarray, now: Among, then: Among) -> np.ndarray:
    """
    Return this rank's piece as it lies `then`, from what every rank holds `now`.

    Values arrive bit for bit, of any type. Copies of a piece are sent by the rank that counts it. Where
    both are the same, nothing is sent or copied.
    """
    if then is now:
        return array
    peers, mine = now.peers, now.boxes[now.peers.rank]
    parts = []
    for box in then.boxes:
        shared = overlap(mine, box) if now.counted else None
        parts.append(_bytes(array[slices(shared, mine)] if shared else array[:0]))
    return _filled(peers.exchange(parts), array.dtype, now, then)


def _filled(arrived: list[np.ndarray], dtype: np.dtype[np.generic], now: Among, then: Among) -> np.ndarray:
    mine = then.box
    found = np.empty(mine.shape, dtype)
    for rank, raw in enumerate(arrived):
        shared = overlap(now.boxes[rank], mine) if now.counts(rank) else None
        if shared:
            found[slices(shared, mine)] = np.ascontiguousarray(raw).view(dtype).reshape(shared.shape)
    return found


def _bytes(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def by_rows(among: Among, multiple: int) -> Among:
    """Return how the layer lies cut at multiples of rows: as it is, where it is cut so already."""
    if among.size and in_rows(among, multiple):
        return among
    return Among(among.shape, row_boxes(among.shape, multiple, among.peers.size), among.peers)


def moved_ranking(ranking: Ranking, then: Among) -> Ranking:
    """Return a ranking whose scores lie as `then` says."""
    now = ranking.among
    if now is None or now is then:
        return ranking
    alive = None if ranking.alive is None else moved(ranking.alive, now, then)
    return attrs.evolve(ranking, scores=moved(ranking.scores, now, then), alive=alive, among=then)


def whole(array: np.ndarray, among: Among) -> np.ndarray:
    """Return the whole layer, put together on every rank from the pieces of all."""
    found = np.empty(among.shape, array.dtype)
    sent = among.peers.gather(_bytes(array) if among.counted else np.empty(0, np.uint8))
    for rank, (box, raw) in enumerate(zip(among.boxes, sent, strict=True)):
        if box.size and among.counts(rank):
            piece = np.ascontiguousarray(raw).view(array.dtype).reshape(box.shape)
            found[tuple(slice(o, o + n) for o, n in zip(box.offset, box.shape, strict=True))] = piece
    return found


def piece(array: np.ndarray, among: Among) -> np.ndarray:
    """Return this rank's piece of a whole layer, without a copy."""
    box = among.box
    return array[tuple(slice(o, o + n) for o, n in zip(box.offset, box.shape, strict=True))]
