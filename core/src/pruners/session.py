"""Zeros while training: a session recomputes masks when they are due and keeps zeros zero."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from attrs import frozen

from .errors import OptionError, RuleError, StateError
from .plans import Plan, make_plans, resume
from .protocols import Keeper, Loss, OpenModel
from .registry import backend_for
from .reports import Report, session_report
from .selection import Selection
from .states import Clock, State


class Sparsity(NamedTuple):
    """How sparse a model is: each layer's fraction of zeros, and the total over listed weights."""

    layers: dict[str, float]
    total: float


@frozen
class Update:
    """One entry of a session's log: masks were recomputed at `step` and reached `sparsity`."""

    step: int
    sparsity: float


class Pruning:
    """
    A pruning session on one model, made by `pruners.attach`.

    The model's parameter names, ``state_dict`` keys and module types never change. Pruned
    weights are +0.0 after every optimizer step; the optimizer's state at pruned positions is
    cleared whenever a mask changes.
    """

    def __init__(
        self,
        opened: OpenModel,
        plans: list[Plan],
        keeper: Keeper,
        masks: Mapping[str, np.ndarray],
        inputs: _Inputs,
    ) -> None:
        """Take what `pruners.attach` has built; users call that."""
        self._opened = opened
        self._plans = plans
        self._keeper: Keeper | None = keeper
        self._inputs = inputs
        self._masks: dict[str, np.ndarray] = dict(masks)
        self._time = 0
        self._clock: Clock = None
        self._log: list[Update] = []
        self.skipped: dict[str, str] = {}

    @property
    def time(self) -> int:
        """Optimizer steps (or the epoch) the session has reached."""
        return self._time

    @property
    def log(self) -> tuple[Update, ...]:
        """When masks were recomputed, and the total sparsity reached."""
        return tuple(self._log)

    @property
    def masks(self) -> dict[str, Any]:
        """Today's masks, arrays of the model's framework, True where kept."""
        return {name: self._opened.native(name, mask) for name, mask in self._masks.items()}

    def step(self) -> None:
        """
        Go on by one step; call it after each ``optimizer.step()``.

        Zeros are set to zero again, and masks are recomputed where a schedule says so. In a
        session driven by epochs it only keeps the zeros.

        Raises
        ------
        StateError
            If the session is finished.
        PrunerFailed, ScoreError, NeedsData
            If masks are due and cannot be computed; masks and time stay as they were.
        """
        keeper = self._open_keeper()
        if not keeper.automatic:
            keeper.apply()
        if self._clock == "epoch":
            return
        self._advance(self._time + 1)
        self._clock = "step"

    def epoch(self, number: int) -> None:
        """
        Begin epoch `number`; schedules then count epochs instead of steps.

        Parameters
        ----------
        number : int
            The epoch, from 0.

        Raises
        ------
        StateError
            If the session is finished, is already driven by steps, or goes back in time.
        """
        self._open_keeper().apply()
        if self._clock == "step":
            raise StateError(
                f"epoch({number}) after {self._time} steps: the session counts steps. Call epoch(0) before "
                "the first step() to count epochs instead."
            )
        if number < self._time:
            raise StateError(f"epoch({number}) after epoch {self._time}: epochs must not go back")
        if self._clock is None and number == 0:
            self._clock = "epoch"  # step 0 was done when the session began
            return
        self._advance(number)
        self._clock = "epoch"

    def sparsity(self) -> Sparsity:
        """Return each layer's fraction of zero weights, and zeros over all listed weights."""
        zeros = {name: _zeros(self._opened.read(name)) for name in self._masks}
        sizes = {name: mask.size for name, mask in self._masks.items()}
        layers = {name: zeros[name] / max(1, sizes[name]) for name in zeros}
        return Sparsity(layers, sum(zeros.values()) / max(1, sum(sizes.values())))

    def report(self) -> Report:
        """Return what pruning has reached so far, layer by layer."""
        notes = {name: plan.note(name, self._time) for plan in self._plans for name in plan.names}
        notes |= {name: f"skipped: {reason}" for name, reason in self.skipped.items()}
        return session_report(self._opened, self._masks, notes)

    def state_dict(self) -> dict[str, Any]:
        """
        Return the session as plain JSON values: numbers, text, lists and dicts.

        Save it beside the model's and the optimizer's own state; together they resume
        bit-exactly in the middle of a schedule.
        """
        state = State(
            time=self._time,
            clock=self._clock,
            masks=self._masks,
            plans=_descriptions(self._plans),
            prepared=tuple(plan.prepared for plan in self._plans),
            initial=self._plans[0].initial if self._plans else None,
            skipped=self.skipped,
            log=tuple((update.step, update.sparsity) for update in self._log),
        )
        return state.to_json()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """
        Take up a saved session; nothing is changed unless all of it fits.

        Raises
        ------
        StateError
            If the state is of another version, or of other layers, shapes or rules; the
            message names the first difference.
        """
        keeper = self._open_keeper()
        saved = State.from_json(state)
        saved.check_layers(self._masks)
        plans = self._plans
        if len(saved.prepared) == len(plans):
            plans = [
                resume(plan, self._opened, prepared, saved.initial)
                for plan, prepared in zip(plans, saved.prepared, strict=True)
            ]
        saved.check_plans(_descriptions(plans))
        keeper.update(saved.masks, clear=False)
        self._plans = plans
        self._masks = dict(saved.masks)
        self._time, self._clock = saved.time, saved.clock
        self._log = [Update(step, sparsity) for step, sparsity in saved.log]
        self.skipped = dict(saved.skipped)

    def finish(self) -> Any:
        """Set the zeros a last time, take every hook off, and return the ordinary model."""
        keeper = self._open_keeper()
        keeper.apply()
        keeper.close()
        self._keeper = None
        return self._inputs.model

    def _open_keeper(self) -> Keeper:
        if self._keeper is None:
            raise StateError("this session is finished; attach a new one to prune on")
        return self._keeper

    def _advance(self, time: int) -> None:
        """Do what is due at `time`; the new time counts only if that succeeded."""
        self._take(time, _due(self._opened, self._plans, time, self._masks, self._inputs))

    def _take(self, time: int, selection: Selection | None) -> None:
        self._time = time
        if selection is None:
            return
        found = selection.masks
        changed = {name: mask for name, mask in found.items() if not np.array_equal(mask, self._masks[name])}
        if changed:
            self._open_keeper().update(changed)
        self._masks.update(changed)
        self.skipped.update(selection.skipped)
        self._log.append(Update(time, self.sparsity().total))


