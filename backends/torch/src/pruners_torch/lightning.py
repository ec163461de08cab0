"""Pruning as a callback of Lightning: ``pip install 'pruners-torch[lightning]'``."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

import pruners

from ._resuming import resumed


class PruningCallback(Callback):
    """
    Prune while a `lightning.pytorch.Trainer` trains.

    Parameters
    ----------
    rules : optional
        As for `pruners.attach`.
    per : {"step", "epoch"}, default "step"
        What schedules count: optimizer steps, or epochs from 0.
    **options
        Everything else that `pruners.attach` takes: ``keep``, ``restore``, ``mask_gradients``,
        ``data``, ``loss``, ``example_inputs``.

    Attributes
    ----------
    pruning : pruners.Pruning or None
        The session, from the beginning of training on; it is finished when training ends.

    Raises
    ------
    pruners.OptionError
        If `per` is neither "step" nor "epoch".

    Notes
    -----
    Steps are the Trainer's ``global_step``, so accumulated batches count once. The session is part of every
    checkpoint and comes back from it, bit for bit.

    Examples
    --------
    >>> from pruners_torch.lightning import PruningCallback
    >>> schedule = pruners.schedule("agp", start=0, stop=100, every=10)
    >>> callback = PruningCallback(pruners.Rule("*", sparsity=0.9, schedule=schedule))

    Then ``Trainer(callbacks=[callback])`` and ``trainer.fit(model, data)`` as ever.
    """

    def __init__(self, rules: Any = None, *, per: str = "step", **options: Any) -> None:
        if per not in ("step", "epoch"):
            raise pruners.OptionError(f"per must be 'step' or 'epoch', got {per!r}")
        self.pruning: pruners.Pruning | None = None
        self._rules, self._per, self._options = rules, per, options
        self._saved: dict[str, Any] = {}
        self._step = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the session, or take up the one of the checkpoint."""
        self.pruning = resumed(pl_module, self._saved, self._rules, trainer.optimizers, self._options)
        self._saved, self._step = {}, trainer.global_step

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Tell the session which epoch begins, if it counts these."""
        if self._per == "epoch" and self.pruning is not None:
            self.pruning.epoch(trainer.current_epoch)

    def on_train_batch_end(self, trainer: Trainer, *arguments: Any, **named: Any) -> None:
        """Go on by one step, if the optimizer has stepped."""
        if self.pruning is not None and trainer.global_step != self._step:
            self._step = trainer.global_step
            self.pruning.step()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set the zeros a last time and take every hook off."""
        if self.pruning is not None:
            self._saved = self.pruning.state_dict()
            self.pruning.finish()

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint holds of the session."""
        return self._saved or ({} if self.pruning is None else self.pruning.state_dict())

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep a checkpoint's session until training starts."""
        self._saved = dict(state_dict)
