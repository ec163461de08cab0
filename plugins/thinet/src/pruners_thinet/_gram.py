"""The Gram matrix of what a layer gets from each channel, without writing all of that down."""

from __future__ import annotations

import numpy as np

_LIMIT = 1 << 24
"""Numbers in the largest array that is made on the way."""


def gram(weight: np.ndarray, patches: np.ndarray) -> np.ndarray:
    r"""
    Return :math:`G_{cd} = \sum_{if} \hat x_{ifc} \hat x_{ifd}`.

    There :math:`\hat x_{ifc} = \sum_p W_{fcp}\, x_{icp}` is what output :math:`f` gets from channel
    :math:`c` in window :math:`i`.

    Parameters
    ----------
    weight : (out, channel, position) array
        What each output multiplies the positions of each channel by.
    patches : (sample, channel, position) array
        What the windows saw.

    Returns
    -------
    (channel, channel) float64 array
    """
    outputs, channels, positions = weight.shape
    samples = len(patches)
    w, x = weight.astype(np.float64), patches.astype(np.float64)
    if positions**2 * (samples + outputs) < samples * outputs:
        return _by_positions(w, x)
    total = np.zeros((channels, channels))
    w = w.transpose(1, 2, 0)
    step = max(1, _LIMIT // max(outputs * channels, 1))
    for start in range(0, samples, step):
        gained = x[start : start + step].transpose(1, 0, 2) @ w
        flat = gained.reshape(channels, gained.shape[1] * outputs)
        total += flat @ flat.T
    return total


def _by_positions(w: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Multiply the Gram matrices of weights and of patches, and add over positions."""
    outputs, channels, positions = w.shape
    total = np.zeros((channels, channels))
    wide = channels * positions
    flat_w, flat_x = w.reshape(outputs, wide), x.reshape(len(x), wide)
    step = max(1, _LIMIT // max(wide * positions, 1))
    for start in range(0, channels, step):
        rows = slice(start * positions, (start + step) * positions)
        product = (flat_w[:, rows].T @ flat_w) * (flat_x[:, rows].T @ flat_x)
        total[start : start + step] = product.reshape(-1, positions, channels, positions).sum(axis=(1, 3))
    return total
