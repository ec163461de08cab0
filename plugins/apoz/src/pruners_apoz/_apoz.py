"""How often a channel is active."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from attrs import field, frozen, validators

import pruners

_LARGE = 2.0**127


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
    nonlinearity reads a layer. Counts are whole numbers, so the score does not depend on how the
    data is cut into batches. One batch is held at a time, and one number per channel.

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
            taken = self._above(view, a) if self.measure == "apoz" else _sums(view, _wide(view.ops, a))
            totals[name] = totals.get(name, 0.0) + taken.sum(axis=0)
            counts[name] = counts.get(name, 0) + size
        for name in view.weights:
            if name not in totals:
                raise pruners.ScoreError(f"layer {name!r} gave no output on the data; leave it out")
        return {name: totals[name] / max(counts[name], 1) for name in view.weights}

    def _above(self, view: pruners.View, a: Any) -> np.ndarray:
        """
        Return how many activations of each example and channel are above the threshold.

        Scaled up and clipped, nearly every number is 0 or 1, which takes a third of the time of comparing
        and converting. Numbers below 2**-127 are neither; then the sum is not whole, and they are compared.
        """
        ops: Any = view.ops
        wide = _wide(ops, a)
        over = wide - self.threshold if self.threshold else wide
        with np.errstate(over="ignore"):
            counts = _sums(view, ops.clip(over * _LARGE, 0.0, 1.0))
        if (counts == np.rint(counts)).all() or np.isnan(counts).any():
            return counts
        return _sums(view, ops.astype(over > 0, ops.float32))


def _wide(ops: Any, a: Any) -> Any:
    """Return an array in at least float32."""
    return ops.astype(a, ops.float32) if "16" in str(a.dtype) else a


def _sums(view: pruners.View, a: Any) -> np.ndarray:
    """Return the sums over the places of each example, ``(batch, channel)``; counts are exact in float32."""
    ops: Any = view.ops
    return view.host(ops.sum(a, axis=tuple(range(2, a.ndim))) if a.ndim > 2 else a).astype(np.float64)
