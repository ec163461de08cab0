"""Square tiles of outputs by inputs, kept or removed whole."""

from collections.abc import Iterable

import pruners


@pruners.hookimpl
def provide_patterns() -> Iterable[pruners.PatternSpec]:
    """Offer the pattern ``tile``."""
    yield pruners.PatternSpec(
        name="tile",
        api=1,
        factory="pruners_tile._tile:Tile",
        summary="keeps square tiles of outputs by inputs",
        paper="Mao et al., CVPR Workshops 2017, arXiv:1705.08922",
    )
