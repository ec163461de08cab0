"""Exactly so many kept in every group of neighbours along one axis: N:M and bank patterns."""

from __future__ import annotations

import numpy as np

from ..errors import OptionError
from .keys import form_of
from .ranking import Ranking


def keep_per_group(ranking: Ranking, size: int, keep: int, axis: int = 1) -> np.ndarray:
    """Return the mask that keeps the `keep` highest-ranked of every `size` neighbours along `axis`."""
    if ranking.shape[axis] % size:
        raise OptionError(f"axis {axis} of '{ranking.name}' has {ranking.shape[axis]} entries, no multiple of {size}")
    keys = np.moveaxis(ranking.keys(form=form_of([ranking])).reshape(ranking.shape), axis, -1)
    rows = np.ascontiguousarray(keys).reshape(-1, size)
    order = np.argsort(rows, axis=1, kind="stable")
    mask = np.ones(rows.shape, np.bool_)
    np.put_along_axis(mask, order[:, : size - keep], False, axis=1)
    return np.moveaxis(mask.reshape(keys.shape), -1, axis)
