"""The schedules of Paddle's parameter hooks."""

from __future__ import annotations

import math
from typing import Literal

from attrs import field, frozen
from attrs.converters import optional
from attrs.validators import in_

from pruners.ramps import between, ends, final_fraction, fraction, integer, whole


@frozen(kw_only=True)
class Paddle:
    r"""
    Sparsity that rises as a logarithm of the pass, in ever smaller steps up to a bound.

    With bound :math:`b`, pass :math:`p`, interval :math:`I` and last pass :math:`E`,

    .. math:: s_p = b\,\frac{\ln(2 + p/I)}{\ln(2 + E/I)} \quad \text{(code)}, \qquad
              s_p = b\,\frac{\ln(1 + p/I)}{\ln(1 + E/I)} \quad \text{(figure)}

    up to :math:`E`, and :math:`b` after it.

    Parameters
    ----------
    initial_sparsity : float, default 0.0
        Fraction of weights that are zero before the first pass, in [0, 1): smaller values of
        the formula are raised to it.
    final_sparsity : float, optional
        :math:`b`, fraction that is zero from `end` on, in [0, 1), at least
        `initial_sparsity`; ``sparsity_upper_bound`` in Paddle. Left out, the rule's
        ``sparsity`` is taken.
    interval : int, default 3
        :math:`I`, passes from one update to the next, from 1; ``interval_pass`` in Paddle.
    end : int, default 60
        :math:`E`, the last pass with an update, from 1; ``end_pass`` in Paddle.
    variant : {"code", "figure"}, default "code"
        The formula: as Paddle computes it, already above 0 at pass 0; or as its documentation
        draws it, from 0.

    Raises
    ------
    ValueError
        If an option is outside its range or the ends are in the wrong order.
    TypeError
        If a number of passes is not an integer.
    pruners.OptionError
        In use: if `final_sparsity` was left out and no rule gave it.

    Notes
    -----
    Needs no data. Ties are not its matter: it gives a fraction, selection the exact weights.
    Paddle's rounding, which keeps floor((1 - s) M) of M weights, is the rule's
    ``rounding="keep_floor"``.

    A pass is an epoch: drive the session with ``pruning.epoch(p)``. Masks are recomputed at
    pass 0, `interval`, 2 `interval`, ... and at `end`: E / I + 1 times, where Paddle's
    documentation says E / I. `between` (which a session calls) never lets a layer that starts
    above the end go back: the end is raised to its start.

    No paper describes the curve; ranking by magnitude is Han's. Differs from the published
    code where `interval` does not divide `end`: Paddle's last update then comes before `end`
    and never reaches the bound, here there is one more update, at `end`.

    References
    ----------
    .. [1] PaddlePaddle, "Mobile", model compression by pruning, source code and documentation,
           github.com/PaddlePaddle/Mobile.
    .. [2] S. Han, J. Pool, J. Tran, W. J. Dally, "Learning both Weights and Connections for
           Efficient Neural Networks", NIPS 2015. arXiv:1506.02626.

    Examples
    --------
    >>> import pruners
    >>> passes = pruners.schedule("paddle", final_sparsity=0.75, interval=1, end=3)
    >>> [round(passes.sparsity(p), 4) for p in range(5)]
    [0.323, 0.512, 0.646, 0.75, 0.75]
    >>> [p for p in range(9) if passes.due(p)]
    [0, 1, 2, 3]
    """

    initial_sparsity: float = field(default=0.0, converter=float, validator=fraction)
    final_sparsity: float | None = field(default=None, converter=optional(float), validator=final_fraction)
    interval: int = field(default=3, converter=integer, validator=whole(1))
    end: int = field(default=60, converter=integer, validator=whole(1))
    variant: Literal["code", "figure"] = field(default="code", validator=in_(("code", "figure")))

    def sparsity(self, step: int) -> float:
        """Return the fraction of weights that are zero after pass `step`."""
        first, bound = ends("paddle", self)
        if step >= self.end:
            return bound
        offset = 2 if self.variant == "code" else 1
        reached = math.log(offset + max(0, step) / self.interval)
        share = reached / math.log(offset + self.end / self.interval)
        return max(first, min(bound, bound * share))

    def due(self, step: int) -> bool:
        """Return whether masks are recomputed at pass `step`."""
        return 0 <= step <= self.end and (step % self.interval == 0 or step == self.end)

    def between(self, initial: float | None, final: float | None) -> Paddle:
        """Return this schedule from `initial` to `final`; None leaves an end as it is."""
        return between(self, initial, final)


@frozen(kw_only=True)
class PaddleStatic:
    r"""
    Sparsity that is there before training begins: Paddle's hook ``pruning``.

    :math:`s_t = s_f` at every step.

    Parameters
    ----------
    initial_sparsity : float, default 0.0
        Fraction of weights that are zero before, in [0, 1). Only a lower bound of the end.
    final_sparsity : float, optional
        :math:`s_f`, fraction that is zero, in [0, 1), at least `initial_sparsity`;
        ``sparsity_ratio`` in Paddle. Left out, the rule's ``sparsity`` is taken.

    Raises
    ------
    ValueError
        If an option is outside its range or the ends are in the wrong order.
    pruners.OptionError
        In use: if `final_sparsity` was left out and no rule gave it.

    Notes
    -----
    Needs no data. Ties are not its matter: it gives a fraction, selection the exact weights.
    Paddle's rounding, which keeps floor((1 - s) M) of M weights, is the rule's
    ``rounding="keep_floor"``; its documentation instead prunes the floor(s M) smallest, which
    differs by one where s M is not whole.

    Masks are computed once, at step 0. The same as the schedule ``constant`` with ``at=0``.
    Ranking by magnitude is the paper's; it prunes below a threshold, Paddle a fraction.

    References
    ----------
    .. [1] S. Han, J. Pool, J. Tran, W. J. Dally, "Learning both Weights and Connections for
           Efficient Neural Networks", NIPS 2015. arXiv:1506.02626.

    Examples
    --------
    >>> import pruners
    >>> static = pruners.schedule("paddle-static", final_sparsity=0.6)
    >>> static.sparsity(0), [step for step in range(9) if static.due(step)]
    (0.6, [0])
    """

    initial_sparsity: float = field(default=0.0, converter=float, validator=fraction)
    final_sparsity: float | None = field(default=None, converter=optional(float), validator=final_fraction)

    def sparsity(self, step: int) -> float:
        """Return the fraction of weights that are zero, whatever the step."""
        return ends("paddle-static", self)[1]

    def due(self, step: int) -> bool:
        """Return whether `step` is 0."""
        return step == 0

    def between(self, initial: float | None, final: float | None) -> PaddleStatic:
        """Return this schedule from `initial` to `final`; None leaves an end as it is."""
        return between(self, initial, final)
