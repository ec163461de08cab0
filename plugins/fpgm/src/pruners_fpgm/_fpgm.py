"""Filter pruning by distance to all other filters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from attrs import field, frozen, validators

import pruners

_NEAR = 1e-3  # squared distances below this share of the squared norms lose digits in the Gram form
_BITS = 40


@frozen(kw_only=True)
class FPGM:
    r"""
    Score every filter by the sum of its distances to the other filters of its layer.

    The score of filter :math:`F_i` is :math:`s_i = \sum_j \lVert F_i - F_j \rVert_2`, in the
    units of the weights. The smallest is the filter nearest to the geometric median of all: what
    it does, the others can do as well. Whether a filter is small plays no role, unless a norm
    stage is asked for.

    Parameters
    ----------
    keep_norm : float, default 1.0
        Fraction of filters that a first stage keeps, in (0, 1]. The
        :math:`d = \lfloor n(1 - \text{keep\_norm}) \rfloor` filters with the smallest L2 norm
        rank below all others, in the order of their norms, with the scores :math:`-d \ldots -1`;
        the distances of the others are then taken among themselves only.

    Raises
    ------
    ValueError
        If `keep_norm` is outside (0, 1].
    pruners.ScoreError
        If a weight is NaN or infinite; raised when the scores are ranked.

    Notes
    -----
    Needs no data: reads weights only.

    Ties: exactly the asked number goes, lower index first. Ties are common, since two filters on
    opposite sides of the middle have the same score, and two filters are always as far from each
    other. So that they are ties in floating point, too, distances are rounded to :math:`2^{-40}`
    of the largest and added as integers.

    Scores of different layers are not comparable as they are, and negative in the norm stage; with
    ``scope="model"`` name a normaliser and leave `keep_norm` at 1.

    Distances come from one matrix product in float64,
    :math:`\lVert a - b \rVert^2 = \lVert a \rVert^2 + \lVert b \rVert^2 - 2ab`; those that are
    small against the norms are computed again from differences. Memory: three arrays of n x n.

    Two published stages in one score: to drop a fraction `p` by norm and a fraction `q` by
    distance, set ``keep_norm = 1 - p`` and prune the sparsity ``p + q``; both stages round down.
    With a smaller sparsity than `p` only norms decide.

    Differs from the paper in nothing that is ranked: the sum of distances is its own substitute
    for the geometric median. Of published code, some can be asked for cosine distances and
    computes Euclidean ones all the same, some rounds the count to the nearest, and some measures
    the distance also to filters that the norm stage has dropped.

    References
    ----------
    .. [1] Y. He, P. Liu, Z. Wang, Z. Hu, Y. Yang, "Filter Pruning via Geometric Median for Deep
           Convolutional Neural Networks Acceleration", CVPR 2019, equations 4 to 8.
           arXiv:1811.00250.

    Examples
    --------
    >>> import numpy as np, pruners
    >>> model = {"w": np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [5.0, 5.0]])}
    >>> pruners.scores(model, "fpgm")["w"].round(3).tolist()
    [10.071, 9.639, 10.067, 19.305]
    >>> pruners.prune(model, "fpgm", sparsity=0.25)["w"].tolist()
    [[0.0, 0.0], [0.0, 0.0], [0.0, 2.0], [5.0, 5.0]]
    """

    keep_norm: float = field(default=1.0, validator=[validators.gt(0), validators.le(1)])

    unit: ClassVar[Literal["channel"]] = "channel"
    reach: ClassVar[Literal["layer"]] = "layer"

    def scores(self, view: pruners.View) -> Mapping[str, np.ndarray]:
        """Return one float64 score per output channel."""
        return {name: self._of(view.host(weight)) for name, weight in view.weights.items()}

    def _of(self, weight: np.ndarray) -> np.ndarray:
        count = weight.shape[0]
        rows = weight.reshape(count, math.prod(weight.shape[1:])).astype(np.float64) + 0.0
        if not np.isfinite(rows).all():
            return np.full(count, np.nan)
        exponent = _exponent(rows)
        rows = np.ldexp(rows, -exponent, out=rows)  # exact, and no square overflows
        dropped = math.floor(count * (1 - self.keep_norm) + 1e-9)
        order = np.argsort(np.sum(np.square(rows), axis=1), kind="stable")
        left = np.sort(order[dropped:])
        scores = np.empty(count)
        scores[order[:dropped]] = np.arange(-dropped, 0)
        scores[left] = np.ldexp(distance_sums(rows[left]), exponent)
        return scores


def distance_sums(rows: np.ndarray) -> np.ndarray:
    """Return the sum of each row's distances to all rows; equal sums are equal, bit for bit."""
    seen: dict[bytes, int] = {}
    place = np.array([seen.setdefault(row.tobytes(), len(seen)) for row in rows], int)
    counts = np.bincount(place, minlength=len(seen))
    distinct = rows[np.unique(place, return_index=True)[1]]
    distances = _distances(distinct)
    step = _exponent(distances) - _BITS
    whole = np.rint(np.ldexp(distances, -step, out=distances), out=distances).astype(np.int64)
    sums: np.ndarray = np.ldexp((whole @ counts).astype(np.float64), step)[place]
    return sums


def _distances(rows: np.ndarray) -> np.ndarray:
    """Return the Euclidean distances of all rows, from their Gram matrix where that is accurate."""
    squares = rows @ rows.T
    norms = np.diagonal(squares).copy()
    squares *= -2
    squares += norms
    squares += norms[:, None]
    near = squares < _NEAR * (norms + norms[:, None])
    np.fill_diagonal(near, False)
    for index in np.flatnonzero(near.any(axis=1)):
        others = np.flatnonzero(near[index])
        squares[index, others] = np.sum(np.square(rows[others] - rows[index]), axis=1)
    np.fill_diagonal(squares, 0.0)
    distances: np.ndarray = np.sqrt(np.maximum(squares, 0.0, out=squares), out=squares)
    return distances


def _exponent(array: np.ndarray) -> int:
    """Return e such that the largest magnitude is in [2**(e-1), 2**e); 0 of nothing and of zeros."""
    return math.frexp(float(np.abs(array).max(initial=0)))[1]
