"""The pruning schedules of Paddle's parameter hooks: dynamic and static."""

from collections.abc import Iterable

import pruners


@pruners.hookimpl
def provide_schedulers() -> Iterable[pruners.SchedulerSpec]:
    """Offer the schedules ``paddle`` and ``paddle-static``."""
    yield pruners.SchedulerSpec(
        name="paddle",
        api=1,
        factory="pruners_paddle._paddle:Paddle",
        summary="a logarithmic ramp over passes, as Paddle's hook 'dynamic_pruning'",
        paper="Han et al., NIPS 2015, arXiv:1506.02626",
    )
    yield pruners.SchedulerSpec(
        name="paddle-static",
        api=1,
        factory="pruners_paddle._paddle:PaddleStatic",
        summary="everything before training, as Paddle's hook 'pruning'",
        paper="Han et al., NIPS 2015, arXiv:1506.02626",
    )
