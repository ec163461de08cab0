"""The demo's page: the pruned network measured beside the dense one, its zeros, and what it could lose."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pruners

from .training import BATCH, Digits, Run, accuracy

SPARSITIES = (0.5, 0.7, 0.8, 0.9, 0.95)


def write_page(dense: Run, pruned: Run, data: Digits, path: Path) -> None:
    """Write the report of one pair of networks."""
    assert pruned.pruning is not None
    judge = partial(accuracy, data=data)
    pruners.page(
        pruned.pruning,
        path,
        measurement=pruners.measure(
            {"dense": dense.model, "masked": pruned.model}, data.test_images[:BATCH], evaluate=judge
        ),
        sensitivities=pruners.sensitivity(dense.model, judge, sparsities=SPARSITIES),
        title="Handwritten digits, 90 % zeros",
    )
