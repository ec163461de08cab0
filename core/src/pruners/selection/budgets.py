"""How much of each layer goes, when one number is given for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..errors import OptionError
from .kernel import select
from .ranking import Ranking
from .rounding import Cut, Rounding, RoundingRule, rounding_rule

BUDGETS = ("uniform", "erk")
"""Every budget by name."""


def check_sparsity(value: float, where: str = "") -> float:
    """Return `value` as a float in [0, 1); `where` says whose it is in the error."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not 0.0 <= number < 1.0:
        raise OptionError(
            f"sparsity{where} is {value!r}; give the fraction that is pruned, from 0 to below 1"
        )
    return number


def layer_sparsities(
    shapes: Mapping[str, tuple[int, ...]], sparsity: float | Mapping[str, float], budget: str = "uniform"
) -> dict[str, float]:
    """
    Return the sparsity of each layer.

    Parameters
    ----------
    shapes : mapping of str to tuple of int
        ``{parameter name: canonical shape}``.
    sparsity : float or mapping of str to float
        Fraction pruned, in [0, 1): one number, or one for each layer by name.
    budget : {"uniform", "erk"}, default "uniform"
        How one number is spread: the same for each layer, or by the Erdos-Renyi-Kernel rule
        [1]_: the density of a layer is proportional to the sum of its dimensions over their
        product. Layers whose density would exceed 1 stay dense and the others are solved again.

    Returns
    -------
    dict of str to float
        ``{parameter name: sparsity}``.

    Raises
    ------
    OptionError
        If a sparsity is outside [0, 1), a layer has none, a name is unknown, or the budget is.

    Notes
    -----
    Needs no data. ERK is solved for the number of weights kept, sum of n - floor(s n).

    References
    ----------
    .. [1] U. Evci, T. Gale, J. Menick, P. S. Castro, E. Elsen, "Rigging the Lottery: Making
           All Tickets Winners", ICML 2020, section 3. arXiv:1911.11134.

    Examples
    --------
    >>> layer_sparsities({"a": (10, 10), "b": (40, 40)}, 0.9, "erk")
    {'a': 0.66, 'b': 0.915}
    """
    if budget not in BUDGETS:
        raise OptionError(f"budget is {budget!r}; choose from {', '.join(BUDGETS)}")
    if isinstance(sparsity, Mapping):
        return _named(shapes, sparsity, budget)
    value = check_sparsity(sparsity)
    if budget == "erk":
        return _erk(shapes, value)
    return dict.fromkeys(shapes, value)


def _named(
    shapes: Mapping[str, tuple[int, ...]], sparsity: Mapping[str, float], budget: str
) -> dict[str, float]:
    if budget != "uniform":
        raise OptionError(f"budget is {budget!r}, but each layer has its own sparsity; leave one of them out")
    unknown = sorted(set(sparsity) - set(shapes))
    if unknown:
        raise OptionError(f"sparsity names '{unknown[0]}', which is none of the layers {', '.join(shapes)}")
    missing = [name for name in shapes if name not in sparsity]
    if missing:
        raise OptionError(f"sparsity has no entry for '{missing[0]}'; give one for each layer")
    return {name: check_sparsity(sparsity[name], f" of '{name}'") for name in shapes}


def _erk(shapes: Mapping[str, tuple[int, ...]], sparsity: float) -> dict[str, float]:
    sizes = {name: int(np.prod(shape, dtype=np.int64)) for name, shape in shapes.items()}
    raw = {name: sum(shape) / sizes[name] if shape and sizes[name] else 1.0 for name, shape in shapes.items()}
    kept = sum(n - int(np.floor(sparsity * n + 1e-9)) for n in sizes.values())
    dense: set[str] = set()
    while True:
        open_ = [name for name in shapes if name not in dense and sizes[name]]
        spent = sum(sizes[name] for name in dense)
        epsilon = (kept - spent) / max(sum(raw[name] * sizes[name] for name in open_), 1e-300)
        over = {name for name in open_ if epsilon * raw[name] > 1}
        if not over:
            break
        dense |= over
    density = {name: 1.0 if name in dense or not sizes[name] else epsilon * raw[name] for name in shapes}
    return {name: min(max(round(1 - d, 12), 0.0), 1 - 1e-12) for name, d in density.items()}


