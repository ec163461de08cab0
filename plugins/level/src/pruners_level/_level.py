"""Magnitude pruning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from attrs import frozen

import pruners


@frozen
class Level:
    r"""
    Score every weight by its absolute value.

    The score of weight :math:`w` is :math:`|w|`, in the units of the weights. At sparsity
    :math:`s` the :math:`\lfloor sn \rfloor` smallest of a layer's :math:`n` weights go.

    Raises
    ------
    pruners.ScoreError
        If a weight is NaN; raised when the scores are ranked.

    Notes
    -----
    Needs no data: reads weights only, and computes nothing, since selection reads absolute
    values straight from the weights.

    Ties: exactly the asked number goes, lower index first, unless the rule names another
    ``rounding``.

    Differs from the paper, which prunes below a threshold of q standard deviations per layer
    (that is the pruner ``sensitivity``); magnitude as the measure is the paper's. Published
    code differs in what it does with ties and with time: NNI's LevelPruner keeps only what is
    greater than the k-th smallest value, so it prunes more when values are equal
    (``rounding="gt"``), and its first release ranked anew at every forward pass. Here masks
    change only when the schedule is due.

    References
    ----------
    .. [1] S. Han, J. Pool, J. Tran, W. J. Dally, "Learning both Weights and Connections for
           Efficient Neural Networks", NIPS 2015, section 3. arXiv:1506.02626.

    Examples
    --------
    >>> import numpy as np, pruners
    >>> model = {"w": np.array([[0.1, -0.5, 0.3], [0.9, -0.2, 0.4]])}
    >>> pruners.masks(model, "level", sparsity=0.5)["w"].astype(int).tolist()
    [[0, 1, 0], [1, 0, 1]]
    """

    unit: ClassVar[Literal["weight"]] = "weight"
    reach: ClassVar[Literal["weight"]] = "weight"

    def scores(self, view: pruners.View) -> Mapping[str, pruners.Magnitude]:
        """Return each weight's absolute value, shaped as the weights."""
        return {name: pruners.Magnitude(weight) for name, weight in view.weights.items()}
