"""SNIP: prune before training, by how much the loss feels each connection."""

from collections.abc import Iterable

import pruners


@pruners.hookimpl
def provide_pruners() -> Iterable[pruners.PrunerSpec]:
    """Offer the pruner ``snip``."""
    yield pruners.PrunerSpec(
        name="snip",
        api=1,
        factory="pruners_snip._snip:Snip",
        summary="scores a weight by weight times gradient, at initialisation",
        paper="Lee et al., ICLR 2019, arXiv:1810.02340",
        needs="gradients",
    )
