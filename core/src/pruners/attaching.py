"""Begin a session: everything that can go wrong does so before model or optimizer are touched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import numpy as np

from .errors import NeedsData, OptionError, RuleError
from .host import count_zeros
from .interrupts import taken_back
from .opening import open_model
from .plans import Plan, make_plans
from .protocols import Loss, OpenModel, Peers
from .session import Pruning
from .sharding.agreeing import agreed
from .sharding.counting import counted
from .sharding.ranks import peers_at, piece_shape
from .updates import Inputs, due_masks


def attach(
    model: Any,
    rules: Any = None,
    optimizer: Any = None,
    *,
    keep: Literal["zeros"] | None = None,
    restore: bool = False,
    mask_gradients: bool = False,
    data: Iterable[Any] | None = None,
    loss: Loss | None = None,
    example_inputs: Any = None,
    distributed: bool | None = None,
) -> Pruning:
    """
    Start a pruning session on a model that is about to be trained.

    Parameters
    ----------
    model : object
        A model of any installed backend. Parameters are masked in place and keep their names.
    rules : Rule, sequence of Rule, or {str: float}
        What is pruned how; a plain dict gives parameters their sparsity.
    optimizer : object, optional
        The optimizer (or several). With it, zeros are kept right after each of its steps, and
        its state at pruned positions is cleared whenever a mask changes.
    keep : {"zeros"}, optional
        Fix the zeros the model has today, and prune no further: fine-tuning a sparse model.
    restore : bool, default False
        Start every schedule from the fraction of zeros each layer has today, and keep those zeros.
    mask_gradients : bool, default False
        Zero the gradients of pruned weights too, before clipping or LARS see their norm.
    data : iterable of batches, optional
        Calibration batches for pruners that need them; read again at every update.
    loss : function, optional
        ``loss(model, batch) -> scalar``, for pruners that need gradients.
    example_inputs : tuple, mapping, or one input, optional
        What the model is run on once: for pruners that need to know how its layers hang
        together (the first batch of `data` if left out), and for models whose parameters get
        their shapes from a first run.
    distributed : bool, optional
        Whether the ranks of an initialised process group prune one model together; by default, where
        there is one. All of them then call `attach`, and the session's methods, alike. With False this
        rank is on its own.

    Returns
    -------
    Pruning
        The session. What is due at step 0 has been done.

    Raises
    ------
    NoBackend, UnknownName, RuleError, OptionError, NeedsData, ScoreError, PrunerFailed
        When the model or a part is not usable; model and optimizer are as they were.
    RankError
        If another rank failed, or ranks computed different masks; nothing has changed on any.

    Notes
    -----
    On several ranks scores from data are averaged, and masks are put in force once all ranks have the
    same ones; weights are not sent. Of a model whose layers lie in pieces (FSDP, tensor parallel) every
    rank keeps the masks of its pieces: together bit for bit those of one process.

    Examples
    --------
    >>> import numpy as np, pruners
    >>> model = {"w": np.array([[3.0, -1.0], [0.5, -2.0]])}
    >>> pruning = pruners.attach(model, pruners.Rule("w", sparsity=0.5))
    >>> pruning.sparsity().total
    0.5
    """
    _check_request(rules, keep, restore, data)
    with taken_back() as undo:
        opened = open_model(model, example_inputs)
        given = Inputs(model, data, loss, example_inputs, peers_at(opened, distributed))
        # Everything that can go wrong does so before the keeper touches model or optimizer.
        with agreed(given.peers) as peers:
            plans, masks = _planned(opened, given, rules, keep, restore, peers)
            selection = due_masks(opened, plans, range(1), masks, {}, given, peers)
            keeper = opened.keeper(masks, optimizer=optimizer, gradients=mask_gradients)
        pruning = Pruning(opened, plans, keeper, masks, given)
        try:
            keeper.apply()
            pruning.take(0, selection)
        except BaseException:
            keeper.close()
            raise
        undo.append(keeper.close)
        return pruning


def _planned(
    opened: OpenModel, given: Inputs, rules: Any, keep: str | None, restore: bool, peers: Peers | None
) -> tuple[list[Plan], dict[str, np.ndarray]]:
    """Return what is to be done, and the masks before anything is."""
    if keep:
        zeros = {name: opened.read(name) != 0 for name, layer in opened.layers.items() if layer.default}
        return [], zeros
    initial = _zero_fractions(opened, peers) if restore else None
    plans = make_plans(
        rules,
        opened,
        initial=initial,
        data=given.data,
        loss=given.loss,
        example_inputs=given.example_inputs,
        peers=peers,
    )
    return plans, _first_masks(opened, plans, restore, peers)


def _check_request(rules: Any, keep: str | None, restore: bool, data: Any) -> None:
    if keep not in (None, "zeros"):
        raise OptionError(f"keep must be 'zeros' or None, got {keep!r}")
    if keep and (rules is not None or restore):
        raise RuleError("keep='zeros' prunes no further: leave rules and restore out, or leave keep out")
    if not keep and rules is None:
        raise RuleError("give rules, or keep='zeros' to fix the zeros the model has today")
    if isinstance(data, Iterator):
        raise NeedsData(
            "data can be read only once, a session reads it at every update: pass a list or a loader"
        )


def _zero_fractions(opened: OpenModel, peers: Peers | None) -> dict[str, float]:
    """Return each layer's fraction of zeros; of a layer that is all zeros, the largest below 1."""
    zeros = counted(opened, {name: [count_zeros(opened.read(name))] for name in opened.layers}, peers)
    return {
        name: max(0, min(zeros[name][0], layer.size - 1)) / max(1, layer.size)
        for name, layer in opened.layers.items()
    }


def _first_masks(
    opened: OpenModel, plans: list[Plan], restore: bool, peers: Peers | None
) -> dict[str, np.ndarray]:
    planned = {name for plan in plans for name in plan.names}
    return {
        name: opened.read(name) != 0 if restore else np.ones(piece_shape(opened, peers, name), bool)
        for name in opened.layers
        if name in planned
    }
