"""Block sparsity."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from attrs import field, frozen, validators

import pruners
from pruners.options import integer, whole
from pruners.selection import Ranking, layer_mask, rounding_rule

_ROWS = 1 << 18  # weights that are pooled at a time


def _sizes(value: Any) -> Any:
    return tuple(map(integer, value)) if isinstance(value, (list, tuple)) else value


@frozen(kw_only=True)
class Block:
    r"""
    Remove whole blocks of weights.

    A layer is tiled with blocks of `shape`; a block's score is the mean, the largest or the
    root mean square of its weights' scores, and the :math:`\lfloor sB \rfloor` lowest of
    :math:`B` blocks are removed.

    Parameters
    ----------
    shape : tuple of int, default (4, 1)
        Extent of a block along the axes ``(out, in, *kernel)``, each at least 1; axes that are
        not named have extent 1.
    pool : {"mean", "max", "l2"}, default "mean"
        How a block's score is made from its weights' scores.

    Raises
    ------
    pruners.SkipLayer
        If a layer has fewer axes than `shape`; it stays dense.
    pruners.ScoreError
        If a score is NaN.

    Notes
    -----
    Needs no data of its own; it pools the scores of any pruner, in float64.

    Ties: exactly the asked number of blocks is removed; of equal blocks the lower index, in C
    order, goes. Blocks that are already pruned go first, so masks are nested. In a block that
    is partly pruned, pruned weights count as 0, and a kept block is kept whole.

    Blocks at the ends may be smaller; the mean and the root mean square are over the weights
    they really have. Sparsity is counted in blocks, so with smaller blocks at the ends the share
    of weights can differ from it. Differs from the paper, which takes the largest magnitude and a
    threshold that rises by a slope; here the count comes from the schedule.

    References
    ----------
    .. [1] S. Narang, E. Undersander, G. Diamos, "Block-Sparse Recurrent Neural Networks", 2017,
           section 3.1. arXiv:1711.02782.

    Examples
    --------
    >>> import numpy as np
    >>> from pruners.selection import Ranking
    >>> w = np.array([[1.0, 5.0, 2.0], [3.0, 1.0, 2.0]])
    >>> Block(shape=(2, 1)).mask(Ranking("w", w), 0.4).astype(int).tolist()
    [[0, 1, 1], [0, 1, 1]]
    """

    shape: tuple[int, ...] = field(
        default=(4, 1),
        converter=_sizes,
        validator=[
            validators.min_len(1),
            validators.deep_iterable(whole(1), validators.instance_of(tuple)),
        ],
    )
    pool: Literal["mean", "max", "l2"] = field(
        default="mean", validator=validators.in_(("mean", "max", "l2"))
    )

    def mask(self, ranking: Ranking, sparsity: float) -> np.ndarray:
        """Return the bool mask ``(out, in, *kernel)`` in which every block is kept or removed whole."""
        extent = self._extent(ranking.shape)
        if extent is None:
            raise pruners.SkipLayer(f"blocks {self.shape} need as many axes; the shape is {ranking.shape}")
        if not ranking.total:
            return np.ones(ranking.shape, np.bool_)
        blocks = layer_mask(self._pooled(ranking, extent), sparsity, rounding_rule("floor"))
        return _spread(blocks, extent, ranking.shape)

    def rows(self, shape: tuple[int, ...]) -> int:
        """Return the multiple of rows at which a layer may be cut: between blocks."""
        return self.shape[0]

    def check(self, mask: np.ndarray) -> None:
        """Raise `pruners.PatternError` if a block is kept in part."""
        extent = self._extent(mask.shape)
        if extent is None or not mask.size:
            return
        kept = _reduce(np.logical_or, mask, extent)
        broken = int(np.count_nonzero(kept & ~_reduce(np.logical_and, mask, extent)))
        if broken:
            raise pruners.PatternError(f"{broken} of {kept.size} blocks {self.shape} are kept in part")

    def _extent(self, shape: tuple[int, ...]) -> tuple[int, ...] | None:
        """Return a block's extent along every axis, or None if the layer has too few."""
        if len(self.shape) > len(shape):
            return None
        return self.shape + (1,) * (len(shape) - len(self.shape))

    def _pooled(self, ranking: Ranking, extent: tuple[int, ...]) -> Ranking:
        """Return the ranking of the blocks; a block without a living weight is not alive."""
        among = None if ranking.among is None else ranking.among.coarser(extent)
        if not ranking.size:
            shape = tuple(-(-length // e) for length, e in zip(ranking.shape, extent, strict=True))
            return Ranking(ranking.name, np.empty(shape), among=among)
        values = ranking.values()
        if ranking.alive is not None:
            values[~ranking.alive] = 0.0
        rows = max(1, _ROWS // max(1, values[0].size)) * extent[0]
        runs = range(0, values.shape[0], rows)
        scores = np.concatenate([self._scores(values[run : run + rows], extent) for run in runs])
        alive = None if ranking.alive is None else _reduce(np.logical_or, ranking.alive, extent)
        return Ranking(ranking.name, scores, alive=alive, among=among)

    def _scores(self, values: np.ndarray, extent: tuple[int, ...]) -> np.ndarray:
        """Return the scores of the blocks of some rows, in float64."""
        values = values.astype(np.float64)
        if self.pool == "max":
            return _reduce(np.maximum, values, extent)
        lengths = (np.minimum(e, n - np.arange(0, n, e)) for e, n in zip(extent, values.shape, strict=True))
        counts = np.ones(())
        for length in lengths:
            counts = np.multiply.outer(counts, length)
        if self.pool == "l2":
            return np.sqrt(_reduce(np.add, np.square(values), extent) / counts)
        return _reduce(np.add, values, extent) / counts


def _reduce(ufunc: np.ufunc, array: np.ndarray, extent: tuple[int, ...]) -> np.ndarray:
    for axis, length in enumerate(extent):
        if length > 1:
            array = ufunc.reduceat(array, np.arange(0, array.shape[axis], length), axis=axis)
    return array


def _spread(blocks: np.ndarray, extent: tuple[int, ...], shape: tuple[int, ...]) -> np.ndarray:
    for axis, length in enumerate(extent):
        if length > 1:
            blocks = np.repeat(blocks, length, axis=axis)
    return np.ascontiguousarray(blocks[tuple(slice(n) for n in shape)])
