"""Remove the channels without which the next layer changes least, and repair it."""

from collections.abc import Iterable

import pruners


@pruners.hookimpl
def provide_pruners() -> Iterable[pruners.PrunerSpec]:
    """Offer the pruner ``thinet``."""
    yield pruners.PrunerSpec(
        name="thinet",
        api=1,
        factory="pruners_thinet._thinet:ThiNet",
        summary="removes the channels the next layer misses least, and repairs it",
        paper="Luo et al., ICCV 2017, arXiv:1707.06342",
        needs={"consumers"},
    )
