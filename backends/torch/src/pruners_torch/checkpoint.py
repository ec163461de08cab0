"""Sessions in checkpoints of `torch.distributed.checkpoint`: saved on some ranks, resumed on others."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from torch import nn

from pruners import Pruning, StateError

from ._backend import TorchBackend, TorchModel
from ._pieces import assembled, local


class PruningState:
    """
    A session as `torch.distributed.checkpoint` saves and loads it, on any number of ranks.

    Masks are stored as the parameters are, each rank its pieces, and cut anew where a model lies on its
    ranks in another way than the one that was saved. The rest of the session is one text of JSON.

    Parameters
    ----------
    pruning : pruners.Pruning
        The session; begun with the rules of the saved one where a checkpoint is loaded.
    model : torch.nn.Module
        The model it was attached to, wrapped or not.

    Notes
    -----
    Every rank calls `torch.distributed.checkpoint.save` and ``load``. Load the model's and the optimizer's
    own state in the same call: together they go on bit for bit where the checkpoint was written.

    `torch.distributed.checkpoint` itself reads its files with pickle: load none that you do not trust.

    Examples
    --------
    >>> import torch, pruners
    >>> from pruners_torch.checkpoint import PruningState
    >>> model = torch.nn.Linear(4, 2)
    >>> pruning = pruners.attach(model, pruners.Rule(sparsity=0.5))
    >>> state = PruningState(pruning, model)
    >>> sorted(state.state_dict())
    ['masks', 'session']

    Then ``checkpoint.save({"pruning": state, ...}, checkpoint_id=folder)``, and to resume
    ``checkpoint.load`` with the same arguments.
    """

    def __init__(self, pruning: Pruning, model: nn.Module) -> None:
        self._pruning, self._model = pruning, model

    def state_dict(self) -> dict[str, Any]:
        """Return the masks as tensors, in pieces where the parameters are, and the rest as text."""
        held = self._opened()
        rest, masks = self._pruning.state_parts()
        tensors = {
            name: assembled(held.native(name, mask), held.parameters[name].parameter)
            for name, mask in masks.items()
        }
        return {"masks": tensors, "session": json.dumps(rest)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """
        Take up a saved session; nothing is changed unless all of it fits.

        Raises
        ------
        pruners.StateError
            As `pruners.Pruning.load_state_dict` does.
        """
        held = self._opened()
        try:
            rest = json.loads(state_dict["session"])
            masks = {name: self._piece(held, name, mask) for name, mask in state_dict["masks"].items()}
        except (KeyError, TypeError, ValueError) as error:
            raise StateError(f"the state is damaged: {type(error).__name__}: {error}") from error
        self._pruning.load_state_parts(rest, masks)

    def _opened(self) -> TorchModel:
        return TorchBackend().open(self._model)

    def _piece(self, held: TorchModel, name: str, mask: Any) -> np.ndarray:
        if name not in held.parameters:
            raise StateError(f"the state has layer {name!r}, which the model has not")
        return held.host(held.parameters[name].canonical(local(mask)))