def layer_mask(ranking: Ranking, sparsity: float, rounding: Rounding = "floor") -> np.ndarray:
    """
    Return the mask of one layer whose weights, or groups of weights, compete with each other.

    Parameters
    ----------
    ranking : Ranking
        The layer; or what a pattern has made of it, with one score per group.
    sparsity : float
        Fraction pruned, in [0, 1).
    rounding : str, ("multiple", int) or callable, default "floor"
        From weights and sparsity to a count; see `rounding_rule`.

    Returns
    -------
    (out, in, *kernel) bool array
        True where kept, in the shape of the scores.

    Raises
    ------
    OptionError
        If there is no such rounding.
    ScoreError
        If a score is NaN.

    Notes
    -----
    Needs no data. What is not alive stays pruned, and counts. Of a layer that lies in pieces on several
    ranks all of them call this, and rank in the whole layer. Equal scores fall by the rounding
    rule; the default prunes the lower index first.

    Examples
    --------
    >>> import numpy as np
    >>> layer_mask(Ranking("w", np.array([0.5, 2.0, 0.5, 1.0])), 0.25).tolist()
    [False, True, True, True]
    """
    rule = rounding_rule(rounding)
    return _cut([ranking], rule(ranking.total, sparsity))[0]


def over_ranks(rankings: Sequence[Ranking], counts: Sequence[int]) -> list[int]:
    """Return each layer's count; of layers that lie in pieces on several ranks, that over all of them."""
    if all(ranking.among is None for ranking in rankings):
        return list(counts)
    from ..sharding.selecting import tally

    return tally(rankings, counts)


def _cut(rankings: Sequence[Ranking], cut: Cut) -> list[np.ndarray]:
    k, ties = cut
    pruned = sum(over_ranks(rankings, [ranking.pruned() for ranking in rankings]))
    if k > pruned:
        return select(rankings, k, ties)
    select(rankings, 0)  # reads every score, so that a NaN is found now and not at a later step
    return [np.ones(r.shape, np.bool_) if r.alive is None else r.alive.copy("K") for r in rankings]


def model_masks(
    rankings: Sequence[Ranking], sparsity: float, rule: RoundingRule, min_keep: int
) -> list[np.ndarray]:
    """
    Return the masks of layers that are pooled, each of which keeps at least `min_keep` weights.

    A layer in which the pooled selection leaves too few keeps its own best `min_keep`, and
    what it would have given is taken from the others: the count stays the same. A layer with
    fewer living weights keeps them all.
    """
    n = sum(ranking.total for ranking in rankings)
    k, ties = rule(n, sparsity)
    pruned = over_ranks(rankings, [ranking.pruned() for ranking in rankings])
    keep = [min(min_keep, r.total - gone) for r, gone in zip(rankings, pruned, strict=True)]
    if k > n - sum(keep):
        raise OptionError(
            f"sparsity {sparsity} prunes {k} of {n} weights, but min_keep={min_keep} in {len(keep)} layers "
            f"leaves only {n - sum(keep)} to prune; lower sparsity or min_keep"
        )
    masks: list[np.ndarray | None] = [None] * len(rankings)
    pool = list(range(len(rankings)))
    while pool:
        pooled = [rankings[i] for i in pool]
        chosen = dict(zip(pool, _cut(pooled, (k, ties)), strict=True))
        kept = over_ranks(pooled, [int(np.count_nonzero(mask)) for mask in chosen.values()])
        short = [i for i, count in zip(pool, kept, strict=True) if count < keep[i]]
        if not short:
            for i in pool:
                masks[i] = chosen[i]
            break
        for i in short:
            masks[i] = select([rankings[i]], rankings[i].total - keep[i])[0]
            k -= rankings[i].total - keep[i]
        pool = [i for i in pool if i not in short]
    return [mask for mask in masks if mask is not None]
