"""Pruning as a callback of Hugging Face's Trainer: ``pip install 'pruners-torch[transformers]'``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

import pruners

from ._resuming import resumed

FILE = "pruning.json"


class PruningCallback(TrainerCallback):
    """
    Prune while a `transformers.Trainer` trains.

    Parameters
    ----------
    rules : optional
        As for `pruners.attach`.
    per : {"step", "epoch"}, default "step"
        What schedules count: optimizer steps, or epochs from 0.
    resume_from : path, optional
        Folder of the checkpoint whose session is taken up; else ``output_dir/checkpoint-STEP``.
    **options
        Everything else that `pruners.attach` takes: ``keep``, ``restore``, ``mask_gradients``,
        ``data``, ``loss``, ``example_inputs``.

    Raises
    ------
    pruners.OptionError
        If `per` is neither "step" nor "epoch".
    pruners.StateError
        In use: if training resumes and the checkpoint holds no session.

    Notes
    -----
    `pruning` is the session, until training ends. Accumulated batches count once. Every
    checkpoint gets a file ``pruning.json``, from which a run resumes.

    Examples
    --------
    >>> from pruners_torch.transformers import PruningCallback
    >>> callback = PruningCallback(pruners.Rule("*", sparsity=0.9))

    Then ``Trainer(model, arguments, callbacks=[callback], ...)`` and ``trainer.train()`` as ever.
    """

    def __init__(
        self, rules: Any = None, *, per: str = "step", resume_from: str | Path | None = None, **options: Any
    ) -> None:
        if per not in ("step", "epoch"):
            raise pruners.OptionError(f"per must be 'step' or 'epoch', got {per!r}")
        self.pruning: pruners.Pruning | None = None
        self._rules, self._per, self._resume_from, self._options = rules, per, resume_from, options

    def on_train_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Start the session, or take up the one of the checkpoint that training resumes from."""
        saved = self._read(_folder(args, state)) if state.global_step else {}
        optimizer = getattr(others["optimizer"], "optimizer", others["optimizer"])  # under accelerate's own
        self.pruning = resumed(others["model"], saved, self._rules, optimizer, self._options)

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Tell the session which epoch begins, if it counts these."""
        if self._per == "epoch" and self.pruning is not None:
            self.pruning.epoch(round(state.epoch or 0))

    def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Go on by one step."""
        if self.pruning is not None:
            self.pruning.step()

    def on_save(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Put the session into the checkpoint."""
        if self.pruning is not None and state.is_world_process_zero:
            text = json.dumps(self.pruning.state_dict())
            (_folder(args, state) / FILE).write_text(text, encoding="utf-8")

    def on_train_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Set the zeros a last time and take every hook off."""
        if self.pruning is not None:
            self.pruning.finish()

    def _read(self, folder: Path) -> dict[str, Any]:
        path = Path(self._resume_from or folder) / FILE
        if not path.is_file():
            raise pruners.StateError(
                f"training resumes, but there is no session in {path}; pass resume_from=FOLDER"
            )
        return dict(json.loads(path.read_text(encoding="utf-8")))


def _folder(args: Any, state: Any) -> Path:
    return Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
