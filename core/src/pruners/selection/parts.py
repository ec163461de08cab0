"""One layer in the order its memory has, so that no stride pattern makes a pass slow."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from attrs import frozen

from .keys import CHUNK, Form, Scratch
from .ranking import Ranking

Index = tuple[slice, ...]
Chunk = tuple[np.ndarray, np.ndarray, "np.ndarray | None"]
"""Keys, mask and alive of some weights: three views of one shape."""


@frozen
class Order:
    """The axes of an array by falling stride, and which of them run backwards."""

    axes: tuple[int, ...]
    flips: Index
    trivial: bool

    @classmethod
    def of(cls, array: np.ndarray) -> Order:
        """Return the order in which `array` lies in memory."""
        strides = [abs(s) if n > 1 else 0 for s, n in zip(array.strides, array.shape, strict=True)]
        long = [a for a in range(array.ndim) if array.shape[a] > 1]
        axes = sorted(long, key=lambda axis: -strides[axis])
        trivial = axes == long and all(array.strides[a] >= 0 for a in long)
        axes = [a for a in range(array.ndim) if array.shape[a] <= 1] + axes
        flips = tuple(slice(None, None, -1 if array.strides[a] < 0 else 1) for a in axes)
        return cls(tuple(axes), flips, trivial)

    def view(self, array: np.ndarray) -> np.ndarray:
        """Return `array` in memory order."""
        return array.transpose(self.axes)[self.flips]

    def back(self, array: np.ndarray) -> np.ndarray:
        """Return an array in memory order in its own order again."""
        return array[self.flips].transpose(np.argsort(self.axes) if self.axes else ())

    def flat_index(self, positions: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Return the C-order positions, in an array of `shape`, of positions in memory order."""
        if self.trivial:
            return positions
        seen = np.unravel_index(positions, tuple(shape[a] for a in self.axes))
        own: list[np.ndarray] = [positions] * len(shape)
        for axis, flip, coordinate in zip(self.axes, self.flips, seen, strict=True):
            own[axis] = shape[axis] - 1 - coordinate if flip.step == -1 else coordinate
        return np.ravel_multi_index(tuple(own), shape)


def blocks(shape: tuple[int, ...], limit: int = CHUNK) -> Iterator[Index]:
    """Yield index tuples that cut an array of `shape` into runs of at most `limit` elements, in C order."""
    inner, axis = 1, len(shape)
    while axis and inner * shape[axis - 1] <= limit:
        axis -= 1
        inner *= shape[axis]
    if axis == 0:
        yield ()
        return
    step = max(1, limit // inner)
    for lead in np.ndindex(*shape[: axis - 1]):
        fixed = tuple(slice(i, i + 1) for i in lead)
        for start in range(0, shape[axis - 1], step):
            yield (*fixed, slice(start, start + step))


@frozen(eq=False)
class Part:
    """A layer, or a piece of one, with the mask that is being written for it."""

    ranking: Ranking
    scores: np.ndarray
    alive: np.ndarray | None
    mask: np.ndarray

    @classmethod
    def whole(cls, ranking: Ranking) -> Part:
        """Return all of a layer, with a new mask that lies in memory as the scores do."""
        scores, alive = np.atleast_1d(ranking.scores), ranking.alive
        order = Order.of(scores)
        mask = order.back(np.empty(tuple(scores.shape[a] for a in order.axes), np.bool_))
        return cls(ranking, scores, None if alive is None else np.atleast_1d(alive), mask)

    def result(self) -> np.ndarray:
        """Return the mask in the layer's shape, without negative strides."""
        mask = np.ascontiguousarray(self.mask) if min(self.mask.strides) < 0 else self.mask
        return mask if self.ranking.shape else mask.reshape(())

    @property
    def size(self) -> int:
        """Number of weights."""
        return self.scores.size

    def piece(self, index: slice | int) -> Part:
        """Return a piece along the first axis."""
        alive = None if self.alive is None else self.alive[index]
        return Part(self.ranking, self.scores[index], alive, self.mask[index])

    def chunks(self, form: Form, scratch: Scratch, *, zeroed: bool = True) -> Iterator[Chunk]:
        """Yield one chunk after the other, in memory order.

        With `zeroed` the keys of weights that are not alive are 0; without, `alive` comes along.
        """
        order = Order.of(self.scores)
        arrays = [order.view(a) for a in (self.scores, self.mask)]
        if self.alive is not None:
            arrays.append(order.view(self.alive))
        if all(a.flags.c_contiguous for a in arrays):
            arrays = [a.reshape(-1) for a in arrays]
        magnitude, scale = self.ranking.magnitude, self.ranking.scale
        for index in blocks(arrays[0].shape):
            scores, mask = arrays[0][index], arrays[1][index]
            alive = arrays[2][index] if len(arrays) == 3 else None
            keys = form.keys(scores, alive if zeroed else None, magnitude, scale, scratch)
            if keys is None:
                raise self.ranking.not_a_number()
            yield keys, mask, None if zeroed else alive

    def sample(self, form: Form, step: int) -> np.ndarray:
        """Return the keys of every `step`-th weight in memory order."""
        order = Order.of(self.scores)
        scores = order.view(self.scores)
        alive = None if self.alive is None else order.view(self.alive)
        if scores.flags.c_contiguous:
            scores = scores.reshape(-1)[step // 2 :: step]
            where: tuple[np.ndarray, ...] | None = None
        else:
            where = np.unravel_index(np.arange(step // 2, scores.size, step), scores.shape)
            scores = scores[where]
        if alive is not None:
            if where is None:
                where = np.unravel_index(np.arange(step // 2, alive.size, step), alive.shape)
            alive = alive[where]
        keys = form.keys(
            scores, alive, self.ranking.magnitude, self.ranking.scale, Scratch.of(form, scores.size)
        )
        if keys is None:
            raise self.ranking.not_a_number()
        return keys
