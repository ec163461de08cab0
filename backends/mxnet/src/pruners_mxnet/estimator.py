"""Pruning as an event handler of Gluon's Estimator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mxnet.gluon.contrib.estimator.event_handler import BatchEnd, EpochBegin, TrainBegin, TrainEnd

import pruners


class PruningHandler(TrainBegin, EpochBegin, BatchEnd, TrainEnd):
    """
    Prune while an `mxnet.gluon.contrib.estimator.Estimator` fits.

    Parameters
    ----------
    rules : optional
        As for `pruners.attach`.
    per : {"step", "epoch"}, default "step"
        What schedules count: batches, or epochs from 0.
    state : mapping, optional
        What `state_dict` of another handler returned: its session is taken up.
    priority : float, default 0.0
        When it runs at the end of a batch: after the Trainer's step, which has -2000.
    **options
        Everything else that `pruners.attach` takes: ``keep``, ``restore``, ``mask_gradients``,
        ``data``, ``loss``, ``example_inputs``.

    Raises
    ------
    pruners.OptionError
        If `per` is neither "step" nor "epoch".

    Notes
    -----
    A net whose parameters have no shape yet needs ``example_inputs``: the session starts before a batch ran.
    `pruning` is the session; it is finished when training ends.

    Examples
    --------
    >>> from pruners_mxnet.estimator import PruningHandler
    >>> schedule = pruners.schedule("agp", start=0, stop=100, every=10)
    >>> handler = PruningHandler(pruners.Rule("*", sparsity=0.9, schedule=schedule))

    Then ``estimator.fit(data, epochs=10, event_handlers=[handler])`` as ever.
    """

    def __init__(
        self,
        rules: Any = None,
        *,
        per: str = "step",
        state: Mapping[str, Any] | None = None,
        priority: float = 0.0,
        **options: Any,
    ) -> None:
        if per not in ("step", "epoch"):
            raise pruners.OptionError(f"per must be 'step' or 'epoch', got {per!r}")
        self.priority = priority
        self.pruning: pruners.Pruning | None = None
        self._rules, self._per, self._options = rules, per, options
        self._state, self._epoch = dict(state or {}), 0

    def train_begin(self, estimator: Any, *arguments: Any, **named: Any) -> None:
        """Start the session, or take up the one of `state`; the net's own weights stay as they are."""
        own = [each for each in estimator.net.collect_params().values() if each._data is not None]
        values = [each.data().copy() for each in own] if self._state else []
        self.pruning = pruners.attach(estimator.net, self._rules, estimator.trainer, **self._options)
        if self._state:
            for parameter, value in zip(own, values, strict=True):
                parameter.set_data(value)
            self.pruning.load_state_dict(self._state)
            self._epoch = self.pruning.time + 1 if self._per == "epoch" else 0
        self._state = {}

    def epoch_begin(self, estimator: Any, *arguments: Any, **named: Any) -> None:
        """Tell the session which epoch begins, if it counts these."""
        if self._per == "epoch" and self.pruning is not None:
            self.pruning.epoch(self._epoch)
            self._epoch += 1

    def batch_end(self, estimator: Any, *arguments: Any, **named: Any) -> bool:
        """Go on by one step; never ask to stop."""
        if self.pruning is not None:
            self.pruning.step()
        return False

    def train_end(self, estimator: Any, *arguments: Any, **named: Any) -> None:
        """Set the zeros a last time and take every hook off."""
        if self.pruning is not None:
            self._state = self.pruning.state_dict()
            self.pruning.finish()

    def state_dict(self) -> dict[str, Any]:
        """Return the session as plain values, for `state` of a later handler."""
        return self._state or ({} if self.pruning is None else self.pruning.state_dict())
