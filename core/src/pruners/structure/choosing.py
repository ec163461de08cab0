"""From channel scores to the units that leave: per group or over the model, by count or by budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal

import numpy as np
from attrs import field, frozen, validators

from ..errors import OptionError, ScoreError
from ..selection import choose_masks
from ..selection.ranking import Ranking
from .costs import Costs
from .engine import Structure
from .groups import Group

Reduction = Literal["mean", "sum", "max", "min", "l2"]
REDUCTIONS = ("mean", "sum", "max", "min", "l2")
Budget = Literal["channels", "parameters", "macs"]
BUDGETS = ("channels", "parameters", "macs")
_HALVINGS = 40


def _one_of(choices: tuple[str, ...]) -> Callable[[Any, Any, Any], None]:
    def check(_: Any, attribute: Any, value: Any) -> None:
        if value not in choices:
            raise OptionError(f"{attribute.name} is {value!r}; choose from {', '.join(choices)}")

    return check


def _whole(least: int) -> Callable[[Any, Any, Any], None]:
    def check(_: Any, attribute: Any, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
            raise OptionError(f"{attribute.name} is {value!r}; give an integer of at least {least}")

    return check


@frozen(kw_only=True)
class Amount:
    """How much is to leave, and within which limits."""

    sparsity: float | Mapping[str, float] | None = None
    """Fraction, in [0, 1): of channels, or of what `budget` says."""
    count: int | None = field(default=None, validator=validators.optional(_whole(0)))
    """Units to remove, over the whole model, instead of a fraction."""
    budget: Budget = field(default="channels", validator=_one_of(BUDGETS))
    scope: Literal["layer", "model"] = field(default="layer", validator=_one_of(("layer", "model")))
    normaliser: str = "none"
    rounding: Any = "floor"
    min_keep: int = field(default=1, validator=_whole(1))
    round_to: int = field(default=1, validator=_whole(1))
    bounds: Mapping[str, float] = field(factory=dict)
    """``{layer name pattern: largest fraction that may leave}``."""

    def __attrs_post_init__(self) -> None:
        if (self.sparsity is None) == (self.count is None):
            raise OptionError("say how much is to leave: sparsity=0.5, or count=10 channels")
        asked = self.sparsity if isinstance(self.sparsity, Mapping) else {"": self.sparsity}
        for layer, share in asked.items():
            if share is not None and not (_is_fraction(share) and share < 1):
                what = f"sparsity of {layer!r}" if layer else "sparsity"
                raise OptionError(f"{what} is {share!r}; give a fraction from 0 to less than 1")
        for pattern, share in self.bounds.items():
            if not _is_fraction(share):
                raise OptionError(f"bounds of {pattern!r} is {share!r}; give a fraction from 0 to 1")


def _is_fraction(share: Any) -> bool:
    number = isinstance(share, (int, float, np.number)) and not isinstance(share, bool)
    return number and bool(0 <= share <= 1)


def unit_scores(
    structure: Structure, scores: Mapping[str, np.ndarray], reduction: Reduction = "mean"
) -> dict[str, np.ndarray]:
    """
    Return one score per unit of each group: its layers' channel scores, reduced.

    Parameters
    ----------
    structure : Structure
        What hangs together.
    scores : {parameter: (out,)}
        Channel scores of the layers.
    reduction : {"mean", "sum", "max", "min", "l2"}
        How channels that leave together share one score.

    Returns
    -------
    dict of str to float64 array (unit,)
        By group name.
    """
    if reduction not in REDUCTIONS:
        raise OptionError(f"reduction is {reduction!r}; choose from {', '.join(REDUCTIONS)}")
    return {group.name: _reduced(structure, group, scores, reduction) for group in structure.groups}


def _reduced(
    structure: Structure, group: Group, scores: Mapping[str, np.ndarray], reduction: str
) -> np.ndarray:
    order = np.argsort(group.units)
    totals: np.ndarray = np.full(len(group), {"max": -np.inf, "min": np.inf}.get(reduction, 0.0))
    counts = np.zeros(len(group))
    for member in group.scored:
        roots = structure.parameter(member.parameter)[member.axis]
        if member.parameter not in scores or roots is None:
            continue
        here = np.flatnonzero(np.isin(roots, group.units))
        units = order[np.searchsorted(group.units, roots[here], sorter=order)]
        values = np.asarray(scores[member.parameter], np.float64)[here]
        if reduction in ("max", "min"):
            (np.maximum if reduction == "max" else np.minimum).at(totals, units, values)
        else:
            np.add.at(totals, units, np.square(values) if reduction == "l2" else values)
        np.add.at(counts, units, 1)
    if not counts.all():
        raise ScoreError(f"no scores for the channels of layer {group.name!r}")
    if reduction == "mean":
        totals = totals / counts
    return np.sqrt(totals) if reduction == "l2" else totals


def choose(
    structure: Structure, scores: Mapping[str, np.ndarray], amount: Amount, costs: Costs
) -> np.ndarray:
    """
    Return which roots leave: bool (root,).

    Parameters
    ----------
    structure : Structure
        What hangs together.
    scores : {group: (unit,)}
        The smallest leave first; equal ones from the lowest index up.
    amount : Amount
        How much, and within which limits.
    costs : Costs
        Counts what `amount.budget` names.
    """
    if not structure.groups:
        return np.zeros(structure.size, bool)
    if amount.budget == "channels":
        return _removed(structure, scores, amount, _share(structure, amount))
    if isinstance(amount.sparsity, Mapping) or amount.sparsity is None:
        raise OptionError(f"budget {amount.budget!r} takes one sparsity for the whole model")
    count = costs.macs if amount.budget == "macs" else costs.parameters
    return _within(structure, scores, amount, count)


def _share(structure: Structure, amount: Amount) -> float | dict[str, float]:
    """Return the sparsity asked for, per group where the user named layers."""
    total = sum(len(group) for group in structure.groups)
    if amount.count is not None:
        most = _leaving(structure, amount)
        if amount.count > most:
            raise OptionError(
                f"count is {amount.count}; of the model's {total} channels that can leave, "
                f"{most} can at once with min_keep={amount.min_keep} in {len(structure.groups)} groups"
            )
        return amount.count / total
    if not isinstance(amount.sparsity, Mapping):
        return float(amount.sparsity or 0.0)
    shares = dict.fromkeys((group.name for group in structure.groups), 0.0)
    for layer, share in amount.sparsity.items():
        owners = [group.name for group in structure.groups if layer in _layers(group)]
        if not owners:
            raise OptionError(f"sparsity names layer {layer!r}, none of whose channels can leave")
        shares.update(dict.fromkeys(owners, float(share)))
    return shares


def _layers(group: Group) -> set[str]:
    return {member.parameter for member in group.scored}


def _removed(
    structure: Structure, scores: Mapping[str, np.ndarray], amount: Amount, share: float | dict[str, float]
) -> np.ndarray:
    rankings = {group.name: Ranking(group.name, scores[group.name]) for group in structure.groups}
    masks = choose_masks(
        rankings,
        share,
        scope="model" if amount.count is not None else amount.scope,
        rounding=amount.rounding if amount.count is None else "floor",
        normaliser=amount.normaliser,
        min_keep=amount.min_keep,
    ).masks
    removed = np.zeros(structure.size, bool)
    for group in structure.groups:
        kept = _limited(group, masks[group.name], scores[group.name], amount)
        removed[group.units[~kept]] = True
    return removed


def _limited(group: Group, kept: np.ndarray, scores: np.ndarray, amount: Amount) -> np.ndarray:
    """Bring the best units back until the limits hold."""
    bounds = [
        share
        for pattern, share in amount.bounds.items()
        if any(fnmatchcase(layer, pattern) for layer in _layers(group))
    ]
    least = max(amount.min_keep, len(group) - int(min(bounds, default=1.0) * len(group) + 1e-9))
    least = max(least, int(np.count_nonzero(kept)))
    least = min(-(-least // amount.round_to) * amount.round_to, len(group))
    gone = np.flatnonzero(~kept)
    missing = least - (len(group) - len(gone))
    if missing <= 0:
        return kept
    best = gone[np.lexsort((gone, scores[gone]))]
    kept = kept.copy()
    kept[best[-missing:]] = True
    return kept


def _within(
    structure: Structure,
    scores: Mapping[str, np.ndarray],
    amount: Amount,
    count: Callable[[np.ndarray], int],
) -> np.ndarray:
    """Return the smallest choice that brings a cost down as asked: masks are nested, so halving finds it."""
    nothing = np.zeros(structure.size, bool)
    target = (1 - float(amount.sparsity or 0.0)) * count(nothing) * (1 + 1e-12)  # type: ignore[arg-type]
    low, high = 0.0, 1.0 - 1e-9
    less, best = nothing, _most(structure, scores, amount)
    if count(best) > target:
        raise OptionError(
            f"{amount.budget} cannot fall by {amount.sparsity:.4g}: with as few channels as the limits "
            f"allow they fall by {1 - count(best) / count(nothing):.4g}"
        )
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if not _reachable(structure, amount, middle):
            high = middle
            continue
        removed = _removed(structure, scores, amount, middle)
        if count(removed) > target:
            low, less = middle, removed
        else:
            high, best = middle, removed
    return _tightened(structure, best, less, lambda removed: count(removed) <= target)


def _tightened(
    structure: Structure, best: np.ndarray, less: np.ndarray, enough: Callable[[np.ndarray], bool]
) -> np.ndarray:
    """Take back, of the last step that all groups took at once, what is not needed; later groups first."""
    for group in reversed(structure.groups):
        step = group.units[best[group.units] & ~less[group.units]]
        tried = best.copy()
        tried[step] = False
        if enough(tried):
            best = tried
    return best


def _reachable(structure: Structure, amount: Amount, share: float) -> bool:
    if amount.scope == "layer":
        return True
    total = sum(len(group) for group in structure.groups)
    return int(share * total + 1e-9) <= _leaving(structure, amount)


def _leaving(structure: Structure, amount: Amount) -> int:
    """Return how many units can leave at once."""
    return sum(max(len(group) - amount.min_keep, 0) for group in structure.groups)


def _most(structure: Structure, scores: Mapping[str, np.ndarray], amount: Amount) -> np.ndarray:
    removed = np.zeros(structure.size, bool)
    for group in structure.groups:
        kept = _limited(group, np.zeros(len(group), bool), scores[group.name], amount)
        removed[group.units[~kept]] = True
    return removed
