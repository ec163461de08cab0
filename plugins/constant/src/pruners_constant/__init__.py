"""One-shot pruning: the whole sparsity at one step."""

from collections.abc import Iterable

import pruners


@pruners.hookimpl
def provide_schedulers() -> Iterable[pruners.SchedulerSpec]:
    """Offer the schedule ``constant``, also under the name ``one-shot``."""
    for name in ("constant", "one-shot"):
        yield pruners.SchedulerSpec(
            name=name,
            api=1,
            factory="pruners_constant._constant:Constant",
            summary="everything at one step, nothing after it",
            paper="Frankle & Carbin, ICLR 2019, arXiv:1803.03635",
        )
