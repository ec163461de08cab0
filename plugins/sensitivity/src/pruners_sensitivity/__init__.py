"""Remove the weights below q standard deviations of their layer."""

from collections.abc import Iterable

import pruners


@pruners.hookimpl
def provide_pruners() -> Iterable[pruners.PrunerSpec]:
    """Offer the pruner ``sensitivity``."""
    yield pruners.PrunerSpec(
        name="sensitivity",
        api=1,
        factory="pruners_sensitivity._sensitivity:Sensitivity",
        summary="removes the weights below q standard deviations of their layer",
        paper="Han et al., NIPS 2015, arXiv:1506.02626",
    )
