"""Exactly k smallest of a list of layers: a sampled bracket, one pass, a selection among the few."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

import numpy as np
from attrs import frozen

from ..errors import OptionError
from .keys import CHUNK, Form, Scratch, form_of
from .parts import Order, Part
from .ranking import Ranking
from .rounding import Ties, first_of_equals
from .ties import Settle

SMALL = 1 << 18
"""Up to this many weights one partition of all keys is fastest, and its memory does not matter."""
_HEAVY = 0.02  # a value that holds more than this share of the sample is counted, not collected
_SIGMAS = 3.0


@frozen
class _Bracket:
    """Keys in ``[low, high)``; not collected where they are known to be one heavily tied value."""

    low: int
    high: int
    collect: bool = True


@frozen
class _Found:
    """Candidates of one chunk: where they are in the layer's memory order, and their keys."""

    part: int
    base: int
    offsets: np.ndarray
    keys: np.ndarray


@frozen
class _Sweep:
    """What one pass found: how many keys lie below and inside the bracket, and those inside."""

    below: int
    inside: int
    found: list[_Found]
    counts: list[int]


def select(rankings: Sequence[Ranking], k: int, ties: Ties = "lower") -> list[np.ndarray]:
    """
    Return masks that prune the `k` lowest-ranked weights of all layers together.

    Parameters
    ----------
    rankings : sequence of Ranking
        The layers, pooled.
    k : int
        How many weights are pruned, 0 to the number of weights. Weights that are not alive
        rank first and count.
    ties : {"lower", "upper", "keep", "prune"}, default "lower"
        Where equal scores straddle the cut: prune those of the lowest index (earlier layer
        first, then C order), those of the highest, none of them, or all of them. With the
        first two exactly `k` are pruned.

    Returns
    -------
    list of (out, in, *kernel) bool arrays
        True where kept; each lies in memory as its scores do.

    Raises
    ------
    OptionError
        If `k` is outside its range or `ties` is unknown.
    ScoreError
        If a score is NaN.

    Notes
    -----
    Needs no data. Of layers that lie in pieces on several ranks (`Ranking.among`) all of them call this,
    and get the masks of their own pieces: together bit for bit those of the whole layers.

    Up to `SMALL` weights are partitioned at once. Beyond, one pass over the
    scores in the common case, and extra memory is the mask and about 0.1 byte per weight; a
    heavily tied value is counted and never collected, so constant or already sparse weights
    need no more, at two to three passes. Only if a strided sample misjudges the distribution
    are more candidates collected, in the very worst case all of them at 12 bytes each.

    Examples
    --------
    >>> import numpy as np
    >>> a = Ranking("a", np.array([0.5, 2.0]))
    >>> b = Ranking("b", np.array([0.5, 0.1]))
    >>> [mask.tolist() for mask in select([a, b], 2)]
    [[False, True], [True, False]]
    """
    n = sum(ranking.total for ranking in rankings)
    if not 0 <= k <= n:
        raise OptionError(f"k is {k}; {n} weights can be pruned, so give 0 to {n}")
    if ties not in ("lower", "upper", "keep", "prune"):
        raise OptionError(f"ties is {ties!r}; choose from lower, upper, keep, prune")
    if n == 0:
        return [np.ones(ranking.shape, np.bool_) for ranking in rankings]
    if any(ranking.among is not None for ranking in rankings):
        return _on_ranks(rankings, k, ties)
    parts = [Part.whole(ranking) for ranking in rankings]
    form = form_of(rankings)
    if k in (0, n):
        _sweep(parts, form, _Bracket(0, 0 if k == 0 else form.top + 1, collect=False))
    elif n <= SMALL:
        _partition(parts, form, k, ties)
    else:
        _Search(parts, form, n, k, ties).run()
    return [part.result() for part in parts]


def _on_ranks(rankings: Sequence[Ranking], k: int, ties: Ties) -> list[np.ndarray]:
    """Return the masks of layers of which some lie in pieces on several ranks."""
    from ..sharding.selecting import select_pieces

    return select_pieces(rankings, k, ties)


def _partition(parts: Sequence[Part], form: Form, k: int, ties: Ties) -> None:
    """Write the masks by one partition of all keys, in C order."""
    keys = np.concatenate([part.ranking.keys(form=form) for part in parts])
    threshold = np.partition(keys, k - 1)[k - 1]
    kept = keys > threshold
    equal = np.flatnonzero(keys == threshold)
    below = keys.size - int(np.count_nonzero(kept)) - equal.size
    first, value = first_of_equals(ties, k - below, equal.size)
    kept[equal[:first]] = value
    kept[equal[first:]] = not value
    pieces = np.split(kept, np.cumsum([part.size for part in parts])[:-1])
    for part, piece in zip(parts, pieces, strict=True):
        part.mask[...] = piece.reshape(part.mask.shape)


