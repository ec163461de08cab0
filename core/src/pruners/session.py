"""Zeros while training: a session recomputes masks when they are due and keeps zeros zero."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, SupportsFloat

import numpy as np

from .errors import StateError
from .interrupts import whole
from .plans import Plan, describe
from .protocols import Keeper, OpenModel
from .records import Record, checked
from .reports import Report, session_report
from .selection import Selection
from .sharding.agreeing import agreed
from .sharding.ranks import layout_of
from .states import Clock, State
from .updates import Inputs, Sparsity, Update, due_masks, resumed, sparsity_of


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
        inputs: Inputs,
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
        self._history: list[Record] = []
        self.skipped: dict[str, str] = {}

    @property
    def time(self) -> int:
        """Optimizer steps (or the epoch) the session has reached."""
        return self._time

    @property
    def clock(self) -> Clock:
        """What `time` counts: "step" or "epoch"; None before the first of either."""
        return self._clock

    @property
    def log(self) -> tuple[Update, ...]:
        """When masks were recomputed, and the total sparsity reached."""
        return tuple(self._log)

    @property
    def history(self) -> tuple[Record, ...]:
        """What `record` was told, in the order it was told."""
        return tuple(self._history)

    @property
    def opened(self) -> OpenModel:
        """The model as its backend opened it."""
        return self._opened

    @property
    def host_masks(self) -> Mapping[str, np.ndarray]:
        """Today's masks on the host, ``(out, in, *kernel)``, True where kept; read them and do not write."""
        return MappingProxyType(self._masks)

    @property
    def masks(self) -> dict[str, Any]:
        """Copies of today's masks, arrays of the model's framework, True where kept."""
        return {name: self._opened.native(name, mask.copy()) for name, mask in self._masks.items()}

    @whole
    def step(self) -> None:
        """
        Go on by one step; call it after each ``optimizer.step()``.

        Zeros are set to zero again, whoever wrote to them, and masks are recomputed where a
        schedule says so. In a session driven by epochs it only keeps the zeros.

        Raises
        ------
        StateError
            If the session is finished.
        PrunerFailed, ScoreError, NeedsData
            If masks are due and cannot be computed; masks and time stay as they were.
        RankError
            If another rank failed, or ranks computed different masks: likewise, on all ranks.
        """
        self._open_keeper().apply()
        if self._clock == "epoch":
            return
        self._advance(self._time + 1)
        self._clock = "step"

    @whole
    def epoch(self, number: int) -> None:
        """
        Begin epoch `number`; schedules then count epochs instead of steps.

        Epochs may be left out: what was due in between is done now.

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
        if number != int(number):
            raise StateError(f"epoch takes a whole number, got {number!r}")
        if self._clock == "step":
            raise StateError(
                f"epoch({number}) after {self._time} steps: the session counts steps. Call epoch(0) before "
                "the first step() to count epochs instead."
            )
        if number < self._time:
            raise StateError(f"epoch({number}) after epoch {self._time}: epochs must not go back")
        self._advance(int(number))
        self._clock = "epoch"

    def record(self, **metrics: SupportsFloat) -> None:
        """
        Keep what was measured now, beside the session's time and the sparsity reached.

        `history` has it, `state_dict` carries it, `pruners.page` draws it over time. It may also be
        called after `finish`. Where layers lie in pieces on several ranks, all of them call it.

        Parameters
        ----------
        **metrics : float
            Numbers by name, for example ``accuracy=0.98``; a one-element array of any framework is one,
            too. NaN and infinities are kept as they are, so that what diverged is seen.

        Raises
        ------
        OptionError
            If there is no metric, or one is not a number; nothing is kept then.
        """
        self._history.append(Record(self._time, self.sparsity().total, checked(metrics)))

    def sparsity(self) -> Sparsity:
        """
        Return each layer's fraction of zero weights, and zeros over all listed weights.

        Of layers in pieces on several ranks the whole is counted: all ranks call this, and `report`.
        """
        return sparsity_of(self._opened, self._masks)

    def report(self) -> Report:
        """Return what pruning has reached so far, layer by layer; of layers in pieces all ranks call this."""
        notes = {name: plan.note(name, self._time) for plan in self._plans for name in plan.names}
        notes |= {name: f"skipped: {reason}" for name, reason in self.skipped.items()}
        return session_report(self._opened, self._masks, notes)

    def state_dict(self) -> dict[str, Any]:
        """
        Return the session as plain JSON values: numbers, text, lists and dicts.

        Save it beside the model's and the optimizer's own state; together they resume
        bit-exactly in the middle of a schedule.
        """
        return self._state().to_json(self._layout())

    def state_parts(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """
        Return the session in two parts: all but its masks as plain JSON values, and the masks.

        For checkpoints that store masks as arrays, cut anew when they are read: the first part is
        the same on all ranks, and says nothing of how layers lie on them.

        Returns
        -------
        dict
            Numbers, text, lists and dicts.
        {parameter name: (out, in, *kernel) bool array}
            Copies of today's masks; of layers in pieces this rank's.
        """
        shapes = {name: tuple(self._opened.layers[name].shape) for name in self._masks}
        masks = {name: mask.copy() for name, mask in self._masks.items()}
        return self._state().to_json(None, shapes), masks

    @whole
    def load_state_parts(self, state: Mapping[str, Any], masks: Mapping[str, np.ndarray]) -> None:
        """
        Take up what `state_parts` returned, with masks that lie on the ranks as the model does now.

        Raises
        ------
        StateError
            As `load_state_dict`; nothing is changed then.
        """
        self._load(lambda: State.from_json(state, masks))

    def _state(self) -> State:
        return State(
            time=self._time,
            clock=self._clock,
            masks=self._masks,
            plans=describe(self._plans),
            prepared=tuple(plan.prepared for plan in self._plans),
            initial=self._plans[0].initial if self._plans else None,
            skipped=self.skipped,
            log=tuple((update.step, update.sparsity) for update in self._log),
            history=self.history,
        )

    def _layout(self) -> dict[str, Any] | None:
        """Return how layers lie on the ranks, as JSON values; None where all are whole."""
        return layout_of(self._opened, self._inputs.peers, list(self._masks))

    @whole
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """
        Take up a saved session; nothing is changed unless all of it fits.

        Raises
        ------
        StateError
            If the state is of another version, or of other layers, shapes or rules; the
            message names the first difference.
        """
        self._load(lambda: State.from_json(state, layout=self._layout()))

    def _load(self, read: Callable[[], State]) -> None:
        with agreed(self._inputs.peers) as peers:
            keeper = self._open_keeper()
            saved = read()
            plans = resumed(saved, self._plans, self._opened, self._masks, peers)
        keeper.update(saved.masks, clear=False)
        self._plans = plans
        self._masks = dict(saved.masks)
        self._time, self._clock = saved.time, saved.clock
        self._log = [Update(step, sparsity) for step, sparsity in saved.log]
        self._history = list(saved.history)
        self.skipped = dict(saved.skipped)

    @whole
    def finish(self) -> Any:
        """Set the zeros a last time, take every hook off, and return the ordinary model."""
        keeper = self._open_keeper()
        try:
            keeper.apply()
        finally:
            keeper.close()
            self._keeper = None
        return self._inputs.model

    def _open_keeper(self) -> Keeper:
        if self._keeper is None:
            raise StateError("this session is finished; attach a new one to prune on")
        return self._keeper

    def _advance(self, time: int) -> None:
        """Do what is due after the last time up to `time`, which counts only if that succeeded."""
        steps = range(self._time + 1, time + 1)
        if not any(plan.due(steps) for plan in self._plans):
            self.take(time, None)
            return
        with agreed(self._inputs.peers) as peers:
            selection = due_masks(
                self._opened, self._plans, steps, self._masks, self.skipped, self._inputs, peers
            )
        self.take(time, selection)

    def take(self, time: int, selection: Selection | None) -> None:
        """Make `time` now, and put the masks computed for it in force."""
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
