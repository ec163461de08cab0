"""LAMP: magnitudes that layers of any size can be compared by."""

from collections.abc import Iterable

import pruners


@pruners.hookimpl
def provide_pruners() -> Iterable[pruners.PrunerSpec]:
    """Offer the pruner ``lamp``."""
    yield pruners.PrunerSpec(
        name="lamp",
        api=1,
        factory="pruners_lamp._lamp:Lamp",
        summary="scores a weight by its share of what is left in its layer",
        paper="Lee et al., ICLR 2021, arXiv:2010.07611",
    )
