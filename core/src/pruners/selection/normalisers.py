"""What makes scores of different layers comparable, computed on the host in float64."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import attrs
import numpy as np

from ..errors import OptionError, ScoreError
from .parts import blocks
from .ranking import Ranking
from .sums import BLOCK, Anchored


def _blocks(ranking: Ranking) -> Iterator[np.ndarray]:
    """Yield the absolute scores in float64, new, block by block in C order; 0 where not alive."""
    for index in blocks(ranking.shape, BLOCK):
        block = np.asarray(ranking.scores[index]).astype(np.float64, order="C")
        np.abs(block, out=block)
        if ranking.alive is not None:
            block[~ranking.alive[index]] = 0.0
        yield block


def _added(ranking: Ranking, terms: Iterator[np.ndarray], bound: float) -> float:
    """Return the sum of a layer's terms, from 0 to `bound`: the same however the layer is cut."""
    sum_ = Anchored(bound)
    if ranking.among is None:
        sum_.add(terms)
        return sum_.value()
    from ..sharding.summing import total

    if ranking.among.counted:
        sum_.add(terms)
    sum_.units = total(ranking.among.peers, sum_.units)
    return sum_.value()


def _max(ranking: Ranking) -> float:
    here = 0.0
    for block in _blocks(ranking):
        top = float(block.max(initial=0.0))
        if math.isnan(top):
            raise ranking.not_a_number()
        here = max(here, top)
    if ranking.among is None:
        return here
    from ..sharding.summing import largest

    return largest(ranking.among.peers, here)


def _l2(ranking: Ranking) -> float:
    top = _max(ranking)
    return math.sqrt(
        _added(ranking, (np.square(block, out=block) for block in _blocks(ranking)), _square(top))
    )


def _sum(ranking: Ranking) -> float:
    return _added(ranking, _blocks(ranking), _max(ranking))


def _mean(ranking: Ranking) -> float:
    return _sum(ranking) / max(ranking.total, 1)


def _std(ranking: Ranking) -> float:
    top = _max(ranking)
    mean = _added(ranking, _blocks(ranking), top) / max(ranking.total, 1)
    if not math.isfinite(mean):
        return mean
    away = (np.square(np.subtract(block, mean, out=block), out=block) for block in _blocks(ranking))
    return math.sqrt(_added(ranking, away, _square(max(mean, top - mean))) / max(ranking.total, 1))


def _square(number: float) -> float:
    return number * number


_SCALES: dict[str, Callable[[Ranking], float]] = {
    "l2": _l2,
    "mean": _mean,
    "max": _max,
    "sum": _sum,
    "std": _std,
}
NORMALISERS = ("none", *_SCALES, "lamp")
"""Every normaliser by name."""


def normalise(ranking: Ranking, normaliser: str) -> Ranking:
    """
    Return the ranking with its scores made comparable to those of other layers.

    Parameters
    ----------
    ranking : Ranking
        One layer.
    normaliser : {"none", "l2", "mean", "max", "sum", "std", "lamp"}
        What the scores are divided by: nothing; or the Euclidean norm, the mean, the largest,
        the sum or the population standard deviation of the layer's absolute scores, where
        weights that are not alive count as 0; or LAMP [1]_, the squared score over the sum of
        the squares of all scores that are not smaller.

    Returns
    -------
    Ranking
        The same scores with another `scale`; for LAMP new float64 scores.

    Raises
    ------
    OptionError
        If there is no such normaliser, or LAMP is asked of a layer that lies in pieces.
    ScoreError
        If a score is NaN, the divisor is not finite, or LAMP is asked of a negative score.

    Notes
    -----
    Needs no data. A divisor of 0 is taken as 1, and every divisor is the same however a layer is cut into
    pieces: terms are rounded to 47 bits below the largest and then added exactly. The order inside a
    layer does not change. LAMP sorts the layer and takes about 40 bytes per weight; equal scores rank in
    C order.

    References
    ----------
    .. [1] J. Lee, S. Park, S. Mo, S. Ahn, J. Shin, "Layer-adaptive Sparsity for the
           Magnitude-based Pruning", ICLR 2021, equation 2. arXiv:2010.07611.

    Examples
    --------
    >>> import numpy as np
    >>> normalise(Ranking("w", np.array([3.0, -4.0]), magnitude=True), "l2").values().tolist()
    [0.6, 0.8]
    >>> normalise(Ranking("w", np.array([3.0, -4.0]), magnitude=True), "lamp").values().tolist()
    [0.36, 1.0]
    """
    if normaliser == "none":
        return ranking
    if normaliser == "lamp":
        return _lamp(ranking)
    if normaliser not in _SCALES:
        raise OptionError(f"normaliser is {normaliser!r}; choose from {', '.join(NORMALISERS)}")
    with np.errstate(over="ignore"):
        scale = _SCALES[normaliser](ranking)
    if not math.isfinite(scale):
        raise ScoreError(
            f"'{normaliser}' of the scores of '{ranking.name}' is {scale}; "
            "use normaliser='none', or scores that are finite"
        )
    return attrs.evolve(ranking, scale=scale or 1.0)


def _lamp(ranking: Ranking) -> Ranking:
    if ranking.among is not None:
        raise OptionError(
            f"normaliser 'lamp' sorts a whole layer, and '{ranking.name}' lies in pieces on several ranks; "
            "use another normaliser, or compute the masks before the model is sharded"
        )
    scores = np.concatenate([np.empty(0), *(block.reshape(-1) for block in _blocks(ranking))])
    if np.isnan(scores).any():
        raise ranking.not_a_number()
    if not ranking.magnitude and ranking.size and ranking.scores.min() < 0:
        raise ScoreError(
            f"'lamp' squares the scores, and '{ranking.name}' has one below 0; use another normaliser"
        )
    order = np.argsort(scores, kind="stable")
    squares = np.square(scores[order])
    rest = np.cumsum(squares[::-1])[::-1]
    scores[order] = np.divide(squares, rest, out=np.zeros_like(squares), where=rest > 0)
    return Ranking(ranking.name, scores.reshape(ranking.shape), alive=ranking.alive)
