"""One call, one answer: scores, masks, and pruning in one shot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .errors import OptionError, RuleError
from .interrupts import whole
from .opening import open_model
from .plans import describe, make_plans, warn_skipped
from .protocols import Loss, OpenModel, Pattern, Pruner, Scaled
from .registry import backend_for
from .rules import Match, Rule, assign
from .scoring import Scorer, as_pruner
from .selection import Scope
from .sharding.agreeing import agreed, check_same_work
from .sharding.ranks import piece_peers


@whole
def scores(
    model: Any,
    pruner: str | Pruner = "level",
    *,
    match: Match = "*",
    data: Iterable[Any] | None = None,
    loss: Loss | None = None,
    example_inputs: Any = None,
) -> dict[str, Any]:
    """
    Return the score a pruner gives each weight, or each channel; nothing is changed.

    Parameters
    ----------
    model : object
        A model of any installed backend.
    pruner : str or Pruner, default "level"
        What ranks the weights.
    match : str, sequence of str, or function, default "*"
        The layers to score, as in `pruners.Rule`.
    data : iterable of batches, optional
        Calibration batches, for pruners that need them; read again at every call.
    loss : function, optional
        ``loss(model, batch) -> scalar``, for pruners that need gradients.
    example_inputs : tuple, mapping, or one input, optional
        What the model is run on once: for pruners that need to know how its layers hang
        together (the first batch of `data` if left out), and for models whose parameters get
        their shapes from a first run.

    Returns
    -------
    dict of str to array
        ``{parameter name: scores}``, arrays of the model's framework; larger is kept. One score
        per weight, in the parameter's shape; of pruners that score whole channels, one per output
        channel, ``(out,)``.

    Raises
    ------
    NoBackend, UnknownName, RuleError, NeedsData, ScoreError, PrunerFailed
        When the model, the pruner, the match, the data or the scores are not usable.

    Examples
    --------
    >>> import numpy as np, pruners
    >>> pruners.scores({"w": np.array([[3.0, -1.0]])}, "level")
    {'w': array([[3., 1.]])}
    """
    opened = open_model(model, example_inputs)
    (names,) = assign([Rule(match)], opened.layers)
    with agreed(piece_peers(opened)) as peers:
        scorer = Scorer(
            opened, as_pruner(pruner), names, data, loss, example_inputs=example_inputs, peers=peers
        )
        found = {name: ranking.values() for name, ranking in scorer.rankings().items()}
    return {name: opened.native(name, values) for name, values in found.items()}


def scales(model: Any) -> dict[str, Any]:
    """
    Return the scale of every batch norm, live, to add a penalty on them to a loss.

    Parameters
    ----------
    model : object
        A model of any installed backend that knows batch norms.

    Returns
    -------
    dict of str to parameter
        ``{parameter name: (channel,) parameter}``: the model's own, with gradients; empty where no
        batch norm has a scale.

    Raises
    ------
    NoBackend
        If no backend handles the model.
    OptionError
        If its backend knows no batch norms.

    Examples
    --------
    >>> import numpy as np, pruners
    >>> pruners.scales({"w": np.ones((2, 2))})
    Traceback (most recent call last):
    ...
    pruners.errors.OptionError: backend 'numpy' knows no batch norms
    """
    backend = backend_for(model)
    opened = backend.open(model)
    if not isinstance(opened, Scaled):
        raise OptionError(f"backend {backend.name!r} knows no batch norms")
    return dict(opened.scales())


@whole
def masks(
    model: Any,
    pruner: str | Pruner = "level",
    *,
    sparsity: float | Mapping[str, float],
    match: Match = "*",
    scope: Scope = "layer",
    pattern: str | Pattern | None = None,
    rounding: Any = "floor",
    normaliser: str = "none",
    min_keep: int = 1,
    budget: str = "uniform",
    data: Iterable[Any] | None = None,
    loss: Loss | None = None,
    example_inputs: Any = None,
) -> dict[str, Any]:
    """
    Return the masks that pruning would give; nothing is changed.

    Parameters
    ----------
    model : object
        A model of any installed backend.
    pruner : str or Pruner, default "level"
        What ranks the weights.
    sparsity : float or {str: float}
        Fraction of weights, or of channels, that become zero, in [0, 1); or one for each parameter.
    match, scope, pattern, rounding, normaliser, min_keep, budget
        As in `pruners.Rule`.
    data, loss, example_inputs
        For pruners that look at data, as in `pruners.scores`.

    Returns
    -------
    dict of str to bool array
        ``{parameter name: mask}``, arrays of the model's framework with the parameter's
        shape; True where kept.

    Raises
    ------
    NoBackend, UnknownName, RuleError, OptionError, NeedsData, ScoreError, PrunerFailed
        When the model or a part is not usable; the model is as it was.

    Notes
    -----
    Counts are exact under ties: equal scores go from the lowest index up. A pruner that scores
    channels masks whole ones, and leaves every layer at least one.

    Examples
    --------
    >>> import numpy as np, pruners
    >>> pruners.masks({"w": np.array([[3.0, -1.0], [0.5, -2.0]])}, "level", sparsity=0.5)
    {'w': array([[ True, False],
           [False,  True]])}
    """
    opened = open_model(model, example_inputs)
    rule = Rule(
        match,
        pruner=pruner,
        sparsity=sparsity,
        scope=scope,
        pattern=pattern,
        rounding=rounding,
        normaliser=normaliser,
        min_keep=min_keep,
        budget=budget,
    )
    found = _one_shot(opened, rule, data, loss, example_inputs)
    return {name: opened.native(name, mask) for name, mask in found.items()}


@whole
def prune(
    model: Any,
    pruner: str | Pruner | Rule | Iterable[Rule] = "level",
    *,
    data: Iterable[Any] | None = None,
    loss: Loss | None = None,
    example_inputs: Any = None,
    **options: Any,
) -> Any:
    """
    Set the lowest-ranked weights to zero, once, in place.

    Parameters
    ----------
    model : object
        A model of any installed backend; its parameters keep their identity.
    pruner : str, Pruner, or rules
        What ranks the weights; or one or several `pruners.Rule` that say everything.
    data, loss, example_inputs
        For pruners that look at data, as in `pruners.scores`.
    **options
        The options of `pruners.Rule`: ``sparsity`` and, where wanted, ``match``, ``scope``,
        ``pattern``, ``rounding``, ``normaliser``, ``min_keep``, ``budget``, ``types``, ``exclude``.

    Returns
    -------
    object
        The same model. Nothing keeps the zeros afterwards: to train on, use `pruners.attach`.

    Raises
    ------
    NoBackend, UnknownName, RuleError, OptionError, NeedsData, ScoreError, PrunerFailed
        When the model or a part is not usable; the model is as it was.

    Examples
    --------
    >>> import numpy as np, pruners
    >>> pruners.prune({"w": np.array([[3.0, -1.0], [0.5, -2.0]])}, "level", sparsity=0.5)
    {'w': array([[ 3.,  0.],
           [ 0., -2.]])}
    """
    opened = open_model(model, example_inputs)
    if isinstance(pruner, str) or callable(getattr(pruner, "scores", None)):
        rules: Any = Rule(options.pop("match", "*"), pruner=pruner, **options)
    else:
        rules = pruner
        if options:
            raise RuleError(f"rules say everything themselves: put {', '.join(options)} into the rule")
    keeper = opened.keeper(_one_shot(opened, rules, data, loss, example_inputs))
    keeper.apply()
    keeper.close()
    return model


def _one_shot(
    opened: OpenModel, rules: Any, data: Iterable[Any] | None, loss: Loss | None, example_inputs: Any
) -> dict[str, np.ndarray]:
    """Return the masks of every rule at the end of its schedule."""
    found: dict[str, np.ndarray] = {}
    with agreed(piece_peers(opened)) as peers:
        given: Any = {"data": data, "loss": loss, "example_inputs": example_inputs, "peers": peers}
        plans = make_plans(rules, opened, **given)
        if peers is not None:
            check_same_work(peers, END, describe(plans))
        for plan in plans:
            selection = plan.select(opened, END, **given)
            warn_skipped(selection.skipped)
            found.update(selection.masks)
    return found


END = 2**62
"""A step after the end of every schedule."""
