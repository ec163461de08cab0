"""How much each layer can lose: prune one layer at a time, measure, put it back bit for bit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve

from . import registry
from .errors import OptionError
from .host import zero_pruned
from .interrupts import open_to_interrupts, whole
from .progress import steps
from .protocols import Allocates
from .rules import Rule, assign
from .scheduling import as_part
from .scoring import Scorer, as_pruner, blaming
from .selection import choose_masks
from .sensitivities import LayerSensitivity, Sensitivities

if TYPE_CHECKING:
    from .protocols import Loss, OpenModel, Pattern, Pruner

__all__ = ["Sensitivities", "sensitivity"]

SPARSITIES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@whole
def sensitivity(
    model: Any,
    evaluate: Callable[[Any], float],
    *,
    pruner: str | Pruner = "level",
    sparsities: Iterable[float] = SPARSITIES,
    layers: str | Sequence[str] | None = None,
    pattern: str | Pattern | None = None,
    rounding: Any = "floor",
    data: Iterable[Any] | None = None,
    loss: Loss | None = None,
    higher_is_better: bool = True,
) -> Sensitivities:
    """
    Measure how a model's quality falls as each layer alone is pruned.

    Parameters
    ----------
    model : object
        A model of any installed backend.
    evaluate : function
        ``evaluate(model) -> float``, for example the accuracy on held-out data. Called once for the
        baseline and once per layer and sparsity; it must not change the model.
    pruner : str or Pruner, default "level"
        What ranks the weights.
    sparsities : sequence or array of float
        Fractions of a layer's weights to prune, in (0, 1); for a pruner that decides the fraction itself,
        its strengths, above 0.
    layers : str or sequence of str, optional
        Names or globs, as in `Rule`; all layers when left out.
    pattern : str or Pattern, optional
        Where zeros may lie; anywhere without one.
    rounding : str, default "floor"
        How a fraction becomes a count, as in `Rule`.
    data, loss : optional
        Calibration batches and ``loss(model, batch)``, for pruners that need them.
    higher_is_better : bool, default True
        False when `evaluate` returns a loss.

    Returns
    -------
    Sensitivities
        Prints as a table; ``.plot(path)`` draws it, ``.budget(drop=0.01)`` turns it into sparsities.

    Raises
    ------
    OptionError
        If a sparsity is out of range, or `evaluate` does not return a number.
    RuleError
        If `layers` matches nothing, or there is no such `rounding`.

    Notes
    -----
    Layers are really pruned, in place, and put back bit for bit before the next one, also when `evaluate`
    raises or is interrupted. Weights are ranked once, on the model as it came. Ties are as everywhere in
    Pruners: the lower index goes first.

    References
    ----------
    .. [1] S. Han, J. Pool, J. Tran, W. J. Dally, "Learning both Weights and Connections for Efficient
           Neural Networks", NeurIPS 2015, section 4 (sensitivity of layers to pruning). arXiv:1506.02626.

    Examples
    --------
    >>> import numpy as np, pruners
    >>> model = {"a": np.array([[4.0, 1.0]]), "b": np.array([[3.0, 3.0]])}
    >>> kept = lambda model: float(sum(np.abs(w).sum() for w in model.values()))
    >>> pruners.sensitivity(model, kept, sparsities=[0.5]).budget(drop=1.0)
    {'a': 0.5, 'b': 0.0}
    """
    opened = registry.backend_for(model).open(model)
    rule = Rule("*" if layers is None else layers, pruner=pruner, rounding=rounding)
    (names,) = assign([rule], opened.layers)
    named = as_pruner(pruner)
    named.check_parts(pattern)
    scorer = Scorer(opened, named, names, data, loss)
    wanted = _ascending(sparsities, scorer)
    scorer = evolve(scorer, prepared=scorer.prepare())
    chosen = as_part("pattern", pattern, ("mask", "check"))
    with steps("sensitivity", 1 + len(names) * len(wanted)) as done:

        def measure() -> float:
            with open_to_interrupts():
                metric = _number(evaluate(model))
            done()
            return metric

        baseline = measure()
        measured, skipped = _scan(opened, _masks(scorer, wanted, chosen, rounding), measure)
    return Sensitivities(
        layers=measured,
        sparsities=wanted,
        baseline=baseline,
        higher_is_better=higher_is_better,
        skipped=skipped,
    )


def _ascending(sparsities: Iterable[Any], scorer: Scorer) -> tuple[float, ...]:
    """Return the sparsities sorted, each once; only a pruner that allocates has strengths above 1."""
    try:
        given = (sparsities,) if isinstance(sparsities, str) else tuple(sparsities)
    except TypeError:
        raise OptionError(
            f"sparsities must be several numbers, for example [0.5, 0.9]; got {sparsities!r}"
        ) from None
    if not given:
        raise OptionError("sparsities is empty; give at least one, for example [0.5]")
    above = math.inf if isinstance(scorer.named.pruner, Allocates) else 1.0
    for sparsity in given:
        if not 0 < _plain(sparsity) < above:
            raise OptionError(f"sparsities must lie between 0 and {above:g}, both left out; got {sparsity!r}")
    return tuple(sorted({_plain(sparsity) for sparsity in given}))


def _plain(sparsity: Any) -> float:
    """Return a number of any library as a float; NaN for what is none."""
    if isinstance(sparsity, (bool, np.bool_, str, bytes)):
        return math.nan
    try:
        return float(sparsity)
    except (TypeError, ValueError):
        return math.nan


def _scan(
    opened: OpenModel,
    masks: Iterable[tuple[str, list[np.ndarray] | str]],
    measure: Callable[[], float],
) -> tuple[tuple[LayerSensitivity, ...], dict[str, str]]:
    """Measure layer after layer; return what was found, and why others were skipped."""
    measured, skipped = [], {}
    for name, found in masks:
        if isinstance(found, str):
            skipped[name] = found
            continue
        metrics = _one_layer(opened, name, found, measure)
        reached = tuple(1 - np.count_nonzero(mask) / max(mask.size, 1) for mask in found)
        size = opened.layers[name].size
        measured.append(LayerSensitivity(name=name, weights=size, metrics=metrics, reached=reached))
    return tuple(measured), skipped


def _masks(
    scorer: Scorer, sparsities: Sequence[float], pattern: Pattern | None, rounding: Any
) -> Iterator[tuple[str, list[np.ndarray] | str]]:
    """
    Yield each layer's masks, one per sparsity, or the reason why the pattern cannot lie on it.

    All masks of a layer come before any is used: rankings look at the very weights that are pruned next.
    """
    shares = [scorer.allocate(each) or dict.fromkeys(scorer.names, each) for each in sparsities]
    rankings = scorer.rankings()
    for name, ranking in rankings.items():
        masks, reason = [], None
        for share in shares:
            with blaming(scorer.named):
                found = choose_masks({name: ranking}, share[name], pattern=pattern, rounding=rounding)
            found = scorer.whole(found, rankings)
            reason = found.skipped.get(name, reason)
            masks.append(found.masks[name])
        yield name, masks if reason is None else reason


def _one_layer(
    opened: OpenModel, name: str, masks: Sequence[np.ndarray], measure: Callable[[], float]
) -> tuple[float, ...]:
    """Measure one layer under each mask; whatever happens, its weights come back bit for bit."""
    dense = np.array(opened.read(name))
    metrics = []
    try:
        for mask in masks:
            pruned = dense.copy()
            zero_pruned(pruned, mask)
            opened.write({name: pruned})
            metrics.append(measure())
    finally:
        opened.write({name: dense})
    return tuple(metrics)


def _number(metric: Any) -> float:
    try:
        return float(metric)
    except (TypeError, ValueError):
        raise OptionError(f"evaluate(model) must return one number, it returned {metric!r}") from None
