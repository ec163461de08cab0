"""Exactly the k smallest of layers that lie in pieces: what `selection.kernel` does, on several ranks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from attrs import frozen

from ..protocols.ranks import Peers
from ..selection.keys import CHUNK, Form, Scratch, form_of
from ..selection.parts import Order, Part
from ..selection.ranking import Ranking
from ..selection.rounding import Ties, first_of_equals
from .boxes import Among, everywhere
from .histograms import Digits, Place, find


@frozen(eq=False)
class Piece:
    """One rank's part of a layer, and where it lies in the pool of all layers."""

    part: Part
    among: Among
    start: int
    """The whole layer's first index in the pool."""

    def chunks(self, form: Form, scratch: Scratch) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Yield ``(position, keys, mask)`` chunk by chunk, in memory order; keys and mask have one axis."""
        base = 0
        for keys, mask, _ in self.part.chunks(form, scratch):
            yield base, keys.reshape(-1), mask.reshape(-1)
            base += keys.size

    def span(self, base: int, size: int, order: Order) -> tuple[int, int]:
        """Return the first and the last index that a chunk can have."""
        if not order.trivial or not size:
            return self.start, self.start + self.among.size
        ends = self.among.places(np.array([base, base + size - 1]))
        return int(ends[0]) + self.start, int(ends[1]) + self.start

    def indices(self, positions: np.ndarray, order: Order) -> np.ndarray:
        """Return the indices in the pool of positions in memory order."""
        return self.among.places(order.flat_index(positions, self.part.scores.shape)) + self.start


def peers_of(rankings: Sequence[Ranking]) -> Peers | None:
    """Return the ranks that hold any of these layers in pieces, or None."""
    return next((ranking.among.peers for ranking in rankings if ranking.among is not None), None)


def tally(rankings: Sequence[Ranking], counts: Sequence[int]) -> list[int]:
    """Return each layer's count over all ranks, from those of the pieces here."""
    peers = peers_of(rankings)
    if peers is None:
        return list(counts)
    mine = [
        count if ranking.among is None or ranking.among.counted else 0
        for ranking, count in zip(rankings, counts, strict=True)
    ]
    total = peers.sum(np.array(mine, np.int64))
    return [
        count if ranking.among is None else int(all_)
        for ranking, count, all_ in zip(rankings, counts, total, strict=True)
    ]


def select_pieces(rankings: Sequence[Ranking], k: int, ties: Ties) -> list[np.ndarray]:
    """Return this rank's masks of the pool in which the `k` lowest-ranked weights of all ranks go."""
    peers = peers_of(rankings)
    if peers is None:
        raise ValueError("none of the layers lies in pieces")
    form = form_of(rankings)
    pieces = _pieces(rankings, peers)
    n = sum(piece.among.size for piece in pieces)
    if k in (0, n):
        _write(pieces, form, 0 if k == 0 else form.top + 1, None)
    else:
        counted = [piece for piece in pieces if piece.among.counted]
        size = sum(piece.part.size for piece in counted)
        digits = Digits(lambda low, high: _keys(counted, form), size)
        place = find(peers, digits, form.unsigned.itemsize * 8, k)
        first, value = first_of_equals(ties, k - place.below, place.equal)
        if 0 < first < place.equal:
            last = _last_index(counted, form, peers, place, first, n)
            _write(pieces, form, place.value, (last, value))
        else:
            _write(pieces, form, place.value + ((first > 0) is not value), None)
    return [piece.part.result() for piece in pieces]


def _pieces(rankings: Sequence[Ranking], peers: Peers) -> list[Piece]:
    pieces, start = [], 0
    for ranking in rankings:
        among = ranking.among or everywhere(ranking.shape, peers)
        pieces.append(Piece(Part.whole(ranking), among, start))
        start += among.size
    return pieces


def _scratch(pieces: Sequence[Piece], form: Form) -> Scratch:
    return Scratch.of(form, min(CHUNK, max((piece.part.size for piece in pieces), default=0)))


def _keys(pieces: Sequence[Piece], form: Form) -> Iterator[np.ndarray]:
    scratch = _scratch(pieces, form)
    for piece in pieces:
        for _, keys, _ in piece.chunks(form, scratch):
            yield keys


def _last_index(pieces: Sequence[Piece], form: Form, peers: Peers, place: Place, first: int, n: int) -> int:
    """Return the index in the pool of the `first`-th of the equals."""
    key = form.unsigned.type(place.value)

    def runs(low: int, high: int) -> Iterator[np.ndarray]:
        scratch = _scratch(pieces, form)
        for piece in pieces if place.here else ():
            order = Order.of(piece.part.scores)
            for base, keys, _ in piece.chunks(form, scratch):
                start, stop = piece.span(base, keys.size, order)
                if stop < low or start >= high:
                    continue
                equal = np.flatnonzero(keys == key)
                if equal.size:
                    yield piece.indices(equal + base, order)

    size = sum(piece.part.size for piece in pieces)
    return find(peers, Digits(runs, size), (n - 1).bit_length(), first).value


def _write(pieces: Sequence[Piece], form: Form, key: int, cut: tuple[int, bool] | None) -> None:
    """Write ``mask = keys >= key``; with a cut, of the equals only those up to its index, or after it."""
    scratch = _scratch(pieces, form)
    n = sum(piece.among.size for piece in pieces)
    least = form.unsigned.type(key)
    for piece in pieces:
        order = Order.of(piece.part.scores)
        for base, keys, mask in piece.chunks(form, scratch):
            last, value = (n, True) if cut is None else cut
            start, stop = piece.span(base, keys.size, order)
            if (stop <= last) if value else (start > last):
                np.greater_equal(keys, least, out=mask)
                continue
            np.greater(keys, least, out=mask)
            if (start > last) if value else (stop <= last):
                continue
            equal = np.flatnonzero(keys == least)
            if equal.size:
                is_first = piece.indices(equal + base, order) <= last
                mask[equal[is_first == value]] = True
