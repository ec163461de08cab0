"""Remove the channels whose activations are most often zero."""

from collections.abc import Iterable

import pruners


@pruners.hookimpl
def provide_pruners() -> Iterable[pruners.PrunerSpec]:
    """Offer the pruner ``apoz``."""
    yield pruners.PrunerSpec(
        name="apoz",
        api=1,
        factory="pruners_apoz._apoz:APoZ",
        summary="removes the channels whose activations are most often zero",
        paper="Hu et al., 2016, arXiv:1607.03250",
        needs={"activated"},
    )
