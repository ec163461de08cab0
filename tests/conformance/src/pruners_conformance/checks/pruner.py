"""Promises of a pruner."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import strategies as st

import pruners

from .. import drawing, frameworks
from ..drawing import Arrays, for_every
from ..outcome import UNKNOWN_EXAMPLES, Check, NotApplicable
from ..subject import PrunerCase
from ..synthetic import assert_reached, masks_of, plain, scores_of, shares_of, spread, view_of
from .ranks import check_a_declared_reach_is_true

SPARSITIES = (0.1, 0.25, 0.5, 0.8, 0.9)


def check_worked_examples(case: PrunerCase) -> None:
    """
    The masks are those of the examples worked by hand; there is at least one.

    On failure: follow the numbers of the paper by hand; the message has the layer, the mask
    that was expected and the one that came. Without examples, give one.
    """
    if case.examples is None:
        raise NotApplicable(UNKNOWN_EXAMPLES)
    assert case.examples, f"{case.subject.label} has no worked example; pass examples=[Example(...)]"
    for number, example in enumerate(case.examples):
        weights = {name: np.asarray(each, np.float32) for name, each in example.weights.items()}
        found = masks_of(case, weights, example.sparsity, scope=example.scope, given=example)
        for name, expected in example.masks.items():
            same = np.array_equal(found[name], _spread(expected, weights[name]))
            got = found[name].astype(int).tolist()
            assert same, f"example {number}, layer {name!r}: expected {expected}, got {got}"


def check_scores_match_the_weights(case: PrunerCase) -> None:
    """
    There is one score per unit: the names of `view.weights`, the shape of each weight.

    On failure: return ``{name: scores for name in view.weights}``; reduce no axis of the
    weight, unless the pruner's unit is ``"channel"``: then return one score per output.
    """
    unit = case.subject.make().unit
    assert unit in ("weight", "channel"), f"unit is {unit!r}; it must be 'weight' or 'channel'"

    def holds(weights: Arrays) -> None:
        scores = scores_of(case, weights)
        assert set(scores) == set(weights), f"scores are of {sorted(scores)}, weights of {sorted(weights)}"
        for name, weight in weights.items():
            shape = weight.shape if unit == "weight" else weight.shape[:1]
            assert scores[name].shape == shape, f"{name!r} has shape {shape}, its scores {scores[name].shape}"

    for_every(holds, weights=drawing.models(kernel_axes=3))


def check_scores_are_finite(case: PrunerCase) -> None:
    """
    No score of ordinary weights is NaN or infinite.

    On failure: look for a division by zero, a logarithm of zero or an overflow; the message
    has the weights.
    """

    def holds(weights: Arrays) -> None:
        for name, scores in scores_of(case, weights).items():
            assert np.isfinite(scores.astype(np.float64)).all(), f"{name!r} has scores {scores.tolist()}"

    for_every(holds, weights=drawing.models())


def check_scores_are_repeatable(case: PrunerCase) -> None:
    """
    The same weights get the same scores, from the same pruner and from a new one.

    On failure: keep no state between calls; draw random numbers from a generator made from
    the options and the layer's name at each call.
    """

    def holds(weights: Arrays) -> None:
        pruner = case.subject.make()
        first, second = (
            {name: plain(each).copy() for name, each in pruner.scores(view_of(pruner, again)).items()}
            for again in (_copy(weights), _copy(weights))
        )
        for other, who in ((second, "a second call"), (scores_of(case, _copy(weights)), "a new pruner")):
            for name in first:
                assert np.array_equal(first[name], other[name]), f"{who} scores {name!r} differently"

    for_every(holds, weights=drawing.models())


def check_the_model_is_not_changed(case: PrunerCase) -> None:
    """
    Scoring leaves every weight as it was, bit for bit.

    On failure: work on new arrays; never assign to an array of the view, and use no function
    that works in place.
    """

    def holds(weights: Arrays) -> None:
        before = _copy(weights)
        scores_of(case, weights)
        for name, weight in weights.items():
            assert weight.tobytes() == before[name].tobytes(), f"scoring changed the weights of {name!r}"

    for_every(holds, weights=drawing.models())


def check_the_asked_sparsity_is_reached(case: PrunerCase) -> None:
    """
    Exactly floor(s * n) units of every layer go, s being what was asked or what was allocated.

    A pruner that allocates returns, for exactly the layers of the view, fractions in [0, 1),
    and the same ones each time.

    On failure: for a pruner with `allocate`, return one fraction per layer, below 1 and never
    below 0; for one without, see that scores are plain arrays that can be ranked.
    """

    def holds(weights: Arrays, sparsity: float) -> None:
        shares = shares_of(case, weights, sparsity)
        assert shares == shares_of(case, weights, sparsity), "allocate gives other fractions the second time"
        assert set(shares) == set(weights), f"allocated to {sorted(shares)}, layers are {sorted(weights)}"
        for name, share in shares.items():
            assert 0 <= share < 1, f"{name!r} was allocated {share}; a sparsity is in [0, 1)"
        assert_reached(case, masks_of(case, weights, sparsity), shares)

    for_every(holds, weights=drawing.models(), sparsity=drawing.fractions())


def check_masks_are_nested(case: PrunerCase) -> None:
    """
    What is pruned at one sparsity is pruned at every higher one.

    On failure: let scores not depend on how much is asked, and let `allocate` give no layer
    less when more is asked in all.
    """

    def holds(weights: Arrays, sparsity: float) -> None:
        ladder = sorted((*SPARSITIES, sparsity))
        masks = [masks_of(case, weights, each) for each in ladder]
        for (low, less), (high, more) in pairwise(zip(ladder, masks, strict=True)):
            for name in weights:
                back = int((more[name] & ~less[name]).sum())
                assert not back, f"{back} weights of {name!r} pruned at {low} come back at {high}"

    for_every(holds, weights=drawing.models(), sparsity=drawing.fractions())


def check_ties_fall_to_the_lower_index(case: PrunerCase) -> None:
    """
    Among weights that are all alike, the first in C order go first.

    On failure: give equal weights equal scores; break no ties by adding something to them.
    """

    def holds(shape: tuple[int, ...], value: float, sparsity: float) -> None:
        weights = {"a.weight": np.full(shape, value, np.float32)}
        kept = masks_of(case, weights, sparsity, flat=True)["a.weight"].ravel()
        expected = np.arange(kept.size) >= int((~kept).sum())
        same = np.array_equal(kept, expected)
        assert same, f"of {kept.size} equal weights these are kept: {kept.astype(int).tolist()}"

    values = st.sampled_from((1.0, -1.0, 0.5))
    for_every(holds, shape=drawing.shapes(), value=values, sparsity=drawing.fractions())


def check_other_layers_do_not_matter(case: PrunerCase) -> None:
    """
    In scope ``"layer"`` a layer's mask is the same whatever the other layers hold.

    On failure: use no statistic over several layers in `scores`; comparing layers is the
    task of the scope and its normaliser.
    """

    def holds(weights: Arrays, sparsity: float) -> None:
        together = masks_of(case, weights, sparsity)
        for name, weight in weights.items():
            alone = masks_of(case, {name: weight}, sparsity)[name]
            assert np.array_equal(together[name], alone), f"the mask of {name!r} depends on the other layers"

    for_every(holds, weights=drawing.models(least=2), sparsity=drawing.fractions())


def check_sparsity_zero_keeps_everything(case: PrunerCase) -> None:
    """
    Nothing is pruned when nothing is asked.

    On failure: let `allocate` return 0 for every layer when the strength is 0.
    """

    def holds(weights: Arrays) -> None:
        for name, mask in masks_of(case, weights, 0.0).items():
            assert mask.all(), f"{int((~mask).sum())} weights of {name!r} were pruned at sparsity 0"

    for_every(holds, weights=drawing.models())


def check_empty_and_single_weights_work(case: PrunerCase) -> None:
    """
    A layer with one weight, or with none, is scored without error and its mask fits.

    On failure: think of means, deviations and maxima of one value and of none.
    """
    for shape in ((1, 1), (0, 4), (4, 0), (1, 1, 1, 1), (2, 3, 0)):
        weights = {"a.weight": np.full(shape, 0.5, np.float32)}
        for sparsity in (0.0, 0.5, 0.9):
            mask = masks_of(case, weights, sparsity)["a.weight"]
            assert mask.shape == shape, f"weights {shape} got a mask {mask.shape}"
            shares = shares_of(case, weights, sparsity)
            assert_reached(case, {"a.weight": mask}, shares)


def check_every_precision_works(case: PrunerCase) -> None:
    """
    Weights in float16, bfloat16 and float64 get finite scores and as many zeros as asked.

    On failure: compute in at least float32 (``ops.astype(w, ops.float32)``); squares and sums
    of half precision numbers overflow at 65504.
    """
    for dtype in drawing.DTYPES:
        for shape in ((6, 10), (4, 3, 3, 3)):
            weights = {"a.weight": (drawing.grid(shape) / drawing.grid(shape).max() * 8).astype(dtype)}
            scores = scores_of(case, weights)["a.weight"].astype(np.float64)
            assert np.isfinite(scores).all(), f"scores of {dtype} weights are not finite: {scores.tolist()}"
            for sparsity in SPARSITIES:
                masks = masks_of(case, weights, sparsity)
                assert_reached(case, masks, shares_of(case, weights, sparsity))


def check_masks_are_the_same_on_every_backend(case: PrunerCase) -> None:
    """
    Every installed backend gives the mask that the NumPy backend gives.

    On failure: use only `view.ops` and the operators of arrays, and no function or type of
    one framework; sums and deviations in float32 round differently, so compute them exactly
    or in float64.
    """
    builders = {name: build for name, build in frameworks.builders().items() if name != "numpy"}
    if case.needs:
        raise NotApplicable(f"it needs {' and '.join(sorted(case.needs))}, which bare arrays do not give")
    if not builders:
        raise NotApplicable("no backend but NumPy is installed")

    def holds(weights: Arrays, sparsity: float) -> None:
        expected = masks_of(case, weights, sparsity)
        for framework, build in builders.items():
            model = build(weights)
            opened = _open(framework, model)
            found = pruners.masks(model, case.subject.make(), sparsity=sparsity)
            for name in weights:
                mask = np.asarray(opened.host(found[name]), bool)
                laid = np.asarray(opened.host(opened.native(name, expected[name])), bool)  # as parameters are
                assert np.array_equal(mask, laid), f"on {framework}, {name!r} gets another mask"

    for_every(holds, weights=drawing.models(), sparsity=drawing.fractions(), tries=10)


def check_the_order_of_channels_does_not_matter(case: PrunerCase) -> None:
    """
    Channels in another order get the same scores, in that order.

    On failure: let the score of a channel depend on what it and the others hold, and not on
    where it stands; ties are broken when scores are ranked.
    """
    if case.subject.make().unit == "weight":
        raise NotApplicable("it scores single weights")
    if case.needs:
        raise NotApplicable(f"it looks at {' and '.join(sorted(case.needs))}, which are drawn here")
    for shape in ((2, 1), (5, 3), (6, 2, 3), (8, 3, 3, 3)):
        weight = drawing.grid(shape)  # without equal channels, among which the order may well matter
        scores = scores_of(case, {"a.weight": weight})["a.weight"].astype(np.float64)
        for seed in range(5):
            order = np.random.default_rng(seed).permutation(len(weight))
            after = scores_of(case, {"a.weight": weight[order]})["a.weight"].astype(np.float64)
            same = np.allclose(scores[order], after, rtol=1e-5, atol=1e-6 * np.abs(scores).max())
            assert same, (
                f"in order {order.tolist()} scores are {after.tolist()}, not {scores[order].tolist()}"
            )


CHECKS: tuple[Check, ...] = (
    check_worked_examples,
    check_scores_match_the_weights,
    check_scores_are_finite,
    check_scores_are_repeatable,
    check_the_model_is_not_changed,
    check_the_asked_sparsity_is_reached,
    check_masks_are_nested,
    check_ties_fall_to_the_lower_index,
    check_other_layers_do_not_matter,
    check_the_order_of_channels_does_not_matter,
    check_sparsity_zero_keeps_everything,
    check_empty_and_single_weights_work,
    check_every_precision_works,
    check_masks_are_the_same_on_every_backend,
    check_a_declared_reach_is_true,
)


def _spread(mask: object, weight: np.ndarray) -> np.ndarray:
    return np.broadcast_to(spread(np.asarray(mask, bool), weight), weight.shape)


def _copy(weights: Arrays) -> Arrays:
    return {name: weight.copy() for name, weight in weights.items()}


def _open(framework: str, model: object) -> pruners.OpenModel:
    plugin = pruners.installed().find("backend", framework)
    return pruners.specs.resolve(plugin.spec.factory)().open(model)  # type: ignore[no-any-return]
