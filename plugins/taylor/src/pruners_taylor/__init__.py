"""Remove the channels that the loss misses least, to first order."""

from collections.abc import Iterable

import pruners


@pruners.hookimpl
def provide_pruners() -> Iterable[pruners.PrunerSpec]:
    """Offer the pruner ``taylor``."""
    yield pruners.PrunerSpec(
        name="taylor",
        api=1,
        factory="pruners_taylor._taylor:Taylor",
        summary="removes the channels that the loss misses least, to first order",
        paper="Molchanov et al., ICLR 2017 and CVPR 2019, arXiv:1611.06440, arXiv:1906.10771",
        needs={"activations", "gradients"},
    )
