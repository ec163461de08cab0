"""The demos' pages: the pruned network measured beside the dense one, and how it came to be."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pruners

from .channels.training import Run as ChannelRun
from .training import BATCH, Digits, Run, accuracy

SPARSITIES = (0.5, 0.7, 0.8, 0.9, 0.95)


def write_page(dense: Run, pruned: Run, data: Digits, path: Path) -> None:
    """Write the report of one pair of networks, dense and with zeros."""
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


def write_channels_page(dense: ChannelRun, pruned: ChannelRun, data: Digits, path: Path) -> None:
    """Write the report of one pair of networks, dense and with channels removed."""
    assert pruned.cut is not None
    networks = {"dense": dense.model, "removed": pruned.model}
    pruners.page(
        pruned.model,
        path,
        removal=pruned.cut.removal,
        measurement=pruners.measure(
            networks, data.test_images[:BATCH], evaluate=partial(accuracy, data=data)
        ),
        title="Handwritten digits, half of the channels",
    )
