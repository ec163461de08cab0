"""ThiNet: the next layer says which channels it can do without."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from attrs import field, frozen, validators

import pruners
from pruners.options import integer, whole

from ._gram import gram


@frozen(kw_only=True)
class ThiNet:
    r"""
    Score every channel by when the next layer would let it go, chosen greedily.

    What output :math:`f` of the next layer gets from channel :math:`c` in window :math:`i` is
    :math:`\hat x_{ifc} = \sum_p W_{fcp}\, x_{icp}`. Starting with :math:`T = \emptyset`, the
    channel joins :math:`T` that leaves :math:`\sum_{if} (\sum_{c \in T} \hat x_{ifc})^2`
    smallest, until none is left. The score is the place in that order over the number of
    channels, in [0, 1): what joins first goes first. The order does not depend on how many go.

    Parameters
    ----------
    locations : int, default 10
        Windows drawn per example, from 1; all of them where there are fewer.
    seed : int, default 0
        Chooses the windows; any integer from 0.
    repair : bool, default True
        On a removal, scale the next layer's weights of each kept channel by the
        :math:`\hat w_c` that minimises :math:`\sum_{if} (y_{if} - \sum_c \hat w_c
        \hat x_{ifc})^2`, where :math:`y` is the sum over all channels. Masks alone repair
        nothing.

    Raises
    ------
    ValueError
        If `locations` is below 1 or `seed` below 0.
    pruners.NeedsData
        In use: without data.
    pruners.ScoreError
        In use: if no layer sums over the channels of a layer, as of the last one.

    Notes
    -----
    Needs data, no labels and no gradients, one recorded forward pass to see which layer reads
    which, and one pass over the data per layer that is scored (two with the repair). The greedy
    choice runs on the Gram matrix of :math:`\hat x`, which is added up batch by batch: no samples
    are kept, and each step costs one addition per channel.

    Ties: of channels that cost the same the lower index joins first. Errors of several layers
    that read the same channels are added. A depthwise convolution is passed through: the layer
    after it decides. The places are an order within one layer: with ``scope="model"`` every
    layer loses about the same fraction.

    Where the kept channels do not determine :math:`\hat w` (dead or equal ones), the smallest
    change from 1 is taken, so that weights of a dead channel stay.

    Differs from the paper, which samples one output of the next layer per window and takes 10
    images of each class; here all outputs of a window count. The paper prunes layer by layer with
    training in between; in one call every layer is judged with the others as they were. Of
    published code, one form takes its `ratio` as the fraction kept, draws no windows and repairs
    nothing.

    References
    ----------
    .. [1] J.-H. Luo, J. Wu, W. Lin, "ThiNet: A Filter Level Pruning Method for Deep Neural
           Network Compression", ICCV 2017, section 3.2. arXiv:1707.06342.

    Examples
    --------
    >>> import pruners
    >>> pruners.pruner("thinet", locations=20)
    ThiNet(locations=20, seed=0, repair=True)
    """

    locations: int = field(default=10, converter=integer, validator=whole(1))
    seed: int = field(default=0, converter=integer, validator=whole(0))
    repair: bool = field(default=True, validator=validators.instance_of(bool))

    unit: ClassVar[Literal["channel"]] = "channel"

    def scores(self, view: pruners.View) -> Mapping[str, np.ndarray]:
        """Return one float64 score per output channel."""
        found = {}
        for name, weight in view.weights.items():
            grams = self._grams(view, name)
            if not grams and weight.shape[0]:
                raise pruners.ScoreError(
                    f"layer {name!r}: no layer sums over its channels, so none can judge them; leave it out: "
                    f"exclude={name!r} in a rule, ignore={name!r} in a removal"
                )
            found[name] = places(sum(grams.values(), np.zeros((weight.shape[0],) * 2)))
        return found

    def adjust(self, view: pruners.View, kept: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """Return the weights of the layers that read pruned ones, scaled to make up for what is gone."""
        found: dict[str, np.ndarray] = {}
        done: dict[str, np.ndarray] = {}
        for layer, stays in kept.items():
            if not self.repair or stays.all() or not stays.any():
                continue
            reads = view.reads(layer)
            for reader, matrix in self._grams(view, layer).items():
                weight, positions = reads[reader]
                new = found.setdefault(reader, weight.astype(np.float64, order="C"))
                seen = done.setdefault(reader, np.zeros(weight.size, bool))
                for channel, factor in zip(np.flatnonzero(stays), factors(matrix, stays), strict=True):
                    where = positions[int(channel)]
                    # Layers that are added up share their readers' weights: these are scaled once.
                    where = where[~seen[where]]
                    new.reshape(-1)[where] *= factor
                    seen[where] = True
        return found

    def _grams(self, view: pruners.View, layer: str) -> dict[str, np.ndarray]:
        """Return the Gram matrix (channel, channel) of what each reader gets from a layer's channels."""
        found: dict[str, np.ndarray] = {}
        for reader, weight, patches in view.consumers(layer, self.locations, self.seed):
            found[reader] = found.get(reader, 0.0) + gram(weight, patches)
        return found


def places(matrix: np.ndarray) -> np.ndarray:
    """Return each channel's place in the order of removal, from 0 to below 1; NaN where that is not known."""
    if not np.isfinite(matrix).all():
        return np.full(len(matrix), np.nan)
    found = np.empty(len(matrix))
    found[removal_order(matrix)] = np.arange(len(matrix)) / max(len(matrix), 1)
    return found


def removal_order(matrix: np.ndarray) -> np.ndarray:
    """Return the channels in the order in which they can be spared; the lower of equals first."""
    cost = np.diagonal(matrix).astype(np.float64)
    order = np.empty(len(cost), int)
    for place in range(len(cost)):
        order[place] = chosen = int(np.argmin(cost))
        cost = cost + 2 * matrix[chosen]
        cost[order[: place + 1]] = np.inf
    return order


def factors(matrix: np.ndarray, stays: np.ndarray) -> np.ndarray:
    """Return what each kept channel is multiplied by so that the rest replaces the sum of all."""
    left = matrix[np.ix_(stays, stays)]
    missing = matrix[np.ix_(stays, ~stays)].sum(axis=1)
    change: np.ndarray = np.linalg.lstsq(left, missing, rcond=None)[0]
    return 1 + change
