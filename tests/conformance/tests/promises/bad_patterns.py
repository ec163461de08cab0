"""For each promise of a pattern, one that breaks it and no other."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import pruners

from .good import Cuttable, Fours


class Undocumented(Fours):
    """Prune the same number of every four consecutive inputs."""


class Striding(Fours):
    __doc__ = Fours.__doc__

    def mask(self, ranking: Any, sparsity: float) -> np.ndarray:
        back = super().mask(
            pruners.selection.ranking.Ranking(ranking.name, _stride(ranking.values())), sparsity
        )
        return _unstride(back)

    def check(self, mask: np.ndarray) -> None:
        super().check(_stride(mask))


def _stride(array: np.ndarray) -> np.ndarray:
    if array.ndim < 2:
        return array
    order = np.argsort(np.arange(array.shape[1]) % 2, kind="stable")
    return array[:, order]


def _unstride(array: np.ndarray) -> np.ndarray:
    order = np.argsort(np.argsort(np.arange(array.shape[1]) % 2, kind="stable"), kind="stable")
    return array[:, order]


class Numbers(Fours):
    __doc__ = Fours.__doc__

    def mask(self, ranking: Any, sparsity: float) -> np.ndarray:
        return super().mask(ranking, sparsity).astype(np.int8)


class Strict(Fours):
    __doc__ = Fours.__doc__

    def check(self, mask: np.ndarray) -> None:
        super().check(mask)
        if (~mask).sum() * 4 == mask.size:
            raise pruners.PatternError("one of four is too little")


class Lenient(Fours):
    __doc__ = Fours.__doc__

    def check(self, mask: np.ndarray) -> None:
        if (~mask).sum() % 2 == 0:
            super().check(mask)


class AllOrNothing(Fours):
    __doc__ = Fours.__doc__

    def mask(self, ranking: Any, sparsity: float) -> np.ndarray:
        mask = super().mask(ranking, sparsity)
        values = ranking.values()
        return np.zeros_like(mask) if values.min() == values.max() else mask


class AtLeastOne(Fours):
    __doc__ = Fours.__doc__

    def count(self, sparsity: float) -> int:
        return max(1, super().count(sparsity))


class Forgetful(Fours):
    __doc__ = Fours.__doc__

    def mask(self, ranking: Any, sparsity: float) -> np.ndarray:
        scores = np.abs(ranking.scores)
        return super().mask(pruners.selection.ranking.Ranking(ranking.name, scores), sparsity)


class HalvesReversed(Fours):
    __doc__ = Fours.__doc__

    def mask(self, ranking: Any, sparsity: float) -> np.ndarray:
        if ranking.scores.dtype.itemsize == 2:
            ranking = pruners.selection.ranking.Ranking(ranking.name, -ranking.values())
        return super().mask(ranking, sparsity)


class AsInMemory(Fours):
    __doc__ = Fours.__doc__

    def mask(self, ranking: Any, sparsity: float) -> np.ndarray:
        if ranking.alive is None:
            scores = np.abs(ranking.scores).ravel("K").reshape(ranking.shape)
            ranking = pruners.selection.ranking.Ranking(ranking.name, scores)
        return super().mask(ranking, sparsity)


class ByPosition(Fours):
    __doc__ = Fours.__doc__

    def mask(self, ranking: Any, sparsity: float) -> np.ndarray:
        if ranking.shape and ranking.shape[0] > 1:
            scores = np.arange(ranking.size, dtype=np.float32).reshape(ranking.shape)
            ranking = pruners.selection.ranking.Ranking(ranking.name, scores)
        return super().mask(ranking, sparsity)


class Relenting(Fours):
    __doc__ = Fours.__doc__

    def count(self, sparsity: float) -> int:
        return 1 if sparsity > 0.7 else super().count(sparsity)


class Wordless(Fours):
    __doc__ = Fours.__doc__

    def fours(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(shape) < 2 or shape[1] % 4 or not math.prod(shape):
            raise pruners.SkipLayer
        return super().fours(shape)


class Parity(Cuttable):
    __doc__ = Cuttable.__doc__

    def mask(self, ranking: Any, sparsity: float) -> np.ndarray:
        grouped = ranking.values().reshape(self.fours(ranking.shape))
        if ranking.shape[0] % 2 == 0:
            return super().mask(ranking, sparsity)
        last = np.argsort(np.argsort(grouped[:, :, ::-1], axis=2, kind="stable"), axis=2, kind="stable")
        return (last[:, :, ::-1] >= self.count(sparsity)).reshape(ranking.shape)


BAD = {
    "check_the_docstring_is_complete": Undocumented,
    "check_worked_examples": Striding,
    "check_masks_fit_their_layer": Numbers,
    "check_own_masks_are_accepted": Strict,
    "check_broken_masks_are_rejected": Lenient,
    "check_equal_scores_change_no_count": AllOrNothing,
    "check_sparsity_zero_keeps_everything": AtLeastOne,
    "check_pruned_places_stay_pruned": Forgetful,
    "check_every_precision_gives_the_same_mask": HalvesReversed,
    "check_memory_layout_does_not_matter": AsInMemory,
    "check_the_larger_scores_are_kept": ByPosition,
    "check_the_asked_sparsity_is_reached": Relenting,
    "check_every_layer_is_masked_or_skipped_with_a_reason": Wordless,
    "check_layers_can_be_cut_where_it_says": Parity,
}
