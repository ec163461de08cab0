"""A ramp that removes the same share of the remaining weights at every update."""

from collections.abc import Iterable

import pruners


@pruners.hookimpl
def provide_schedulers() -> Iterable[pruners.SchedulerSpec]:
    """Offer the schedule ``exponential``."""
    yield pruners.SchedulerSpec(
        name="exponential",
        api=1,
        factory="pruners_exponential._exponential:Exponential",
        summary="the same share of what is left at every update",
        paper="Tanaka et al., NeurIPS 2020, arXiv:2006.05467",
    )
