"""From scores to masks: which weights are kept, exactly, for every kind of score and pattern."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from attrs import field, frozen

from ..errors import OptionError, PatternError, PrunerFailed, PrunersError, SkipLayer
from ..protocols import Pattern
from .budgets import BUDGETS, layer_mask, layer_sparsities, model_masks, over_ranks
from .groups import fill_groups, keep_per_group
from .kernel import select
from .normalisers import NORMALISERS, normalise
from .outputs import output_masks
from .ranking import Ranking
from .rounding import RULES, Multiple, Rounding, Ties, rounding_rule

__all__ = [
    "BUDGETS",
    "NORMALISERS",
    "RULES",
    "SCOPES",
    "Multiple",
    "Ranking",
    "Rounding",
    "Scope",
    "Selection",
    "Ties",
    "choose_masks",
    "fill_groups",
    "keep_per_group",
    "layer_mask",
    "layer_sparsities",
    "normalise",
    "rounding_rule",
    "select",
]

Scope = Literal["output", "layer", "model"]
"""What competes with what: the weights of one output, of one layer, of all layers."""
SCOPES: tuple[Scope, ...] = ("output", "layer", "model")
"""Every scope by name, from the narrowest."""
OUTPUT_AND_PATTERN = (
    "a pattern says itself what competes and how many go, so it cannot keep scope='output'; "
    "leave one of them out"
)
"""Why the two do not go together."""


@frozen
class Selection:
    """The chosen masks, and the layers on which a pattern could not be laid."""

    masks: dict[str, np.ndarray] = field(eq=False)
    """``{parameter name: (out, in, *kernel) bool array}``, True where kept."""
    skipped: dict[str, str] = field(factory=dict)
    """``{parameter name: reason}``; these layers' masks are as they were before."""


def choose_masks(
    rankings: Mapping[str, Ranking],
    sparsity: float | Mapping[str, float],
    *,
    scope: Scope = "layer",
    pattern: Pattern | None = None,
    rounding: Rounding = "floor",
    normaliser: str = "none",
    min_keep: int = 1,
    budget: str = "uniform",
) -> Selection:
    """
    Return which weights are kept, exactly as many as the rounding rule says.

    Parameters
    ----------
    rankings : mapping of str to Ranking
        ``{parameter name: scores}``. Of layers in pieces (`Ranking.among`) every rank gives its own, and
        all ranks call with the same options.
    sparsity : float or mapping of str to float
        Fraction pruned, in [0, 1): one number, or one for each layer (not in scope "model").
    scope : {"output", "layer", "model"}, default "layer"
        Rank inside each output ``(in, *kernel)`` of a layer, inside each layer, or all layers
        together.
    pattern : Pattern, optional
        Where zeros may lie; it then decides the counts too, so it goes with no scope "output".
        With scope "model" the pooled ranking gives each layer's share and the pattern lays it out.
    rounding : str, ("multiple", int) or callable, default "floor"
        From weights and sparsity to a count; see `rounding_rule`. In scope "output" it rounds
        once per output. Not used by a pattern in scope "layer".
    normaliser : str, default "none"
        What scores are divided by before layers are pooled; see `normalise`. It does not
        change the order inside a layer, so the other scopes ignore it.
    min_keep : int, default 1
        Weights that every layer keeps at least, in scope "model".
    budget : {"uniform", "erk"}, default "uniform"
        How one number is spread over layers, in scope "layer" or "output"; see `layer_sparsities`.

    Returns
    -------
    Selection
        A mask for each layer, or for this rank's piece of it, in the order of `rankings`.

    Raises
    ------
    OptionError
        If an option has an unknown value, options contradict each other, or the sparsity
        cannot be reached with `min_keep`.
    ScoreError
        If a score is NaN.

    RuleError
        If a layer in pieces cannot be cut where the pattern needs it whole.

    Notes
    -----
    Needs no data. Weights that are not alive stay pruned and count as pruned; a pattern ranks
    them first and decides. Equal scores fall by the rounding rule; the default prunes the
    lower index first, of pooled layers the earlier layer first.

    Examples
    --------
    >>> import numpy as np
    >>> rankings = {"w": Ranking("w", np.array([0.1, -3.0, 2.0, -0.5]), magnitude=True)}
    >>> choose_masks(rankings, 0.5).masks["w"].tolist()
    [False, True, True, False]
    """
    rule = rounding_rule(rounding)
    if normaliser not in NORMALISERS:
        raise OptionError(f"normaliser is {normaliser!r}; choose from {', '.join(NORMALISERS)}")
    if isinstance(min_keep, bool) or not isinstance(min_keep, (int, np.integer)) or min_keep < 0:
        raise OptionError(f"min_keep is {min_keep!r}; give an integer of at least 0")
    if scope not in SCOPES:
        raise OptionError(f"scope is {scope!r}; choose from {', '.join(SCOPES)}")
    if scope == "output" and pattern is not None:
        raise OptionError(OUTPUT_AND_PATTERN)
    if scope != "model":
        shapes = {name: ranking.whole_shape for name, ranking in rankings.items()}
        shares = layer_sparsities(shapes, sparsity, budget)
        if pattern is not None:
            return _lay(rankings, shares, pattern)
        cut = output_masks if scope == "output" else layer_mask
        return Selection({n: cut(r, shares[n], rule) for n, r in rankings.items()})
    if isinstance(sparsity, Mapping) or budget != "uniform":
        raise OptionError(
            "scope 'model' ranks all layers together, so it takes one sparsity and no budget; "
            "use scope 'layer' or 'output' for a sparsity of each layer"
        )
    layer_sparsities({}, sparsity)
    pool = [normalise(ranking, normaliser) for ranking in rankings.values()]
    masks = dict(zip(rankings, model_masks(pool, float(sparsity), rule, int(min_keep)), strict=True))
    if pattern is None:
        return Selection(masks)
    kept = over_ranks(pool, [int(np.count_nonzero(mask)) for mask in masks.values()])
    shares = {n: 1 - c / max(r.total, 1) for (n, r), c in zip(rankings.items(), kept, strict=True)}
    return _lay(rankings, shares, pattern)


