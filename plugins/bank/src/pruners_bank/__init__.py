"""Keep the same number of weights in every bank of inputs."""

from collections.abc import Iterable

import pruners


@pruners.hookimpl
def provide_patterns() -> Iterable[pruners.PatternSpec]:
    """Offer the pattern ``bank``."""
    yield pruners.PatternSpec(
        name="bank",
        api=1,
        factory="pruners_bank._bank:Bank",
        summary="keeps the same number of weights in every bank of inputs",
        paper="Cao et al., FPGA 2019, doi:10.1145/3289602.3293898",
    )
