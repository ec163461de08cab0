"""A straight ramp of sparsity over training."""

from collections.abc import Iterable

import pruners


@pruners.hookimpl
def provide_schedulers() -> Iterable[pruners.SchedulerSpec]:
    """Offer the schedule ``linear``."""
    yield pruners.SchedulerSpec(
        name="linear",
        api=1,
        factory="pruners_linear._linear:Linear",
        summary="a straight ramp: the same number of weights at every update",
    )
