"""Remove random weights: the baseline, reproducible from a seed."""

from collections.abc import Iterable

import pruners


@pruners.hookimpl
def provide_pruners() -> Iterable[pruners.PrunerSpec]:
    """Offer the pruner ``random``."""
    yield pruners.PrunerSpec(
        name="random",
        api=1,
        factory="pruners_random._random:Random",
        summary="removes random weights or channels, the same ones for the same seed and name",
        paper="Liu et al., ICLR 2022, arXiv:2202.02643",
    )
