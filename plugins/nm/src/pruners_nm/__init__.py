"""Keep N of every M neighbouring weights, as sparse tensor cores need."""

from collections.abc import Iterable

import pruners


@pruners.hookimpl
def provide_patterns() -> Iterable[pruners.PatternSpec]:
    """Offer the pattern ``nm``."""
    yield pruners.PatternSpec(
        name="nm",
        api=1,
        factory="pruners_nm._nm:NM",
        summary="keeps N of every M neighbouring inputs (2:4 by default)",
        paper="Mishra et al., 2021, arXiv:2104.08378",
    )
