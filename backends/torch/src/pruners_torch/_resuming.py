"""Sessions that training frameworks start, anew or from a checkpoint."""

from __future__ import annotations

from typing import Any

import pruners


def resumed(
    model: Any, saved: dict[str, Any], rules: Any, optimizers: Any, options: dict[str, Any]
) -> pruners.Pruning:
    """Return a session on a model, new or as it was saved; a resumed model's weights stay as they are."""
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()} if saved else {}
    pruning = pruners.attach(model, rules, optimizers, **options)
    if saved:
        model.load_state_dict(before)
        pruning.load_state_dict(saved)
    return pruning
