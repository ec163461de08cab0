"""Promises about layers that lie in pieces on several ranks."""

from __future__ import annotations

import warnings
from itertools import pairwise
from typing import Any

import numpy as np
from attrs import evolve

import pruners
from pruners.selection import Ranking
from pruners.sharding.boxes import Among, row_boxes

from .. import drawing
from ..drawing import Arrays, for_every
from ..example import Example
from ..laying import PLACES, SPARSITIES, attempted, same_masks
from ..outcome import NotApplicable
from ..ranks import ThreadPeers, on_ranks
from ..subject import PatternCase, PrunerCase
from ..synthetic import SyntheticView, plain, view_of

_RANKS = 3
_REACHES = ("shape", "weight", "channel", "layer")


def check_a_declared_reach_is_true(case: PrunerCase) -> None:
    """
    Scored piece by piece, layers get the scores they get whole, as far as `reach` says, bit for bit.

    With reach ``"weight"`` a piece is any part of a layer, with ``"channel"`` some of its rows, with
    ``"layer"`` the layer without the others, and with ``"shape"`` zeros of its shape.

    On failure: declare what a score really looks at; ``"layer"`` where it compares with the mean or
    the largest of its layer, and no `reach` where it looks at other layers.
    """
    pruner = case.subject.make()
    reach = getattr(pruner, "reach", None)
    if reach is None:
        raise NotApplicable("it does not say how far its scores reach")
    assert reach in _REACHES, f"reach is {reach!r}; it must be one of {', '.join(_REACHES)}"
    channels = pruner.unit == "channel"
    assert not (channels and reach == "weight"), "a score of a channel reaches at least 'channel'"
    if case.needs - {"gradients"}:
        raise NotApplicable(f"it looks at {' and '.join(sorted(case.needs))}, which are not cut here")

    def holds(weights: Arrays) -> None:
        view = view_of(pruner, weights)
        whole = {name: plain(each).copy() for name, each in pruner.scores(view).items()}
        for name, weight in weights.items():
            for cut in _cuts(weight, reach):
                found = plain(pruner.scores(_piece(view, name, cut, reach))[name])
                expected = whole[name][cut[:1] if channels else cut]
                same = np.array_equal(found, expected)
                assert same, (
                    f"{name!r}{_shown(cut)} alone has scores {found.tolist()}, not {expected.tolist()}"
                )

    for_every(holds, weights=drawing.models())


def _cuts(weight: np.ndarray, reach: str) -> list[tuple[slice, ...]]:
    """Return the parts of a layer in which it is scored."""
    if reach in ("layer", "shape"):
        return [()]
    axes = range(weight.ndim if reach == "weight" else min(weight.ndim, 1))
    found = []
    for axis in axes:
        edges = sorted({0, weight.shape[axis] // 3, weight.shape[axis] // 2, weight.shape[axis]})
        before = (slice(None),) * axis
        found += [(*before, slice(start, stop)) for start, stop in pairwise(edges)]
    return found


def _piece(view: SyntheticView, name: str, cut: tuple[slice, ...], reach: str) -> SyntheticView:
    """Return the view of a part of one layer, with what the whole view prepared and the same gradients."""
    weight = view.weights[name][cut]
    weights = {name: np.zeros_like(weight) if reach == "shape" else weight}
    slopes = {name: view.gradients()[name][cut]}
    return evolve(view, weights=weights, given=Example(weights, 0.0, weights, gradients=slopes))


def _shown(cut: tuple[slice, ...]) -> str:
    return str([f"{each.start or 0}:{'' if each.stop is None else each.stop}" for each in cut]) if cut else ""


def check_layers_can_be_cut_where_it_says(case: PatternCase) -> None:
    """
    Laid on pieces cut at multiples of `rows`, a pattern gives the masks of the whole layer.

    On failure: take counts from `ranking.total` and `ranking.whole_shape`, rank with `layer_mask`, give
    rankings that are made anew ``among=ranking.among`` (coarser ones ``ranking.among.coarser(extent)``),
    and return from `rows` a multiple at which no group is cut, or None.
    """
    pattern = case.subject.make()
    if not isinstance(pattern, pruners.protocols.Divides):
        raise NotApplicable("it does not say where a layer may be cut")
    mixed = np.random.default_rng(5)
    for shape in (*PLACES, (16, 128), (7, 6, 3, 3), (2, 5)):
        multiple = pattern.rows(shape)
        if multiple is None:
            continue
        assert isinstance(multiple, int) and multiple > 0, f"rows({shape}) is {multiple!r}; give 1 or more"
        for scores in (drawing.grid(shape), np.ones(shape, np.float32)):
            for alive in (None, mixed.random(shape) < 0.7):
                for sparsity in SPARSITIES:
                    expected = attempted(pattern, scores, sparsity, alive)
                    found = _in_pieces(pattern, scores, sparsity, alive, multiple)
                    same = same_masks(found, expected)
                    assert same, (
                        f"{shape} cut at multiples of {multiple} rows gets another mask, at {sparsity}"
                    )


def _in_pieces(
    pattern: Any, scores: np.ndarray, sparsity: float, alive: np.ndarray | None, multiple: int
) -> np.ndarray | None:
    """Return the mask that several ranks lay together, each on its rows; None where they skip the layer."""
    boxes = row_boxes(scores.shape, multiple, _RANKS)

    def work(peers: ThreadPeers) -> Any:
        rows = slice(boxes[peers.rank].offset[0], boxes[peers.rank].offset[0] + boxes[peers.rank].shape[0])
        among = Among(scores.shape, boxes, peers)
        living = None if alive is None else alive[rows]
        try:
            return pattern.mask(Ranking("a.weight", scores[rows], True, living, among=among), sparsity)
        except pruners.SkipLayer:
            return None

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pruners.PatternLimit)
        warnings.simplefilter("ignore", pruners.SkippedLayer)
        found = on_ranks(_RANKS, work)
    for each in found:
        if isinstance(each, BaseException):
            raise each
    return None if any(each is None for each in found) else np.concatenate(found)  # type: ignore[arg-type]
