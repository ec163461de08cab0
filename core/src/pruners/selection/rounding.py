"""From a number of weights and a sparsity to how many are pruned, and how ties fall."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

from attrs import field, frozen, validators

from ..errors import OptionError

Ties = Literal["lower", "upper", "keep", "prune"]
"""Which weights of a tie that straddles the cut are pruned.

``lower``: those of the lowest index; ``upper``: those of the highest; ``keep``: none of
them; ``prune``: all of them.
"""
Cut = tuple[int, Ties]
"""How many weights are pruned, and how ties fall."""
RoundingRule = Callable[[int, float], Cut]


def first_of_equals(ties: Ties, rank: int, count: int) -> tuple[int, bool]:
    """Of `count` equals, `rank` to prune: how many come first, and are those kept; the rest is not."""
    if rank == count:
        return count, False
    if ties == "upper":
        return count - rank, True
    return {"lower": rank, "keep": 0, "prune": count}[ties], False


_EPSILON = 1e-9  # 10 * (1 - 0.8) is 1.9999999999999996, and 100 * 0.29 is 28.999999999999996


def _floor(x: float) -> int:
    return math.floor(x + _EPSILON)


def _ceil(x: float) -> int:
    return math.ceil(x - _EPSILON)


def _half_even(x: float) -> int:
    return round(round(x, 9))


def floor(n: int, s: float) -> Cut:
    """Prune exactly floor(s n)."""
    return _floor(s * n), "lower"


def nearest(n: int, s: float) -> Cut:
    """Prune exactly s n rounded to the nearest integer, halves to even, as `torch.nn.utils.prune` does."""
    return round(s * n), "lower"


def gt(n: int, s: float) -> Cut:
    """Keep what is greater than the floor(s n)-th smallest."""
    return _floor(s * n), "prune"


def gt_nm1(n: int, s: float) -> Cut:
    """Keep what is greater than the value at position floor((n - 1) s) of the sorted scores."""
    return _floor(s * (n - 1)) + 1, "prune"


def keep_ge(n: int, s: float) -> Cut:
    """Keep what is at least the max(round(n (1 - s)), 1)-th largest."""
    return n - max(_half_even(n * (1 - s)), 1), "keep"


def keep_low(n: int, s: float) -> Cut:
    """Keep exactly max(round(n (1 - s)), 1); of equals the lower index is kept."""
    return n - max(_half_even(n * (1 - s)), 1), "upper"


def keep_floor(n: int, s: float) -> Cut:
    """Keep exactly floor(n (1 - s))."""
    return n - _floor(n * (1 - s)), "lower"


def keep_floor_ge(n: int, s: float) -> Cut:
    """Keep what is at least the floor(n (1 - s))-th largest."""
    return n - _floor(n * (1 - s)), "keep"


def keep_ceil(n: int, s: float) -> Cut:
    """Keep what is at least the ceil(n (1 - s))-th largest."""
    return n - _ceil(n * (1 - s)), "keep"


def le_kth(n: int, s: float) -> Cut:
    """Prune what is at most the value at position floor(n s) of the sorted scores: one more than `gt`."""
    return _floor(s * n) + 1, "prune"


@frozen
class Multiple:
    """
    Keep a multiple of `m` weights: the smallest that is at least n (1 - s).

    Parameters
    ----------
    m : int
        The unit, at least 1.

    Examples
    --------
    >>> Multiple(8)(100, 0.7)
    (68, 'lower')
    """

    m: int = field(validator=[validators.instance_of(int), validators.ge(1)])

    def __call__(self, n: int, s: float) -> Cut:
        """Return how many of `n` weights are pruned at sparsity `s`, and how ties fall."""
        return n - min(n, _ceil(n * (1 - s) / self.m) * self.m), "lower"


RULES: dict[str, RoundingRule] = {
    "floor": floor,
    "round": nearest,
    "gt": gt,
    "gt_nm1": gt_nm1,
    "keep_ge": keep_ge,
    "keep_low": keep_low,
    "keep_floor": keep_floor,
    "keep_floor_ge": keep_floor_ge,
    "keep_ceil": keep_ceil,
    "pct_le": gt_nm1,  # the interpolated percentile lies between two neighbours in the sorted order
    "le_kth": le_kth,
}
"""Every rule by name; ``multiple`` needs a number and is written ``("multiple", m)``."""

Rounding = str | tuple[str, int] | RoundingRule


def rounding_rule(rounding: Rounding) -> RoundingRule:
    """
    Return the rule that `rounding` names.

    Parameters
    ----------
    rounding : str, ("multiple", int) or callable
        A name in `RULES`, the pair ``("multiple", m)``, or ``rule(n, s) -> (k, ties)``.

    Returns
    -------
    callable
        ``rule(n, s)`` gives ``(k, ties)`` with 0 <= k <= n. No rule prunes anything at s = 0.

    Raises
    ------
    OptionError
        If there is no such rule.

    Examples
    --------
    >>> rounding_rule("floor")(100, 0.29)
    (29, 'lower')
    >>> rounding_rule(("multiple", 8))(100, 0.7)
    (68, 'lower')
    """
    if callable(rounding):
        return _bounded(rounding)
    if isinstance(rounding, str) and rounding in RULES:
        return _bounded(RULES[rounding])
    if isinstance(rounding, (tuple, list)) and len(rounding) == 2 and rounding[0] == "multiple":
        try:
            return _bounded(Multiple(rounding[1]))
        except (TypeError, ValueError):
            raise OptionError(f"rounding is {rounding!r}; 'multiple' takes an integer from 1") from None
    raise OptionError(f"rounding is {rounding!r}; choose from {', '.join(RULES)}, or ('multiple', m)")


def _bounded(rule: RoundingRule) -> RoundingRule:
    def bounded(n: int, s: float) -> Cut:
        k, ties = rule(n, s)
        return (0 if s == 0 else min(max(k, 0), n)), ties

    return bounded
