"""Remove whole channels: trace, score, choose, cut, prove."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from numbers import Real
from typing import Any, Literal, get_args

from .errors import OptionError, RemovalError
from .interrupts import checkpoint, taken_back
from .measuring.latency import Latency, measure_latency
from .measuring.serving import serving
from .opening import opened_by
from .options import integer
from .protocols import MODES, Form, Loss, Pruner, Traceable
from .registry import backend_for
from .removal_plans import whole_layers
from .removal_work import Cutting, Heads, Work
from .removals import Removal
from .scoring import as_pruner
from .sharding.ranks import boxes_of
from .structure.choosing import Amount, Reduction
from .structure.plan import RemovalPlan, Removed


def remove(
    model: Any,
    pruner: str | Pruner = "filter-norm",
    *,
    example_inputs: Any,
    sparsity: float | Mapping[str, float] | None = None,
    count: int | None = None,
    budget: Literal["channels", "parameters", "macs"] = "channels",
    scope: Literal["layer", "model"] = "layer",
    normaliser: str = "none",
    rounding: Any = "floor",
    reduction: Reduction = "mean",
    min_keep: int = 1,
    round_to: int = 1,
    bounds: Mapping[str, float] | None = None,
    ignore: str | Iterable[str] = (),
    data: Iterable[Any] | None = None,
    loss: Loss | None = None,
    optimizer: Any = None,
    copies: Sequence[Any] = (),
    form: Form = "module",
    heads: Heads = "auto",
    modes: Sequence[str] = MODES,
    strict: bool = False,
    distributed: bool | None = None,
    tolerance: float | None = None,
    measure: int = 10,
    plan: RemovalPlan | Mapping[str, Any] | None = None,
) -> Removal:
    """
    Remove whole channels, so that the model is really smaller, and prove that it computes the same.

    Parameters
    ----------
    model : object
        A model of a backend that can trace; it is cut in place (``form="module"``).
    pruner : str or Pruner, default "filter-norm"
        What ranks channels. One that scores weights gives a channel the mean of its weights' scores.
    example_inputs : tuple, mapping, or one input
        What the model is called with: positional arguments, keyword arguments, or one argument.
    sparsity : float or {layer: float}
        Fraction to remove, in [0, 1): of each group's channels, of all channels
        (``scope="model"``), or of what `budget` names.
    count : int, optional
        Instead of `sparsity`: this many channels, the lowest scores of the whole model.
    budget : {"channels", "parameters", "macs"}, default "channels"
        What `sparsity` is a fraction of.
    scope : {"layer", "model"}, default "layer"
        Rank inside each group of channels, or all together.
    normaliser, rounding
        As in `pruners.Rule`; `normaliser` makes groups comparable in scope "model".
    reduction : {"mean", "sum", "max", "min", "l2"}, default "mean"
        How channels that must leave together share one score.
    min_keep, round_to : int, default 1
        Channels every group keeps at least; kept counts are rounded up to a multiple.
    bounds : {layer pattern: float}, optional
        Largest fraction that may leave a group with such a layer.
    ignore : str or iterable of str, optional
        Layers, modules or parameters (patterns allowed) whose output channels all stay.
    data, loss
        For pruners that look at data, as in `pruners.scores`.
    optimizer : object or list, optional
        Keeps every parameter and the state of the surviving channels; with ``form="graph"`` it goes
        on with the new model's parameters.
    copies : sequence of models, optional
        Moving averages and the like: cut as the model is.
    form : {"module", "graph"}, default "module"
        Cut the user's own module in place; or hand back an exported graph in which every size is
        rewritten and leave the user's module as it is.
    heads : {"auto", "width", "heads"}, default "auto"
        What attention loses: width of every head, or whole heads. "auto" takes the width where
        the result can be proved, and heads otherwise.
    modes : sequence of str, default ("eval", "train")
        Modes the model is run in to find what hangs together.
    strict : bool, default False
        Whether an operation without a rule is an error; otherwise its inputs stay whole.
    distributed : bool, optional
        Whether scores are averaged over the ranks of an initialised process group, so that every
        rank removes the same channels; by default, where there is one.
    tolerance : float, optional
        Largest relative difference that counts as equal; the backend chooses by precision.
    measure : int, default 10
        Rounds in which the latency of both models is measured; 0 measures nothing.
    plan : RemovalPlan or dict, optional
        Instead of `sparsity` or `count`: carry out what a removal of the same model chose elsewhere,
        ``removal.plan`` or its ``to_dict()``. Nothing is scored, and no weight is repaired.

    Returns
    -------
    Removal
        The smaller model, the plan, the proof, and a report of what was kept whole and why.

    Raises
    ------
    NoBackend, UnknownName, OptionError, NeedsData, ScoreError, PrunerFailed
        When the model or a part is not usable.
    TraceError
        If the model does not run on `example_inputs`.
    ProofError
        If the smaller model would compute something else.
    RemovalError
        If nothing can be removed, or, with ``strict=True``, for an operation without a rule.

    Notes
    -----
    Whatever is raised, the model is as it was. Ties: the lower channel leaves first.

    What "the same" means: the smaller model equals the masked one, in which every coordinate of
    the removed channels is zero; a layer norm or group norm of the masked model normalises over
    the kept features only.

    Examples
    --------
    >>> import torch, pruners
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    >>> removal = pruners.remove(model, "filter-norm", sparsity=0.5, example_inputs=torch.ones(1, 4))
    >>> model
    Sequential(
      (0): Linear(in_features=4, out_features=4, bias=True)
      (1): ReLU()
      (2): Linear(in_features=4, out_features=2, bias=True)
    )
    """
    given = _plan(plan, sparsity, count)
    amount = Amount(
        sparsity=sparsity,
        count=count if given is None else 0,
        budget=budget,
        scope=scope,
        normaliser=normaliser,
        rounding=rounding,
        min_keep=min_keep,
        round_to=round_to,
        bounds=bounds or {},
    )
    _check_options(heads, form, measure, tolerance)
    opened = _traceable(model, example_inputs)
    for pattern in amount.bounds:
        if not any(fnmatchcase(name, pattern) for name in opened.layers):
            raise OptionError(f"bounds names {pattern!r}, which is no layer of the model")
    cutting = Cutting(optimizer, copies, tolerance, strict, _patterns(ignore), form)
    work = Work(opened, as_pruner(pruner), amount, reduction, data, loss, distributed, cutting, given)
    with taken_back() as undo:
        with work.stages.timing("analysis"):
            work.traced = opened.trace(example_inputs, form=form, modes=modes)
        checkpoint()
        dense = _latency(opened, example_inputs, measure) if measure else None
        candidate, removed = work.remove(heads)
        if removed.undo is not None:
            undo.append(removed.undo)
        return Removal(
            model=removed.model,
            plan=candidate.plan,
            proof=removed.proof,
            groups=tuple(candidate.rows()),
            whole=whole_layers(opened.layers, candidate.traced, candidate.structure),
            parameters=candidate.parameters,
            macs=candidate.macs,
            form=form,
            pruner=work.named.name if given is None else "a plan made elsewhere",
            unruled=tuple(dict.fromkeys(str(place) for place in candidate.structure.unruled)),
            latency=_compared(dense, removed, example_inputs, measure),
            seconds=dict(work.stages.seconds),
        )


def _plan(plan: Any, sparsity: Any, count: Any) -> RemovalPlan | None:
    if plan is None or isinstance(plan, RemovalPlan):
        found: RemovalPlan | None = plan
    elif isinstance(plan, Mapping):
        found = RemovalPlan.from_dict(plan)
    else:
        raise OptionError(f"plan must be a RemovalPlan or a dict, got {type(plan).__name__}")
    if found is not None and (sparsity is not None or count is not None):
        raise OptionError("plan says which channels leave: leave sparsity and count out, or leave plan out")
    return found


def _check_options(heads: Any, form: Any, measure: Any, tolerance: Any) -> None:
    for name, given, known in (("heads", heads, get_args(Heads)), ("form", form, get_args(Form))):
        if given not in known:
            raise OptionError(f"{name} is {given!r}; choose from {', '.join(known)}")
    if not isinstance(integer(measure), int) or measure < 0:
        raise OptionError(f"measure is {measure!r}; give a number of rounds, 0 to measure nothing")
    if tolerance is not None and (not isinstance(tolerance, Real) or not float(tolerance) >= 0):
        raise OptionError(f"tolerance is {tolerance!r}; give a number of at least 0, or leave it out")


def _traceable(model: Any, example_inputs: Any) -> Traceable:
    backend = backend_for(model)
    opened = opened_by(backend, model, example_inputs)
    if not isinstance(opened, Traceable):
        raise RemovalError(
            f"backend {backend.name!r} cannot trace a model, so channels cannot be removed; masks can be "
            "made with pruners.prune"
        )
    if boxes := boxes_of(opened):
        raise RemovalError(
            f"layer {next(iter(boxes))!r} lies in pieces on several ranks, and channels leave whole layers: "
            "remove them before the model is sharded"
        )
    return opened


def _patterns(ignore: str | Iterable[str]) -> tuple[str, ...]:
    return (ignore,) if isinstance(ignore, str) else tuple(ignore)


def _compared(
    dense: Latency | None, removed: Removed, example_inputs: Any, rounds: int
) -> tuple[Latency, Latency] | None:
    if dense is None:
        return None
    return dense, _latency(_traceable(removed.model, example_inputs), example_inputs, rounds)


def _latency(opened: Traceable, example_inputs: Any, rounds: int) -> Latency:
    with serving(opened, example_inputs) as run:
        return measure_latency(run, rounds)
