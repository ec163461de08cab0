"""Sparsity that rises along half a cosine: slow, fast, slow."""

from collections.abc import Iterable

import pruners


@pruners.hookimpl
def provide_schedulers() -> Iterable[pruners.SchedulerSpec]:
    """Offer the schedule ``cosine``."""
    yield pruners.SchedulerSpec(
        name="cosine",
        api=1,
        factory="pruners_cosine._cosine:Cosine",
        summary="rises along half a cosine: slow, fast, slow",
        paper="Loshchilov and Hutter, ICLR 2017, arXiv:1608.03983",
    )
