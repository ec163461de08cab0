"""Exactly so many pruned in every output of a layer: what scope "output" does."""

from __future__ import annotations

import attrs
import numpy as np

from .groups import fill_groups
from .kernel import select
from .ranking import Ranking
from .rounding import RoundingRule


def output_masks(ranking: Ranking, sparsity: float, rule: RoundingRule) -> np.ndarray:
    """Return the mask of one layer, or of this rank's piece, as `output_mask` does."""
    if ranking.among is None:
        return output_mask(ranking, sparsity, rule)
    from ..sharding.laying import on_rows

    return on_rows(ranking, 1, lambda moved: output_mask(attrs.evolve(moved, among=None), sparsity, rule))


def output_mask(ranking: Ranking, sparsity: float, rule: RoundingRule) -> np.ndarray:
    """
    Return the mask of one layer in which the weights of each output compete among themselves.

    A row is the weights ``(in, *kernel)`` of one output, and the rule rounds once per row. What is
    not alive stays pruned and counts in its row. A layer of one axis has one weight per output.
    """
    rows = ranking.shape[0] if ranking.shape else 1
    k, ties = rule(ranking.size // max(rows, 1), sparsity)
    if ties == "lower" and ranking.shape:
        return _equal_counts(ranking, k)
    select([ranking], 0)  # reads every score, so that a NaN is named by its place in the layer
    mask = np.ones(ranking.shape, np.bool_)
    for index in np.ndindex(ranking.shape[:1]):
        alive = None if ranking.alive is None else ranking.alive[index]
        row = Ranking(ranking.name, ranking.scores[index], ranking.magnitude, alive, ranking.scale)
        mask[index] = select([row], k, ties)[0] if k > row.pruned() else _alive(row)
    return mask


def _alive(ranking: Ranking) -> np.ndarray:
    return np.ones(ranking.shape, np.bool_) if ranking.alive is None else ranking.alive


def _equal_counts(ranking: Ranking, k: int) -> np.ndarray:
    """Return the mask that keeps all but `k` of every row, of equals those of the highest index."""
    mask = np.empty_like(ranking.scores, np.bool_, subok=False)
    row = ranking.size // max(ranking.shape[0], 1)
    fill_groups(ranking, mask, lambda array: array, row - k, group_axes=len(ranking.shape) - 1)
    if ranking.alive is not None:  # a row that has lost more than k keeps what it has left
        np.logical_and(mask, ranking.alive, out=mask)
    return mask
