"""Remove the weights with the smallest absolute value."""

from collections.abc import Iterable

import pruners


@pruners.hookimpl
def provide_pruners() -> Iterable[pruners.PrunerSpec]:
    """Offer the pruner ``level``."""
    yield pruners.PrunerSpec(
        name="level",
        api=1,
        factory="pruners_level._level:Level",
        summary="removes the weights with the smallest absolute value",
        paper="Han et al., NIPS 2015, arXiv:1506.02626",
    )
