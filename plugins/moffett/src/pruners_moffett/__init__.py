"""The pruning schedule of Moffett's tools: wait, then a cubic ramp."""

from collections.abc import Iterable

import pruners


@pruners.hookimpl
def provide_schedulers() -> Iterable[pruners.SchedulerSpec]:
    """Offer the schedule ``moffett``."""
    yield pruners.SchedulerSpec(
        name="moffett",
        api=1,
        factory="pruners_moffett._moffett:Moffett",
        summary="waits, then a cubic ramp with updates at equal intervals, end included",
        paper="Zhu & Gupta, 2017, arXiv:1710.01878",
    )
