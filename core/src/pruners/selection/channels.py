"""Whole channels: from masks over output channels to masks over weights, and back."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .kernel import select
from .ranking import Ranking


def living_channels(mask: np.ndarray) -> np.ndarray:
    """Return which output channels ``(out,)`` of a mask ``(out, in, *kernel)`` keep any weight."""
    return np.asarray(mask.any(axis=tuple(range(1, mask.ndim))))


def whole_channels(
    kept: Mapping[str, np.ndarray],
    rankings: Mapping[str, Ranking],
    shapes: Mapping[str, tuple[int, ...]],
    alive: Mapping[str, np.ndarray],
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
        mask = np.empty(shape, np.bool_)
        mask[...] = chosen.reshape(-1, *[1] * (len(shape) - 1))
        masks[name] = mask & alive[name] if name in alive else mask
    return masks
