"""The score of SNIP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from attrs import frozen

import pruners


@frozen
class Snip:
    r"""
    Score every weight by how much the loss feels it: weight times gradient, over their sum.

    .. math:: s_j = \frac{|g_j w_j|}{\sum_k |g_k w_k|},

    where :math:`g_j` is the gradient of the loss with respect to weight :math:`w_j` and the sum
    runs over all weights of the rule.

    Notes
    -----
    Needs gradients: ``data=`` and ``loss=``. It is meant for a network that has not been trained:
    one rule without a schedule, ``scope="model"``, and weights drawn so that signals keep their
    variance from layer to layer. Ties fall to the lower index. Where every product is 0 all scores
    are.

    Differs from the paper: the gradient is the mean over all of `data`; with one batch it is the
    paper's. Layers run in evaluation mode; a loss function that calls ``model.train()`` first has
    them use the statistics of the batch, and everything is put back afterwards.

    References
    ----------
    .. [1] N. Lee, T. Ajanthan, P. H. S. Torr, "SNIP: Single-shot Network Pruning based on Connection
           Sensitivity", ICLR 2019, section 4.1. arXiv:1810.02340.

    Examples
    --------
    >>> import numpy as np, pruners
    >>> def loss(model, batch):
    ...     return 0.0, {"w": np.array([[0.5, 1.0]])}
    >>> pruners.scores({"w": np.array([[3.0, -0.5]])}, Snip(), data=[None], loss=loss)
    {'w': array([[0.75, 0.25]])}
    """

    unit: ClassVar[Literal["weight"]] = "weight"

    def scores(self, view: pruners.View) -> Mapping[str, Any]:
        """Return one score per weight; all of them add up to 1."""
        ops: Any = view.ops
        felt = {}
        for name, gradient in view.gradients().items():
            weight = ops.astype(view.weights[name], ops.float64)
            felt[name] = ops.abs(weight * ops.astype(gradient, ops.float64))
        total = sum(float(ops.sum(each)) for each in felt.values())
        return {name: each / total if total else each for name, each in felt.items()}
