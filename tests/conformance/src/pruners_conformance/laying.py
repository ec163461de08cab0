"""Lay patterns on scores, and try masks that a pattern should refuse."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np

import pruners
from pruners.selection.ranking import Ranking

from . import drawing
from .subject import PatternCase

PLACES = ((2, 4), (1, 8), (8, 8), (4, 64), (3, 70), (16, 128), (8, 64, 1, 1), (4, 64, 3, 3))
"""Shapes that most patterns can be laid on; a pattern must lie on one of them at least."""
SPARSITIES = (0.25, 0.5, 0.75, 0.9)


def lay(pattern: Any, scores: np.ndarray, sparsity: float, alive: np.ndarray | None = None) -> np.ndarray:
    """Return the mask of these scores, ranked by magnitude, as a bool array."""
    return np.asarray(raw(pattern, scores, sparsity, alive)).astype(bool)


def raw(pattern: Any, scores: np.ndarray, sparsity: float, alive: np.ndarray | None = None) -> Any:
    """Return what the pattern returns, whatever it is."""
    ranking = Ranking(name="a.weight", scores=scores, magnitude=True, alive=alive)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pruners.PatternLimit)
        warnings.simplefilter("ignore", pruners.SkippedLayer)
        return pattern.mask(ranking, sparsity)


def attempted(pattern: Any, scores: np.ndarray, sparsity: float, alive: np.ndarray | None = None) -> Any:
    """Return the mask, or None where the pattern skips the layer."""
    try:
        return lay(pattern, scores, sparsity, alive)
    except pruners.SkipLayer:
        return None


def laid(
    case: PatternCase, sparsities: tuple[float, ...] = SPARSITIES
) -> Iterator[tuple[tuple[int, ...], Any]]:
    """Yield ``(shape, mask)`` for every usual shape that the pattern lies on."""
    pattern = case.subject.make()
    somewhere = False
    for shape in PLACES:
        for sparsity in sparsities:
            mask = attempted(pattern, drawing.grid(shape), sparsity)
            if mask is not None:
                somewhere = True
                yield shape, mask
    assert somewhere, f"{case.subject.label} skips every shape tried: {', '.join(map(str, PLACES))}"


def verdict(pattern: Any, mask: np.ndarray) -> str | None:
    """Return why `check` rejects a mask, or None where it does not."""
    try:
        pattern.check(mask)
    except pruners.PatternError as error:
        return str(error)
    return None


def flipped(mask: np.ndarray, at: int) -> np.ndarray:
    """Return a mask with one entry the other way round."""
    other = mask.copy()
    other.ravel()[at] ^= True
    return other


def exchanges(mask: np.ndarray, scores: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield up to 200 pairs (kept, pruned) whose exchange would raise the sum."""
    kept, pruned = np.flatnonzero(mask), np.flatnonzero(~mask)
    draw = np.random.default_rng(3)
    for _ in range(200 if kept.size and pruned.size else 0):
        pair = int(draw.choice(kept)), int(draw.choice(pruned))
        if scores[pair[1]] > scores[pair[0]]:
            yield pair


def no_better_mask(case: PatternCase, scores: np.ndarray, mask: np.ndarray, asked: str) -> None:
    """Assert that no mask which `check` accepts, with as many zeros, keeps more."""
    pattern = case.subject.make()
    best = float(scores[mask].sum())
    for places in combinations(range(mask.size), int(mask.sum())):
        other = np.zeros(mask.size, bool)
        other[list(places)] = True
        total = float(scores.ravel()[other].sum())
        if total > best and verdict(pattern, other.reshape(mask.shape)) is None:
            found, better = seen(mask), seen(other.reshape(mask.shape))
            raise AssertionError(f"{asked}: {better} keeps {total}, {found} keeps {best}")


def same_masks(found: Any, expected: Any) -> bool:
    """Return whether two masks are equal, or both layers skipped."""
    if found is None or expected is None:
        return found is expected
    return bool(np.array_equal(found, expected))


def seen(mask: Any) -> Any:
    """Return a mask as messages show it."""
    return mask.astype(int).tolist() if mask.size <= 64 else f"a mask of shape {mask.shape}"
