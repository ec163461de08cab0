"""The score of Wanda."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from attrs import frozen

import pruners


@frozen
class Wanda:
    r"""
    Score every weight by its magnitude times the norm of the input it multiplies.

    .. math:: S_{ij} = |W_{ij}| \cdot \lVert X_j \rVert_2

    where :math:`X_j` is the input feature :math:`j` over all tokens of all calibration data.

    Notes
    -----
    Needs inputs: ``data=``, no labels and no loss. It is meant for ``scope="output"``: weights
    compare within one output, because the norms of the inputs are the same for all of them. Ties
    fall to the lower index.

    A convolution multiplies windows: :math:`X_j` is then what one place of the kernel sees of one
    input channel, padding included, over all windows. In groups, each has inputs of its own. The
    paper treats dense layers only. It also prunes block by block, with the inputs that the pruned
    part before gives; here one call sees the model as it is. Prune part by part for the paper's
    order, each with a rule of its own.

    References
    ----------
    .. [1] M. Sun, Z. Liu, A. Bair, J. Z. Kolter, "A Simple and Effective Pruning Approach for Large
           Language Models", ICLR 2024, section 3. arXiv:2306.11695.

    Examples
    --------
    >>> import numpy as np
    >>> score(np.array([[4.0, -1.0], [3.0, 2.0]]), norms=np.array([[1.0, 8.0]])).tolist()
    [[4.0, 8.0], [3.0, 16.0]]
    """

    unit: ClassVar[Literal["weight"]] = "weight"

    def scores(self, view: pruners.View) -> Mapping[str, np.ndarray]:
        """Return one float64 score per weight."""
        squares: dict[str, np.ndarray] = {}
        for name, x in view.inputs():
            found = np.square(x, dtype=np.float64).sum(axis=0)
            squares[name] = squares[name] + found if name in squares else found
        return {name: score(view.host(view.weights[name]), np.sqrt(each)) for name, each in squares.items()}


def score(weight: np.ndarray, norms: np.ndarray) -> np.ndarray:
    """Return the scores of one layer ``(out, in, *kernel)`` from norms ``(group, in, *kernel)``."""
    groups = len(norms)
    rows = np.abs(weight.astype(np.float64)).reshape(groups, len(weight) // groups, *weight.shape[1:])
    scores: np.ndarray = (rows * norms[:, None]).reshape(weight.shape)
    return scores