def _lay(rankings: Mapping[str, Ranking], shares: Mapping[str, float], pattern: Pattern) -> Selection:
    masks: dict[str, np.ndarray] = {}
    skipped: dict[str, str] = {}
    for name, ranking in rankings.items():
        try:
            masks[name] = _laid_on_ranks(pattern, ranking, shares[name])
        except SkipLayer as reason:
            skipped[name] = str(reason)
            alive = ranking.alive
            masks[name] = np.ones(ranking.shape, np.bool_) if alive is None else alive.copy()
    return Selection(masks, skipped)


def _laid_on_ranks(pattern: Pattern, ranking: Ranking, share: float) -> np.ndarray:
    """Return a pattern's mask of one layer, or of this rank's piece of one."""
    if ranking.among is None:
        return _laid(pattern, ranking, share)
    from ..sharding.laying import on_rows, rows_of

    return on_rows(ranking, rows_of(pattern, ranking), lambda moved: _laid(pattern, moved, share))


def _laid(pattern: Pattern, ranking: Ranking, share: float) -> np.ndarray:
    """Return a pattern's mask of one layer, checked; what goes wrong names both."""
    who = f"pattern {type(pattern).__name__!r}, layer {ranking.name!r}"
    try:
        mask = pattern.mask(ranking, share)
    except (PrunersError, Warning):
        raise
    except Exception as error:
        raise PrunerFailed(f"{who} failed: {type(error).__name__}: {error}") from error
    if isinstance(mask, np.ndarray) and mask.dtype == np.bool_ and mask.shape == ranking.shape:
        return mask
    got = f"{mask.dtype} {mask.shape}" if isinstance(mask, np.ndarray) else type(mask).__name__
    raise PatternError(f"{who}: the mask must be a bool array of shape {ranking.shape}, got {got}")
