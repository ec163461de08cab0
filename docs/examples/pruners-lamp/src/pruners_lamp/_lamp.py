"""The score of LAMP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from attrs import frozen

import pruners


@frozen
class Lamp:
    r"""
    Score every weight by its share of what is left in its layer once all smaller ones are gone.

    With the weights of a layer in ascending order of magnitude,

    .. math:: \mathrm{score}(u) = \frac{W_u^2}{\sum_{v \geq u} W_v^2}.

    The largest weight of every layer has the score 1, so scores of layers of any size compare, and
    with ``scope="model"`` they say how sparse each layer becomes.

    Notes
    -----
    Needs no data. Of equal weights the one of the lower index comes first in the order, so it has
    the smaller score and goes first. A weight of 0 scores 0. Within one layer the order is that of
    the magnitudes. Does not differ from the paper.

    References
    ----------
    .. [1] J. Lee, S. Park, S. Mo, S. Ahn, J. Shin, "Layer-Adaptive Sparsity for the Magnitude-based
           Pruning", ICLR 2021, section 3. arXiv:2010.07611.

    Examples
    --------
    >>> import numpy as np
    >>> lamp(np.array([[1.0, -2.0, 2.0]])).round(3).tolist()
    [[0.111, 0.5, 1.0]]
    """

    unit: ClassVar[Literal["weight"]] = "weight"

    def scores(self, view: pruners.View) -> Mapping[str, np.ndarray]:
        """Return one float64 score per weight, from 0 to 1."""
        return {name: lamp(view.host(weight)) for name, weight in view.weights.items()}


def lamp(weight: np.ndarray) -> np.ndarray:
    """Return the scores of one layer, in its shape."""
    squares = np.square(weight.astype(np.float64)).ravel()
    order = np.argsort(squares, kind="stable")
    left = np.cumsum(squares[order][::-1])[::-1]
    scores = np.zeros_like(squares)
    np.divide(squares[order], left, out=left, where=left > 0)
    scores[order] = left
    return scores.reshape(weight.shape)
