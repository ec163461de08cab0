"""Wanda: magnitude times the norm of what comes in, within each output."""

from collections.abc import Iterable

import pruners


@pruners.hookimpl
def provide_pruners() -> Iterable[pruners.PrunerSpec]:
    """Offer the pruner ``wanda``."""
    yield pruners.PrunerSpec(
        name="wanda",
        api=1,
        factory="pruners_wanda._wanda:Wanda",
        summary="scores a weight by its magnitude times the norm of its input",
        paper="Sun et al., ICLR 2024, arXiv:2306.11695",
        needs="inputs",
    )
