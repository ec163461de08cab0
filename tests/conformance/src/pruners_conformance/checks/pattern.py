"""Promises of a pattern."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from hypothesis import strategies as st

import pruners

from .. import drawing
from ..drawing import for_every
from ..laying import (
    PLACES,
    SPARSITIES,
    attempted,
    exchanges,
    flipped,
    laid,
    lay,
    no_better_mask,
    raw,
    same_masks,
    seen,
    verdict,
)
from ..outcome import UNKNOWN_EXAMPLES, Check, NotApplicable
from ..subject import PatternCase
from .ranks import check_layers_can_be_cut_where_it_says

EVEN = ((8, 8), (4, 64), (8, 64, 1, 1))
"""Shapes that groups of most sizes divide, so that no remainder is kept whole."""
ODD = ((), (3,), (1, 1), (3, 5), (0, 4), (4, 0), (1, 1, 1, 1), (7, 3, 3, 3), (2, 3, 2, 2, 2), (5, 1, 3, 3))


def check_worked_examples(case: PatternCase) -> None:
    """
    The masks are those of the examples worked by hand; there is at least one.

    On failure: lay the pattern by hand; the message has the mask expected and the one that
    came. Without examples, give one whose weights are the scores.
    """
    if case.examples is None:
        raise NotApplicable(UNKNOWN_EXAMPLES)
    assert case.examples, f"{case.subject.label} has no worked example; pass examples=[Example(...)]"
    pattern = case.subject.make()
    for number, example in enumerate(case.examples):
        for name, weights in example.weights.items():
            mask = lay(pattern, np.asarray(weights, np.float32), example.sparsity)
            expected = np.asarray(example.masks[name], bool)
            same = np.array_equal(mask, expected)
            assert same, f"example {number}: expected {expected.astype(int).tolist()}, got {seen(mask)}"


def check_masks_fit_their_layer(case: PatternCase) -> None:
    """
    A mask is a bool array in the shape of the scores.

    On failure: return ``mask.astype(bool)`` reshaped to ``ranking.shape``.
    """
    pattern = case.subject.make()
    for shape, _ in laid(case):
        mask = raw(pattern, drawing.grid(shape), 0.5)
        assert isinstance(mask, np.ndarray), f"scores {shape}: the mask is a {type(mask).__name__}"
        assert mask.dtype == bool, f"scores {shape}: the mask is {mask.dtype}, not bool"
        assert mask.shape == shape, f"scores {shape}: the mask has shape {mask.shape}"


def check_own_masks_are_accepted(case: PatternCase) -> None:
    """
    `check` accepts every mask that `mask` makes.

    On failure: let both use one rule for what a group is, remainders included, and allow
    every sparsity that `mask` accepts.
    """
    pattern = case.subject.make()
    for shape, mask in laid(case):
        why = verdict(pattern, mask)
        assert why is None, f"its own mask of shape {shape} is rejected: {why}\n{seen(mask)}"


def check_broken_masks_are_rejected(case: PatternCase) -> None:
    """
    `check` rejects masks whose zeros lie elsewhere.

    On failure: let `check` count every group of the mask and raise `pruners.PatternError`
    with the first group that is wrong.
    """
    pattern = case.subject.make()
    mixed = np.random.default_rng(0)
    for shape, mask in laid(case, sparsities=(0.5,)):
        if mask.all() or mask.size < 64:
            continue
        flips = list(mixed.permutation(mask.size)[:64])
        caught = any(verdict(pattern, flipped(mask, at)) is not None for at in flips)
        assert caught, f"on {shape}, `check` accepts the mask with any one entry flipped"
        if shape in ((16, 128), (4, 64, 3, 3)):
            shuffled = mixed.permutation(mask.ravel()).reshape(shape)
            assert verdict(pattern, shuffled) is not None, f"on {shape}, `check` accepts shuffled zeros"


def check_equal_scores_change_no_count(case: PatternCase) -> None:
    """
    Equal scores are pruned as exactly as different ones, and the same ones each time.

    Where groups of one layer differ in size, the count depends on which of them go: there only
    the second half of the promise is checked.

    On failure: choose by position in a stable order and not by comparing with a threshold.
    """
    pattern = case.subject.make()
    for shape, _ in laid(case):
        for sparsity in SPARSITIES:
            distinct = _counts(pattern, shape, sparsity)
            tied = attempted(pattern, np.ones(shape, np.float32), sparsity)
            again = attempted(case.subject.make(), np.ones(shape, np.float32), sparsity)
            if tied is None:
                continue
            asked, kept = f"{sparsity} of {shape}", int(tied.sum())
            alike = len(distinct) != 1 or kept in distinct
            assert alike, f"{asked}: {kept} kept of equal, {min(distinct)} else"
            assert np.array_equal(tied, again), f"{asked}: equal scores give another mask the second time"


def _counts(pattern: Any, shape: tuple[int, ...], sparsity: float) -> set[int]:
    """Return how many are kept of distinct scores, in several orders."""
    mixed = np.random.default_rng(4)
    scores = drawing.grid(shape)
    orders = (scores, *(mixed.permutation(scores.ravel()).reshape(shape) for _ in range(4)))
    masks = (attempted(pattern, order, sparsity) for order in orders)
    return {int(mask.sum()) for mask in masks if mask is not None}


def check_sparsity_zero_keeps_everything(case: PatternCase) -> None:
    """
    Nothing is pruned when nothing is asked.

    On failure: count how many to prune, not how many to keep, or treat 0 first.
    """
    for shape, mask in laid(case, sparsities=(0.0,)):
        assert mask.all(), f"{int((~mask).sum())} of {shape} were pruned at sparsity 0"


def check_pruned_places_stay_pruned(case: PatternCase) -> None:
    """
    With more asked, what was pruned before stays pruned: it ranks before everything else.

    On failure: rank by `ranking.values()` or `ranking.keys()`, in which places that are no
    longer alive come first; not by the scores alone.
    """
    pattern = case.subject.make()
    mixed = np.random.default_rng(1)
    for shape, mask in laid(case, sparsities=(0.25, 0.5)):
        other = mixed.permutation(drawing.grid(shape).ravel()).reshape(shape)
        for sparsity in (0.5, 0.75, 0.9):
            later = attempted(pattern, other, sparsity, alive=mask)
            if later is None or later.sum() > mask.sum():
                continue
            back = int((later & ~mask).sum())
            assert not back, f"{back} pruned weights of {shape} come back at {sparsity}"


def check_every_precision_gives_the_same_mask(case: PatternCase) -> None:
    """
    Scores that are equal in value give one mask in float16, bfloat16, float32 and float64.

    On failure: rank by `ranking.keys()` or `ranking.values()`; do no arithmetic on the scores.
    """
    pattern = case.subject.make()
    for shape, _ in laid(case):
        scores = np.random.default_rng(2).integers(-64, 65, shape).astype(np.float32) / 8
        for sparsity in SPARSITIES:
            expected = attempted(pattern, scores, sparsity)
            for dtype in drawing.DTYPES:
                found = attempted(pattern, scores.astype(dtype), sparsity)
                assert same_masks(found, expected), f"{sparsity} of {shape}: {dtype} and float32 differ"


def check_memory_layout_does_not_matter(case: PatternCase) -> None:
    """
    Scores stored by columns, with gaps or backwards give the same mask.

    On failure: index arrays by axis; do not read them as flat memory (`ravel("K")`, `.data`).
    """
    pattern = case.subject.make()
    for shape, _ in laid(case):
        scores = drawing.grid(shape)
        for sparsity in SPARSITIES:
            expected = attempted(pattern, scores, sparsity)
            for other in drawing.layouts(scores):
                found = attempted(pattern, other, sparsity)
                assert same_masks(found, expected), f"{sparsity} of {shape}: strides {other.strides} matter"


def check_the_larger_scores_are_kept(case: PatternCase) -> None:
    """
    No mask that the pattern allows, with as many zeros, keeps a larger sum of scores.

    Small layers are compared with every mask there is, larger ones with exchanges of one
    kept for one pruned weight.

    On failure: within each group, prune the smallest. A pattern that is not optimal by design
    says so in expected_failures.
    """

    def holds(drawn: np.ndarray) -> None:
        shape = drawn.shape
        for sparsity in (0.25, 0.5):
            mask = attempted(case.subject.make(), drawn, sparsity)
            if mask is not None and 0 < mask.sum() < mask.size:
                no_better_mask(case, np.abs(drawn), mask, f"{sparsity} of {shape}")

    shapes: tuple[tuple[int, ...], ...] = ((2, 4), (1, 8), (8, 1))
    for seed, shape in product(range(10), shapes):
        holds(np.random.default_rng(seed).integers(-64, 65, shape).astype(np.float32) / 8)
    for_every(holds, drawn=st.sampled_from(shapes).flatmap(drawing.weights), tries=10)
    pattern = case.subject.make()
    for shape, mask in laid(case, sparsities=(0.5,)):
        scores = np.abs(drawing.grid(shape)).ravel()
        for kept, pruned in exchanges(mask, scores):
            swapped = flipped(flipped(mask, kept), pruned)
            better = verdict(pattern, swapped) is None
            assert not better, f"{shape}: keeps {scores[kept]} where it could keep {scores[pruned]}"


def check_the_asked_sparsity_is_reached(case: PatternCase) -> None:
    """
    The sparsity that comes out is a neighbour of the one asked: none that it can make is between.

    On failure: count how many groups, or how many weights per group, the asked sparsity
    stands for; compare with the message.
    """
    pattern = case.subject.make()
    for shape, _ in laid(case, sparsities=(0.5,)):
        if shape not in EVEN:
            continue
        reached = {}
        for hundredths in range(100):
            mask = attempted(pattern, drawing.grid(shape), hundredths / 100)
            if mask is not None:
                reached[hundredths / 100] = float((~mask).mean())
        for asked, found in reached.items():
            low, high = min(asked, found) + 1e-9, max(asked, found) - 1e-9
            between = [each for each in reached.values() if low < each < high]
            assert not between, f"{shape}, asked {asked}: reached {found}, although {between[0]} is possible"


def check_every_layer_is_masked_or_skipped_with_a_reason(case: PatternCase) -> None:
    """
    A layer of any shape gets a mask, or is skipped with a reason in words.

    On failure: raise ``pruners.SkipLayer("why it cannot lie here")`` for layers that the
    pattern does not fit, empty ones and biases included.
    """
    pattern = case.subject.make()
    for shape in (*ODD, *PLACES):
        for sparsity in (0.0, *SPARSITIES):
            try:
                mask = lay(pattern, drawing.grid(shape), sparsity)
            except pruners.SkipLayer as reason:
                assert str(reason).strip(), f"{shape} is skipped without a reason"
            except Exception as error:
                told = f"{type(error).__name__}: {error}"
                raise AssertionError(f"{sparsity} of {shape} raises {told}") from error
            else:
                assert mask.shape == shape, f"scores {shape} got a mask of shape {mask.shape}"


CHECKS: tuple[Check, ...] = (
    check_worked_examples,
    check_masks_fit_their_layer,
    check_own_masks_are_accepted,
    check_broken_masks_are_rejected,
    check_equal_scores_change_no_count,
    check_sparsity_zero_keeps_everything,
    check_pruned_places_stay_pruned,
    check_every_precision_gives_the_same_mask,
    check_memory_layout_does_not_matter,
    check_the_larger_scores_are_kept,
    check_the_asked_sparsity_is_reached,
    check_every_layer_is_masked_or_skipped_with_a_reason,
    check_layers_can_be_cut_where_it_says,
)
