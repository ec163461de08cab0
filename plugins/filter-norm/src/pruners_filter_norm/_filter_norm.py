"""Filter pruning by norm."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from attrs import field, frozen, validators

import pruners


@frozen(kw_only=True)
class FilterNorm:
    r"""
    Score every filter by the norm of its weights.

    The score of filter :math:`F_i` is :math:`\lVert F_i \rVert_p = (\sum |w|^p)^{1/p}` over all
    weights that make output channel :math:`i`, in the units of the weights; for
    :math:`p = \infty` the largest :math:`|w|`.

    Parameters
    ----------
    p : float, default 1.0
        Which norm; above 0, ``math.inf`` included. 1 is the paper's, 2 is the other usual one.

    Raises
    ------
    ValueError
        If `p` is not above 0.
    pruners.ScoreError
        If a weight is NaN; or if the norm overflows, which takes a `p` far below 1.

    Notes
    -----
    Needs no data: reads weights only, and adds in float64.

    Ties: exactly the asked number goes, lower index first.

    Differs from the paper in how much goes: the paper gives each stage of a network a rate of its
    own, chosen after a scan; here rates are the rule's. The paper's other variant, layer after
    layer with training between, is a session with a schedule. Published code rounds
    :math:`n(1 - \text{keep})` down without allowing for its representation, so that of 10 filters
    1 goes at ``keep_rate=0.8``; here 2 do at sparsity 0.2.

    References
    ----------
    .. [1] H. Li, A. Kadav, I. Durdanovic, H. Samet, H. P. Graf, "Pruning Filters for Efficient
           ConvNets", ICLR 2017, section 3.1. arXiv:1608.08710.

    Examples
    --------
    >>> import numpy as np, pruners
    >>> model = {"w": np.array([[3.0, 4.0], [1.0, 0.0], [0.0, 2.0], [-6.0, 8.0], [0.5, 0.5]])}
    >>> pruners.scores(model, pruners.pruner("filter-norm", p=2))["w"].round(4).tolist()
    [5.0, 1.0, 2.0, 10.0, 0.7071]
    >>> mask = pruners.masks(model, pruners.pruner("filter-norm", p=2), sparsity=0.4)["w"]
    >>> mask[:, 0].astype(int).tolist()
    [1, 0, 1, 1, 0]
    """

    p: float = field(default=1.0, validator=validators.gt(0))

    unit: ClassVar[Literal["channel"]] = "channel"
    reach: ClassVar[Literal["channel"]] = "channel"

    def scores(self, view: pruners.View) -> Mapping[str, np.ndarray]:
        """Return one float64 score per output channel."""
        return {name: self._of(name, view.host(weight)) for name, weight in view.weights.items()}

    def _of(self, name: str, weight: np.ndarray) -> np.ndarray:
        count = weight.shape[0]
        rows = np.abs(weight.reshape(count, math.prod(weight.shape[1:])).astype(np.float64))
        largest: np.ndarray = rows.max(axis=1, initial=0.0)
        if math.isinf(self.p) or not np.isfinite(largest).all():
            return largest
        # By powers of two: nothing is rounded, and no power of what is left overflows.
        exponents = np.frexp(largest)[1]
        rows = np.ldexp(rows, -exponents[:, None], out=rows)
        with np.errstate(over="ignore", under="ignore"):
            norms: np.ndarray = np.ldexp(_norms(rows, self.p), exponents)
        if np.isinf(norms).any():
            raise pruners.ScoreError(
                f"layer {name!r}: the norm with p={self.p:g} of {rows.shape[1]} weights overflows; "
                "take a larger p"
            )
        return norms


def _norms(rows: np.ndarray, p: float) -> np.ndarray:
    """Return the norm of each row of magnitudes."""
    found: np.ndarray
    if p == 1:
        found = np.sum(rows, axis=1)
    elif p == 2:
        found = np.sqrt(np.sum(np.square(rows), axis=1))
    else:
        found = np.sum(rows**p, axis=1) ** (1 / p)
    return found