@frozen(eq=False)
class _Inputs:
    """What a session was given and does not change."""

    model: Any
    data: Iterable[Any] | None
    loss: Loss | None


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

    Returns
    -------
    Pruning
        The session. What is due at step 0 has been done.

    Raises
    ------
    NoBackend, UnknownName, RuleError, OptionError, NeedsData, ScoreError, PrunerFailed
        When the model or a part is not usable; model and optimizer are as they were.

    Examples
    --------
    >>> import numpy as np, pruners
    >>> model = {"w": np.array([[3.0, -1.0], [0.5, -2.0]])}
    >>> pruning = pruners.attach(model, pruners.Rule("w", sparsity=0.5))
    >>> pruning.sparsity().total
    0.5
    """
    opened = backend_for(model).open(model)
    _check_request(rules, keep, restore)
    if keep:
        plans: list[Plan] = []
        masks = {name: opened.read(name) != 0 for name, layer in opened.layers.items() if layer.default}
    else:
        initial = _zero_fractions(opened) if restore else None
        plans = make_plans(rules, opened, initial=initial, data=data, loss=loss)
        masks = _first_masks(opened, plans, restore)
    inputs = _Inputs(model, data, loss)
    # Everything that can go wrong does so before the keeper touches model or optimizer.
    selection = _due(opened, plans, 0, masks, inputs)
    keeper = opened.keeper(masks, optimizer=optimizer, gradients=mask_gradients)
    keeper.apply()
    pruning = Pruning(opened, plans, keeper, masks, inputs)
    pruning._take(0, selection)
    return pruning


def _check_request(rules: Any, keep: str | None, restore: bool) -> None:
    if keep not in (None, "zeros"):
        raise OptionError(f"keep must be 'zeros' or None, got {keep!r}")
    if keep and (rules is not None or restore):
        raise RuleError("keep='zeros' prunes no further: leave rules and restore out, or leave keep out")
    if not keep and rules is None:
        raise RuleError("give rules, or keep='zeros' to fix the zeros the model has today")


def _zero_fractions(opened: OpenModel) -> dict[str, float]:
    return {name: _zeros(opened.read(name)) / max(1, layer.size) for name, layer in opened.layers.items()}


def _first_masks(opened: OpenModel, plans: list[Plan], restore: bool) -> dict[str, np.ndarray]:
    planned = {name for plan in plans for name in plan.names}
    return {
        name: opened.read(name) != 0 if restore else np.ones(layer.shape, bool)
        for name, layer in opened.layers.items()
        if name in planned
    }


def _due(
    opened: OpenModel, plans: list[Plan], time: int, masks: Mapping[str, np.ndarray], inputs: _Inputs
) -> Selection | None:
    """Return the masks of every plan that is due at `time`, or None; the model is only read."""
    found: dict[str, np.ndarray] = {}
    skipped: dict[str, str] = {}
    due = [plan for plan in plans if plan.due(time)]
    for plan in due:
        alive = {name: masks[name] for name in plan.names if not masks[name].all()}
        selection = plan.select(opened, time, alive=alive, data=inputs.data, loss=inputs.loss)
        found.update(selection.masks)
        skipped.update(selection.skipped)
    return Selection(found, skipped) if due else None


def _descriptions(plans: list[Plan]) -> dict[str, str]:
    return {name: plan.describe(name) for plan in plans for name in plan.names}


def _zeros(weights: np.ndarray) -> int:
    return int(weights.size - np.count_nonzero(weights))
