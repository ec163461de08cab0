"""Remove the filters nearest to all others: the most replaceable."""

from collections.abc import Iterable

import pruners


@pruners.hookimpl
def provide_pruners() -> Iterable[pruners.PrunerSpec]:
    """Offer the pruner ``fpgm``."""
    yield pruners.PrunerSpec(
        name="fpgm",
        api=1,
        factory="pruners_fpgm._fpgm:FPGM",
        summary="removes the filters nearest to all others",
        paper="He et al., CVPR 2019, arXiv:1811.00250",
    )
