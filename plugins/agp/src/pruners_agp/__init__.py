"""Automated gradual pruning: a cubic ramp of sparsity over training."""

from collections.abc import Iterable

import pruners


@pruners.hookimpl
def provide_schedulers() -> Iterable[pruners.SchedulerSpec]:
    """Offer the schedule ``agp``."""
    yield pruners.SchedulerSpec(
        name="agp",
        api=1,
        factory="pruners_agp._agp:AGP",
        summary="a cubic ramp: fast while weights are plentiful, slow at the end",
        paper="Zhu & Gupta, 2017, arXiv:1710.01878",
    )
