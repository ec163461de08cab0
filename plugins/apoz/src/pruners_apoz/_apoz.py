"""How often a channel is active."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from attrs import field, frozen, validators

import pruners


@frozen(kw_only=True)
class APoZ:
    r"""
    Score every channel by the fraction of its activations that are above zero.

    The average percentage of zeros of channel :math:`c` is :math:`\text{APoZ}_c = \frac{1}{NM}
    \sum_{nm} [a_{nmc} \le t]`, over :math:`N` examples and :math:`M` places, where :math:`a` is
    what comes past the layer's normalisation and nonlinearity. The score is
    :math:`1 - \text{APoZ}_c`, in [0, 1]: the channel that is most often zero goes first.

    Parameters
    ----------
    threshold : float, default 0.0
        :math:`t`: what is not above it counts as zero. For nonlinearities that come near zero
        without reaching it, something above 0.
    measure : {"apoz", "mean-activation"}, default "apoz"
        "mean-activation" scores a channel by the mean of :math:`a` instead, in the units of the
        activations; `threshold` has no say then.

    Raises
    ------
    ValueError
        If `measure` is not one of its choices, or `threshold` is not finite.
    pruners.NeedsData
        In use: without data.
    pruners.ScoreError
        In use: if a layer gives no output on the data.

    Notes
    -----
    Needs data, no labels and no gradients, and one recorded forward pass to see which
    nonlinearity reads a layer. Counts are integers, so the score does not depend on how the data
    is cut into batches. One batch is held at a time, and one number per channel.

    Ties: exactly the asked number goes, lower index first.

    A layer that no nonlinearity reads, as before an addition, is counted as it comes, past its
    batch norm if it has one: about half of that is below zero, and the score says little. Leave
    such layers out, or raise `threshold`.

    Differs from the paper, which prunes what is more than one standard deviation above the mean
    and trains again in between; here the rule says how much goes. Published code differs in what
    it looks at: some reads the first batch only, some refuses layers without a ReLU, and one
    "mean activation" variant removes the channels with the highest mean.

    References
    ----------
    .. [1] H. Hu, R. Peng, Y.-W. Tai, C.-K. Tang, "Network Trimming: A Data-Driven Neuron Pruning
           Approach towards Efficient Deep Architectures", 2016, equation 1. arXiv:1607.03250.

    Examples
    --------
    >>> import pruners
    >>> pruners.pruner("apoz", threshold=0.01)
    APoZ(threshold=0.01, measure='apoz')
    """

    threshold: float = field(default=0.0)
    measure: Literal["apoz", "mean-activation"] = field(
        default="apoz", validator=validators.in_(("apoz", "mean-activation"))
    )

    unit: ClassVar[Literal["channel"]] = "channel"

    @threshold.validator
    def _finite(self, attribute: Any, value: float) -> None:
        if not math.isfinite(value):
            raise ValueError(f"'threshold' must be a finite number, got {value}")

    def scores(self, view: pruners.View) -> Mapping[str, np.ndarray]:
        """Return one float64 score per output channel."""
        totals: dict[str, np.ndarray] = {}
        counts: dict[str, int] = {}
        for name, a in view.activated():
            size = math.prod(int(length) for length in a.shape) // max(int(a.shape[1]), 1)
            totals[name] = totals.get(name, 0) + self._taken(view, a)
            counts[name] = counts.get(name, 0) + size
        for name in view.weights:
            if name not in totals:
                raise pruners.ScoreError(f"layer {name!r} gave no output on the data; leave it out")
        return {name: totals[name] / max(counts[name], 1) for name in view.weights}

    def _taken(self, view: pruners.View, a: Any) -> np.ndarray:
        """Return, per channel, how many activations are above the threshold, or what they add up to."""
        ops: Any = view.ops
        counted = self.measure == "apoz"
        # Sums over the places of one example: whole numbers that float32 holds exactly.
        found = ops.astype(a > self.threshold, ops.float32) if counted else ops.astype(a, ops.float32)
        if found.ndim > 2:
            found = ops.sum(found, axis=tuple(range(2, found.ndim)))
        each = view.host(found).astype(np.int64 if counted else np.float64)
        return np.asarray(each.sum(axis=0))