def _sweep(parts: Sequence[Part], form: Form, bracket: _Bracket) -> _Sweep:
    """Write ``mask = key >= high`` everywhere; count, and collect if asked, the keys in the bracket."""
    size = min(CHUNK, max(part.size for part in parts))
    scratch, least = Scratch.of(form, size), np.empty(size, np.bool_)
    low, high = form.unsigned.type(bracket.low), form.unsigned.type(bracket.high)
    total = above = 0
    found: list[_Found] = []
    counts = [0] * len(parts)
    for index, part in enumerate(parts):
        base = 0
        for keys, mask, alive in part.chunks(form, scratch, zeroed=bracket.low == 0):
            reached = least[: keys.size].reshape(keys.shape)
            np.greater_equal(keys, high, out=mask)
            np.greater_equal(keys, low, out=reached)
            if alive is not None:  # low > 0: what is not alive lies below the bracket
                np.logical_and(mask, alive, out=mask)
                np.logical_and(reached, alive, out=reached)
            kept = int(np.count_nonzero(mask))
            if bracket.collect:
                np.not_equal(reached, mask, out=reached)
                offsets = np.flatnonzero(reached).astype(np.int32)
                if offsets.size:
                    found.append(_Found(index, base, offsets, keys.reshape(-1)[offsets]))
                counts[index] += offsets.size
            else:
                counts[index] += int(np.count_nonzero(reached)) - kept
            above += kept
            base += keys.size
        total += base
    inside = sum(counts)
    return _Sweep(total - above - inside, inside, found, counts)


@frozen
class _Search:
    """Looks for the k-th smallest key and writes the masks around it."""

    parts: Sequence[Part]
    form: Form
    n: int
    k: int
    ties: Ties

    def run(self) -> None:
        """Narrow a bracket until the k-th smallest key is inside, then write the masks."""
        floor, ceiling = 0, self.form.top + 1
        sample = self._sample()
        width = _SIGMAS * self._sigma(sample.size)
        queue = self._brackets(sample, width, floor, ceiling)
        while True:
            bracket = queue.pop(0)
            sweep = _sweep(self.parts, self.form, bracket)
            rank = self.k - sweep.below
            if 0 < rank <= sweep.inside:
                break
            if rank <= 0:
                ceiling = bracket.low
            else:
                floor = bracket.high
            queue = [b for b in queue if floor <= b.low and b.high <= ceiling]
            if not queue:
                width *= 4
                queue = self._brackets(sample, width, floor, ceiling)
        if bracket.collect:
            self._among(sweep, rank)
        else:
            self._tied(bracket.low, rank, sweep.counts)

    def _sigma(self, m: int) -> float:
        q = self.k / self.n
        return math.sqrt(q * (1 - q) / m) if m else 1.0

    def _sample(self) -> np.ndarray:
        """Return the keys of about 2 n^(2/3) weights."""
        step = _prime(max(1, int(self.n ** (1 / 3) / 2)))
        return np.concatenate([part.sample(self.form, step) for part in self.parts])

    def _brackets(self, sample: np.ndarray, width: float, floor: int, ceiling: int) -> list[_Bracket]:
        """Return the bracket to try, and the heavily tied values at its edges to try after it."""
        if not sample.size or width >= 1:
            return [_Bracket(floor, ceiling)]
        q, m = self.k / self.n, sample.size
        first, last = math.floor((q - width) * m), math.ceil((q + width) * m)
        sample.partition([max(first, 0), min(last, m - 1)])
        low = max(floor, int(sample[first])) if first >= 0 else floor
        high = min(ceiling - 1, int(sample[last])) if last < m else ceiling - 1
        low = min(low, ceiling - 1)
        high = max(high, low)
        heavy = [v for v in sorted({low, high}) if _share(sample, v) > _HEAVY]
        pins = [_Bracket(v, v + 1, collect=False) for v in heavy]
        start, stop = low + (low in heavy), high + (high not in heavy)
        return [_Bracket(start, stop), *pins] if start < stop else pins

    def _among(self, sweep: _Sweep, rank: int) -> None:
        """Write the masks of the candidates, of which the `rank` smallest are pruned."""
        threshold = np.partition(np.concatenate([f.keys for f in sweep.found]), rank - 1)[rank - 1]
        below, equal = 0, []
        for index, group in groupby(sweep.found, key=lambda f: f.part):
            part, mine = self.parts[index], list(group)
            keys = np.concatenate([f.keys for f in mine])
            where = np.concatenate([f.offsets + np.intp(f.base) for f in mine])
            _line(part)[where[keys > threshold]] = True
            below += int(np.count_nonzero(keys < threshold))
            equal.append((part, where[keys == threshold]))
        first, value = first_of_equals(self.ties, rank - below, sum(where.size for _, where in equal))
        for part, where in equal:
            order = Order.of(part.scores)
            if not order.trivial:
                where = where[np.argsort(order.flat_index(where, part.scores.shape))]
            _line(part)[where[: max(0, first)]] = value
            _line(part)[where[max(0, first) :]] = not value
            first -= where.size

    def _tied(self, key: int, rank: int, counts: Sequence[int]) -> None:
        """Write the masks of the weights with one key, of which `rank` are pruned; all are False yet."""
        first, value = first_of_equals(self.ties, rank, sum(counts))
        Settle(self.form, key, value).run(self.parts, counts, first)


def _line(part: Part) -> np.ndarray:
    """Return a layer's mask as the one line of memory it is."""
    return Order.of(part.mask).view(part.mask).reshape(-1)


def _share(sample: np.ndarray, key: int) -> float:
    return float(np.count_nonzero(sample == sample.dtype.type(key))) / sample.size


def _prime(least: int) -> int:
    """Return the smallest prime that is at least `least`."""
    while any(least % d == 0 for d in range(2, math.isqrt(least) + 1)) or least < 2:
        least += 1
    return least
