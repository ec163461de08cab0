"""Remove the channels with the smallest batch-norm scale: network slimming."""

from collections.abc import Iterable

import pruners

from ._penalty import penalty

__all__ = ["penalty"]


@pruners.hookimpl
def provide_pruners() -> Iterable[pruners.PrunerSpec]:
    """Offer the pruner ``bn-scale``."""
    yield pruners.PrunerSpec(
        name="bn-scale",
        api=1,
        factory="pruners_bn_scale._bn_scale:BatchNormScale",
        summary="removes the channels with the smallest batch-norm scale",
        paper="Liu et al., ICCV 2017, arXiv:1708.06519",
        needs={"scales"},
    )
