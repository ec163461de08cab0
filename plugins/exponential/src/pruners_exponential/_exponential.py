"""Exponential decay of density."""

from __future__ import annotations

import math

from attrs import field, frozen
from attrs.converters import optional

from pruners.ramps import after_start, between, ends, final_fraction, fraction, integer, whole


@frozen(kw_only=True)
class Exponential:
    r"""
    Sparsity whose complement, density, falls exponentially: the same share of what is left.

    .. math:: s_t = 1 - (1 - s_i) \left(\frac{1 - s_f}{1 - s_i}\right)^x,
              \quad x = \frac{t - t_0}{t_1 - t_0}

    from :math:`t_0` to :math:`t_1`; :math:`s_i` before and :math:`s_f` after.

    Parameters
    ----------
    initial_sparsity : float, default 0.0
        :math:`s_i`, fraction of weights that are zero at `start`, in [0, 1).
    final_sparsity : float, optional
        :math:`s_f`, fraction that is zero from `stop` on, in [0, 1), at least
        `initial_sparsity`. Left out, the rule's ``sparsity`` is taken.
    start : int, default 0
        :math:`t_0`, the step (or epoch) of the first update, from 0.
    stop : int
        :math:`t_1`, the step of the last update, above `start`.
    every : int, default 1
        Steps from one update to the next, from 1.

    Raises
    ------
    ValueError
        If an option is outside its range or the ends are in the wrong order.
    TypeError
        If a step is not an integer.
    pruners.OptionError
        In use: if `final_sparsity` was left out and no rule gave it.

    Notes
    -----
    Needs no data. Ties are not its matter: it gives a fraction, selection the exact weights.

    Masks are recomputed at `start`, every `every` steps after it, and at `stop` whether or not
    that is a multiple of `every`, so that the end is always reached. `sparsity` is defined
    between updates too. `between` (which a session calls) never lets a layer that starts above
    the end go back: the end is raised to its start.

    The paper prunes in n rounds to density :math:`\rho^{k/n}` in round k, which is this
    schedule with `start` 0, `stop` n, from 0 to :math:`1 - \rho`. NNCF's exponential schedule
    uses the same curve; the lottery-ticket rounds that prune 20 % of the rest each are it too.

    References
    ----------
    .. [1] H. Tanaka, D. Kunin, D. L. K. Yamins, S. Ganguli, "Pruning neural networks without
           any data by iteratively conserving synaptic flow", NeurIPS 2020, algorithm 1.
           arXiv:2006.05467.

    Examples
    --------
    Three rounds that each take half of what is left:

    >>> import pruners
    >>> rounds = pruners.schedule("exponential", final_sparsity=0.875, stop=3)
    >>> [round(rounds.sparsity(step), 4) for step in range(4)]
    [0.0, 0.5, 0.75, 0.875]
    """

    initial_sparsity: float = field(default=0.0, converter=float, validator=fraction)
    final_sparsity: float | None = field(default=None, converter=optional(float), validator=final_fraction)
    start: int = field(default=0, converter=integer, validator=whole(0))
    stop: int = field(converter=integer, validator=after_start)
    every: int = field(default=1, converter=integer, validator=whole(1))

    def sparsity(self, step: int) -> float:
        """Return the fraction of weights that are zero after `step`."""
        first, final = ends("exponential", self)
        if step <= self.start:
            return first
        if step >= self.stop:
            return final
        x = (step - self.start) / (self.stop - self.start)
        density = (1 - first) * math.pow((1 - final) / (1 - first), x)
        return min(final, max(first, 1 - density))

    def due(self, step: int) -> bool:
        """Return whether masks are recomputed at `step`."""
        inside = self.start <= step <= self.stop
        return inside and ((step - self.start) % self.every == 0 or step == self.stop)

    def between(self, initial: float | None, final: float | None) -> Exponential:
        """Return this schedule from `initial` to `final`; None leaves an end as it is."""
        return between(self, initial, final)
