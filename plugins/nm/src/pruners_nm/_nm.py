"""N:M sparsity."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from attrs import field, frozen

import pruners
from pruners.options import integer, whole
from pruners.selection import Ranking, keep_per_group


def _below_block(instance: Any, attribute: Any, value: int) -> None:
    if not 1 <= value < instance.block:
        raise ValueError(f"'keep' must be from 1 to block - 1 = {instance.block - 1}: {value}")


@frozen(kw_only=True)
class NM:
    r"""
    Keep the `keep` best of every `block` neighbouring weights.

    At sparsity :math:`s` each block of :math:`M` weights along `axis` loses
    :math:`\min(M - N, \lfloor sM \rfloor)`, so a schedule walks there one weight per block at a
    time, and :math:`s \ge 1 - N/M` gives the pattern itself.

    Parameters
    ----------
    block : int, default 4
        Weights of a block, M, at least 2.
    keep : int, default 2
        Weights kept in each block, N, from 1 to `block` - 1. Tools that ask for zeros per
        block mean M - N.
    axis : int, default 1
        The axis of ``(out, in, *kernel)`` along which blocks lie. The default is the input
        axis, for a convolution separately at each kernel position.

    Raises
    ------
    pruners.SkipLayer
        If a layer has fewer than two axes, or lacks `axis`; it stays dense.
    pruners.ScoreError
        If a score is NaN.

    Notes
    -----
    Needs no data of its own; it lays out the scores of any pruner.

    Ties: exactly the asked number is kept in every block and float type; of equal scores the
    lower index is pruned. Weights that are already pruned go first, so masks are nested.

    Where `block` does not divide the axis, the last block is shorter and its missing lanes count
    as already pruned, as if the weight were padded with zeros: 2:4 keeps 2 of 3, 2 of 2, 1 of 1.

    A sparsity above 1 - N/M cannot be reached: the layer gets N:M and a
    `pruners.PatternLimit` warning. Differs from the paper, which prunes to 2:4 in one step.

    References
    ----------
    .. [1] A. Mishra, J. A. Latorre, J. Pool, D. Stosic, D. Stosic, G. Venkatesh, C. Yu,
           P. Micikevicius, "Accelerating Sparse Deep Neural Networks", 2021, section 3.
           arXiv:2104.08378.

    Examples
    --------
    >>> import numpy as np
    >>> from pruners.selection import Ranking
    >>> w = np.array([[1.0, -3.0, 2.0, 0.5, 0.0, 0.0, 1.0, -1.0]])
    >>> NM().mask(Ranking("w", w, magnitude=True), 0.5).astype(int).tolist()
    [[0, 1, 1, 0, 0, 0, 1, 1]]
    """

    block: int = field(default=4, converter=integer, validator=whole(2))
    keep: int = field(default=2, converter=integer, validator=[whole(), _below_block])
    axis: int = field(default=1, converter=integer, validator=whole(0))

    def mask(self, ranking: Ranking, sparsity: float) -> np.ndarray:
        """Return the bool mask ``(out, in, *kernel)`` with the same zeros in every block."""
        if len(ranking.shape) < 2 or self.axis >= len(ranking.shape):
            raise pruners.SkipLayer(
                f"{self.keep}:{self.block} along axis {self.axis} needs a weight (out, in, ...), "
                f"and this one has shape {ranking.shape}"
            )
        limit = 1 - self.keep / self.block
        if sparsity > limit + 1e-9:
            warnings.warn(
                f"{self.keep}:{self.block} prunes at most {limit:.4g} of '{ranking.name}', "
                "and more was asked for",
                pruners.PatternLimit,
                stacklevel=2,
            )
        zeros = min(self.block - self.keep, math.floor(sparsity * self.block + 1e-9))
        return keep_per_group(ranking, self.block, self.block - zeros, axis=self.axis)

    def rows(self, shape: tuple[int, ...]) -> int:
        """Return the multiple of rows at which a layer may be cut: any, unless blocks lie along them."""
        return self.block if self.axis == 0 else 1

    def check(self, mask: np.ndarray) -> None:
        """Raise `pruners.PatternError` unless every block has the same zeros, at most block - keep."""
        if mask.ndim < 2 or self.axis >= mask.ndim or not mask.size:
            return
        lanes = np.moveaxis(mask, self.axis, -1)
        full = lanes.shape[-1] // self.block * self.block
        zeros = self.block - np.count_nonzero(
            lanes[..., :full].reshape(*lanes.shape[:-1], full // self.block, self.block), axis=-1
        )
        rest = lanes.shape[-1] - full
        if rest:
            padded = self.block - np.count_nonzero(lanes[..., full:], axis=-1)
            missing = self.block - rest
            fewest = int(padded.max()) if not full else max(int(zeros.max()), missing)
            self._same(padded, fewest, "shorter block at the end")
        if full:
            self._same(zeros, int(zeros.flat[0]), "block")

    def _same(self, zeros: np.ndarray, expected: int, what: str) -> None:
        wrong = int(np.count_nonzero(zeros != expected))
        if wrong:
            raise pruners.PatternError(
                f"{wrong} of {zeros.size} runs ({what}) do not have the {expected} zeros in {self.block} "
                f"that {self.keep}:{self.block} along axis {self.axis} gives"
            )
        if expected > self.block - self.keep and what == "block":
            raise pruners.PatternError(
                f"blocks have {expected} zeros in {self.block}; "
                f"{self.keep}:{self.block} gives at most {self.block - self.keep}"
            )
