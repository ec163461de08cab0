"""Whole channels: from masks over output channels to masks over weights, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from .kernel import select
from .ranking import Ranking

if TYPE_CHECKING:
    from ..sharding.boxes import Among


def living_channels(mask: np.ndarray, among: Among | None = None) -> np.ndarray:
    """
    Return which output channels ``(out,)`` of a mask ``(out, in, *kernel)`` keep any weight.

    Of a layer in pieces the mask is this rank's piece, and the channels are the whole layer's.
    """
    here = np.asarray(mask.any(axis=tuple(range(1, mask.ndim))))
    if among is None:
        return here
    counts = np.zeros(among.shape[0], np.int64)
    counts[_rows(among)] = here
    return np.asarray(among.peers.sum(counts) > 0)


def _rows(among: Among) -> slice:
    box = among.box
    return slice(box.offset[0], box.offset[0] + box.shape[0])


def whole_channels(
    kept: Mapping[str, np.ndarray],
    rankings: Mapping[str, Ranking],
    shapes: Mapping[str, tuple[int, ...]],
    alive: Mapping[str, np.ndarray],
    pieces: Mapping[str, Among] | None = None,
) -> dict[str, np.ndarray]:
    """
    Return masks ``(out, in, *kernel)`` of layers whose channels were chosen.

    Parameters
    ----------
    kept : {parameter: (out,) bool array}
        True where a channel is kept. A layer that would lose its last living channel keeps the best.
    rankings : {parameter: Ranking}
        The channel scores `kept` was chosen by.
    shapes : {parameter: (out, in, *kernel)}
        What the masks are to fit.
    alive : {parameter: (out, in, *kernel) bool array}
        Weights already pruned stay pruned; all are alive in layers left out.
    pieces : {parameter: Among}, optional
        How layers in pieces lie: their masks, and what is `alive`, are this rank's pieces.

    Returns
    -------
    {parameter: (out, in, *kernel) bool array}
        True where kept.
    """
    masks = {}
    for name, chosen in kept.items():
        ranking = rankings[name]
        if not chosen.any() and ranking.pruned() < ranking.size:
            chosen = select([ranking], ranking.size - 1)[0]
        shape = shapes[name]
        if pieces and name in pieces:
            chosen, shape = chosen[_rows(pieces[name])], pieces[name].box.shape
        mask = np.empty(shape, np.bool_)
        mask[...] = chosen.reshape(-1, *[1] * (len(shape) - 1))
        masks[name] = mask & alive[name] if name in alive else mask
    return masks
