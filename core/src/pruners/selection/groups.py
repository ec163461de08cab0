"""Exactly so many kept in every group of weights: the kernels of N:M and bank patterns."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..errors import OptionError
from .keys import CHUNK, Form, Scratch, form_of
from .parts import Order, blocks
from .ranking import Ranking

View = Callable[[np.ndarray], np.ndarray]


_SHORT = 16  # below this many lanes, comparing neighbours beats a partition per group


def keep_per_group(
    ranking: Ranking, size: int, keep: int, *, axis: int = 1, keep_rest: int | None = None
) -> np.ndarray:
    """
    Return the mask that keeps the `keep` best of every `size` neighbours along `axis`.

    Parameters
    ----------
    ranking : Ranking
        One layer.
    size : int
        Lanes of a group, at least 1.
    keep : int
        Weights kept in each group, 0 to `size`.
    axis : int, default 1
        The axis along which groups lie; other axes hold independent groups.
    keep_rest : int, optional
        Weights kept in the shorter group at the end, where `size` does not divide the axis;
        ``min(keep, its length)`` if left out, as if missing lanes had been pruned already.

    Returns
    -------
    (out, in, *kernel) bool array
        True where kept; it lies in memory as the scores do.

    Raises
    ------
    OptionError
        If `size`, `keep` or `axis` is outside its range.
    ScoreError
        If a score is NaN.

    Notes
    -----
    Needs no data. Exact under ties in every float type: of equal scores the lower index is
    pruned. Weights that are not alive are pruned first. Works chunk by chunk: extra memory is
    the mask.

    Examples
    --------
    >>> import numpy as np
    >>> w = np.array([[1.0, -3.0, 2.0, 0.5, 0.0, 0.0, 1.0, -1.0]])
    >>> keep_per_group(Ranking("w", w, magnitude=True), 4, 2).astype(int).tolist()
    [[0, 1, 1, 0, 0, 0, 1, 1]]
    """
    if size < 1 or not 0 <= keep <= size:
        raise OptionError(f"keep is {keep} of {size}; give 0 to the group's size, and a size of at least 1")
    if not -len(ranking.shape) <= axis < len(ranking.shape):
        raise OptionError(f"axis is {axis}, but '{ranking.name}' has shape {ranking.shape}")
    mask = np.empty_like(ranking.scores, np.bool_, subok=False)
    length = ranking.shape[axis]
    full = length // size * size

    def groups(array: np.ndarray) -> np.ndarray:
        lanes = np.moveaxis(array, axis, -1)[..., :full]
        return lanes.reshape(*lanes.shape[:-1], full // size, size)

    def rest(array: np.ndarray) -> np.ndarray:
        return np.moveaxis(array, axis, -1)[..., full:]

    if full == length and size < _SHORT and _fill_in_place(ranking, mask, size, keep, axis):
        return mask
    if full:
        fill_groups(ranking, mask, groups, keep)
    if full < length:
        fill_groups(ranking, mask, rest, min(keep, length - full) if keep_rest is None else keep_rest)
    return mask


def fill_groups(ranking: Ranking, mask: np.ndarray, view: View, keep: int, group_axes: int = 1) -> None:
    """
    Write the masks of the groups that `view` shows.

    Parameters
    ----------
    ranking : Ranking
        One layer.
    mask : (out, in, *kernel) bool array
        Written where `view` looks.
    view : callable
        From an array of the layer's shape to a view of it, ``(..., *group)``: never a copy.
    keep : int
        Weights kept in each group; all are, if a group has fewer.
    group_axes : int, default 1
        How many trailing axes of the view make up one group, in C order.

    Raises
    ------
    ScoreError
        If a score is NaN.
    """
    scores, target = view(ranking.scores), view(mask)
    alive = None if ranking.alive is None else view(ranking.alive)
    if not scores.size:
        return
    leads = scores.ndim - group_axes
    # Groups are independent, so they are visited in the order in which they lie in memory.
    axes = sorted(range(leads), key=lambda axis: -abs(scores.strides[axis]))
    axes += range(leads, scores.ndim)
    scores, target = scores.transpose(axes), target.transpose(axes)
    alive = None if alive is None else alive.transpose(axes)
    size = int(np.prod(scores.shape[leads:]))
    form = form_of([ranking])
    scratch = Scratch.of(form, min(scores.size, max(CHUNK, size)))
    work = _Work(size, max(0, size - keep), scratch.keys.size)
    kept = np.empty(scratch.keys.size, np.bool_)
    for index in blocks(scores.shape[:leads], max(1, CHUNK // size)):
        piece = scores[index]
        living = None if alive is None else alive[index]
        keys = form.keys(piece, living, ranking.magnitude, ranking.scale, scratch)
        if keys is None:
            raise ranking.not_a_number()
        work.choose(keys.reshape(-1), kept[: keys.size])
        target[index] = kept[: keys.size].reshape(piece.shape)


def _fill_in_place(ranking: Ranking, mask: np.ndarray, size: int, keep: int, axis: int) -> bool:
    """Write the masks of short groups without bringing their lanes together; False if that cannot be done.

    In one line of memory the lanes of a group lie `inner` weights apart, whatever the axis.
    """
    order = Order.of(ranking.scores)
    position = order.axes.index(axis % len(ranking.shape))
    arrays = [order.view(a) for a in (ranking.scores, mask, ranking.alive) if a is not None]
    inner = int(np.prod(arrays[0].shape[position + 1 :]))
    period = size * inner
    straight = order.flips[position].step == 1 and all(a.flags.c_contiguous for a in arrays)
    if not straight or not 0 < period <= CHUNK:
        return False
    lines = [a.reshape(-1) for a in arrays]
    form: Form = form_of([ranking])
    step = CHUNK // period * period
    scratch = Scratch.of(form, min(step, mask.size))
    work = _Work(size, size - keep, scratch.keys.size, inner)
    for start in range(0, mask.size, step):
        piece = [line[start : start + step] for line in lines]
        living = piece[2] if len(piece) == 3 else None
        keys = form.keys(piece[0], living, ranking.magnitude, ranking.scale, scratch)
        if keys is None:
            raise ranking.not_a_number()
        work.choose(keys, piece[1])
    return True


class _Work:
    """Chooses inside groups of one size; holds the buffers of one chunk."""

    def __init__(self, size: int, pruned: int, limit: int, inner: int = 1) -> None:
        self.size = size
        self.pruned = pruned
        self.inner = inner
        if size < _SHORT:
            lane = np.arange(limit) // inner % size
            self.lane = lane.astype(np.int8)
            self.wins = np.empty(limit, np.int8)
            self.won = np.empty(limit, np.bool_)
            self.valid = [lane < size - d for d in range(1, size)]

    def choose(self, keys: np.ndarray, kept: np.ndarray) -> None:
        """Write which of `keys`, group after group in one line, are kept."""
        if self.pruned in (0, self.size):
            kept[...] = self.pruned == 0
        elif self.size < _SHORT:
            self._compare(keys, kept)
        else:
            self._partition(keys.reshape(-1, self.size), kept.reshape(-1, self.size))

    def _compare(self, keys: np.ndarray, kept: np.ndarray) -> None:
        """Count how many lanes of its group each lane beats; of equals the later one wins."""
        wins = self.wins[: keys.size]
        np.copyto(wins, self.lane[: keys.size])
        for d in range(1, self.size):
            shift = d * self.inner
            won = self.won[: keys.size - shift]
            np.greater(keys[:-shift], keys[shift:], out=won)
            np.logical_and(won, self.valid[d - 1][: won.size], out=won)
            one = won.view(np.int8)
            np.add(wins[:-shift], one, out=wins[:-shift])
            np.subtract(wins[shift:], one, out=wins[shift:])
        np.greater_equal(wins, np.int8(self.pruned), out=kept)

    def _partition(self, rows: np.ndarray, kept: np.ndarray) -> None:
        """Keep what is above the largest pruned key of its row; where that is tied, its last equals too."""
        if rows.dtype == np.uint16:
            rows = rows.astype(np.uint32)  # NumPy partitions 32-bit integers several times faster
        cut = np.partition(rows, self.pruned - 1, axis=1)[:, self.pruned - 1 : self.pruned]
        np.greater(rows, cut, out=kept)
        keep = self.size - self.pruned  # never exceeded in a row, so the sum shows whether any row lacks one
        if np.count_nonzero(kept) != keep * rows.shape[0]:
            missing = keep - np.count_nonzero(kept, axis=1)
            tied = np.flatnonzero(missing)
            equal = rows[tied] == cut[tied]
            later = np.cumsum(equal[:, ::-1], axis=1, dtype=np.int32)[:, ::-1]
            kept[tied] |= equal & (later <= missing[tied, None])
