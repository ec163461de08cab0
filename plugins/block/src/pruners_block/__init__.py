"""Remove whole blocks of weights."""

from collections.abc import Iterable

import pruners


@pruners.hookimpl
def provide_patterns() -> Iterable[pruners.PatternSpec]:
    """Offer the pattern ``block``."""
    yield pruners.PatternSpec(
        name="block",
        api=1,
        factory="pruners_block._block:Block",
        summary="removes whole blocks of weights",
        paper="Narang et al., 2017, arXiv:1711.02782",
    )
