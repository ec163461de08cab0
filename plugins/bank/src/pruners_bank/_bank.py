"""Bank-balanced sparsity."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from attrs import field, frozen, validators

import pruners
from pruners.options import integer, whole
from pruners.selection import Ranking, fill_groups, layer_mask, rounding_rule

_INTERLEAVED = 8  # banks that share a group of neighbouring inputs
_FPGA_GROUPS = 4  # channel groups of one kernel row


def _balance(value: Any) -> Any:
    return {True: "fix", False: "none"}.get(value, value) if isinstance(value, bool) else value


def _input_axis_unless_contiguous(instance: Any, attribute: Any, value: int) -> None:
    if value != 1 and instance.layout != "contiguous":
        raise ValueError(f"'axis' must be 1 with layout {instance.layout!r}: {value}")


@frozen
class _Banks:
    """Some banks of a layer: how to see them, and whether they are the full ones."""

    view: Callable[[np.ndarray], np.ndarray]
    axes: int
    full: bool


@frozen(kw_only=True)
class Bank:
    r"""
    Keep the same number of weights in every bank of inputs.

    Of a layer's :math:`n` weights :math:`k = \lfloor n(1 - s) \rfloor` would be kept; each of
    its :math:`B` banks keeps its :math:`\lceil k / B \rceil` best, so the layer is at most as
    sparse as asked.

    Parameters
    ----------
    size : int, default 64
        Weights of a bank, at least 1. Not used by the layout "fpga".
    balance : {"fix", "none"} or bool, default "fix"
        "fix" (True) balances banks; "none" (False) keeps the k best of the whole layer.
    layout : {"contiguous", "interleaved", "fpga"}, default "contiguous"
        "contiguous": `size` neighbouring inputs at one kernel position. "interleaved": in layers
        with one kernel position, groups of 8 `size` inputs hold 8 banks, input j in bank
        j mod 8; other layers are contiguous. "fpga": each row ``(out, kernel row)`` is cut into
        4 runs of channels, each with all its kernel columns.
    axis : int, default 1
        The axis of ``(out, in, *kernel)`` along which contiguous banks lie.

    Raises
    ------
    pruners.SkipLayer
        If a layer has fewer than 4 inputs, or fewer than 8 where it has one kernel position:
        first layers, which stay dense.
    pruners.ScoreError
        If a score is NaN.

    Notes
    -----
    Needs no data of its own; it lays out the scores of any pruner.

    Ties: of equal scores the lower index is pruned. Weights that are already pruned go first,
    so masks are nested.

    Where banks do not divide the inputs, all full banks together keep
    :math:`\lfloor k I_{full} / I \rfloor` and the shorter ones at the end the rest, again each as
    many. If k < 1 everything is pruned.

    Weights with one axis, and with "fpga" other than two or four, have no banks: they are pruned
    as with "none", with a `pruners.SkippedLayer` warning. Differs from the paper, which balances
    the banks of one row; here the count comes from the whole layer, as in Moffett's tools, whose
    code drops layers with too few inputs without a word.

    References
    ----------
    .. [1] S. Cao, C. Zhang, Z. Yao, W. Xiao, L. Nie, D. Zhan, Y. Liu, M. Wu, L. Zhang, "Efficient
           and Effective Sparse LSTM on FPGA with Bank-Balanced Sparsity", FPGA 2019, section 3.
           doi:10.1145/3289602.3293898.

    Examples
    --------
    >>> import numpy as np
    >>> from pruners.selection import Ranking
    >>> w = np.arange(16.0).reshape(1, 16) % 8
    >>> Bank(size=8).mask(Ranking("w", w), 0.75).astype(int).tolist()
    [[0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1]]
    """

    size: int = field(default=64, converter=integer, validator=whole(1))
    balance: Literal["fix", "none"] = field(
        default="fix", converter=_balance, validator=validators.in_(("fix", "none"))
    )
    layout: Literal["contiguous", "interleaved", "fpga"] = field(
        default="contiguous", validator=validators.in_(("contiguous", "interleaved", "fpga"))
    )
    axis: int = field(default=1, converter=integer, validator=[whole(0), _input_axis_unless_contiguous])

    def mask(self, ranking: Ranking, sparsity: float) -> np.ndarray:
        """Return the bool mask ``(out, in, *kernel)`` with balanced banks."""
        if self.balance == "none":
            return layer_mask(ranking, sparsity, rounding_rule("keep_floor"))
        if not self._fits(ranking.shape):
            warnings.warn(
                f"'{ranking.name}' of shape {ranking.shape} has no banks of layout {self.layout!r}; "
                "it is pruned without them",
                pruners.SkippedLayer,
                stacklevel=2,
            )
            return layer_mask(ranking, sparsity, rounding_rule("keep_floor"))
        self._enough_inputs(ranking.shape)
        mask = np.zeros_like(ranking.scores, np.bool_, subok=False)
        left = math.floor(ranking.total * (1 - sparsity) + 1e-9)
        for full in (True, False):
            banks = [b for b in self._banks(ranking.shape) if b.full is full]
            weights, count = self._amounts(banks, ranking.whole_shape)
            if not weights:
                continue
            share = left * weights // ranking.total if full else left
            left -= share
            for b in banks:
                fill_groups(ranking, mask, b.view, -(-share // count), b.axes)
        return mask

    def rows(self, shape: tuple[int, ...]) -> int | None:
        """Return the multiple of rows at which a layer may be cut: any, unless banks lie along them."""
        return 1 if self.axis or self.balance == "none" or not self._fits(shape) else None

    def check(self, mask: np.ndarray) -> None:
        """Raise `pruners.PatternError` unless banks of one length keep equally many."""
        if self.balance == "none" or not self._fits(mask.shape) or not mask.size:
            return
        for b in self._banks(mask.shape):
            view = b.view(mask)
            kept = np.count_nonzero(view, axis=tuple(range(view.ndim - b.axes, view.ndim)))
            if kept.size and kept.min() != kept.max():
                raise pruners.PatternError(
                    f"banks of layout {self.layout!r} keep from {kept.min()} to {kept.max()} weights; "
                    "each has to keep as many as the others"
                )

    def _fits(self, shape: tuple[int, ...]) -> bool:
        if self.layout == "fpga":
            return len(shape) in (2, 4)
        return len(shape) > max(1, self.axis)

    def _enough_inputs(self, shape: tuple[int, ...]) -> None:
        point = math.prod(shape[2:]) == 1
        least = 8 if point else 4
        if shape[self.axis] < least:
            kernel = "one kernel position" if point else "a larger kernel"
            raise pruners.SkipLayer(
                f"its axis {self.axis} is {shape[self.axis]} wide; with {kernel}, banks need at least {least}"
            )

    def _amounts(self, banks: Sequence[_Banks], shape: tuple[int, ...]) -> tuple[int, int]:
        """Return how many weights and how many banks a whole layer has, from those of one of its rows."""
        one = shape if self.axis == 0 else (1, *shape[1:])
        row = np.empty(one, np.bool_)
        shown = [(b.view(row), b.axes) for b in banks]
        times = 1 if self.axis == 0 else shape[0]
        weights = sum(view.size for view, _ in shown)
        count = sum(int(np.prod(view.shape[: view.ndim - axes])) for view, axes in shown)
        return weights * times, count * times

    def _banks(self, shape: tuple[int, ...]) -> list[_Banks]:
        """Return the banks of a layer of this shape, full ones first."""
        if self.layout == "fpga":
            return _fpga(shape)
        if self.layout == "interleaved" and math.prod(shape[2:]) == 1:
            return _interleaved(shape[1], self.size)
        return _contiguous(self.axis, shape[self.axis], self.size)


def _contiguous(axis: int, inputs: int, size: int) -> list[_Banks]:
    end = inputs // size * size

    def full(array: np.ndarray) -> np.ndarray:
        lanes = np.moveaxis(array, axis, -1)[..., :end]
        return lanes.reshape(*lanes.shape[:-1], end // size, size)

    return [_Banks(full, 1, True), _Banks(lambda array: np.moveaxis(array, axis, -1)[..., end:], 1, False)]


def _interleaved(inputs: int, size: int) -> list[_Banks]:
    group = size * _INTERLEAVED
    end = inputs // group * group

    def full(array: np.ndarray) -> np.ndarray:
        lanes = np.moveaxis(array, 1, -1)[..., :end]
        return np.moveaxis(lanes.reshape(*lanes.shape[:-1], end // group, size, _INTERLEAVED), -1, -2)

    def rest(bank: int) -> Callable[[np.ndarray], np.ndarray]:
        return lambda array: np.moveaxis(array, 1, -1)[..., end + bank :: _INTERLEAVED]

    banks = range(min(_INTERLEAVED, inputs - end))
    return [_Banks(full, 1, True), *(_Banks(rest(bank), 1, False) for bank in banks)]


def _fpga(shape: tuple[int, ...]) -> list[_Banks]:
    each = shape[1] // _FPGA_GROUPS
    end = each * _FPGA_GROUPS

    def rows(array: np.ndarray) -> np.ndarray:
        return array.swapaxes(1, 2) if array.ndim == 4 else array[:, None, :, None]

    def full(array: np.ndarray) -> np.ndarray:
        row = rows(array)[:, :, :end]
        return row.reshape(*row.shape[:2], _FPGA_GROUPS, each, row.shape[-1])

    return [_Banks(full, 2, True), _Banks(lambda array: rows(array)[:, :, end:], 2, False)]
