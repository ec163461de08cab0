"""Remove the filters with the smallest norm."""

from collections.abc import Iterable

import pruners


@pruners.hookimpl
def provide_pruners() -> Iterable[pruners.PrunerSpec]:
    """Offer the pruner ``filter-norm``."""
    yield pruners.PrunerSpec(
        name="filter-norm",
        api=1,
        factory="pruners_filter_norm._filter_norm:FilterNorm",
        summary="removes the filters with the smallest L1, L2 or other norm",
        paper="Li et al., ICLR 2017, arXiv:1608.08710",
    )
