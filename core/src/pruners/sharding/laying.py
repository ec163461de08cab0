"""A pattern, or scope "output", on a layer in pieces: cut where it allows it, laid, and put back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..errors import RuleError
from ..protocols import Divides, Pattern
from ..selection.ranking import Ranking
from .moving import by_rows, moved, moved_ranking

Laid = Callable[[Ranking], np.ndarray]


def on_rows(ranking: Ranking, multiple: int, lay: Laid) -> np.ndarray:
    """Return the mask of this rank's piece, laid on pieces of whole rows."""
    now = ranking.among
    if now is None or not now.shape:
        return lay(ranking)
    then = by_rows(now, multiple)
    return moved(lay(moved_ranking(ranking, then)), then, now)


def rows_of(pattern: Pattern, ranking: Ranking) -> int:
    """Return the multiple of rows at which a pattern lets a layer be cut, or raise why it does not."""
    who = f"pattern {type(pattern).__name__!r}, layer {ranking.name!r}"
    if not isinstance(pattern, Divides):
        raise RuleError(
            f"{who}: the layer lies in pieces on several ranks, and the pattern does not say where it may be "
            "cut; give it a method rows(shape), or compute the masks before the model is sharded"
        )
    multiple = pattern.rows(ranking.whole_shape)
    if multiple is None:
        raise RuleError(
            f"{who}: the layer lies in pieces on several ranks, and this pattern needs it whole; leave the "
            "pattern out, or compute the masks before the model is sharded"
        )
    if isinstance(multiple, bool) or not isinstance(multiple, (int, np.integer)) or multiple < 1:
        raise RuleError(
            f"{who}: rows({ranking.whole_shape}) is {multiple!r}; give an integer from 1, or None"
        )
    return int(multiple)
