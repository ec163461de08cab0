"""A straight ramp."""

from __future__ import annotations

from attrs import field, frozen
from attrs.converters import optional

from pruners.ramps import after_start, between, ends, final_fraction, fraction, integer, whole


@frozen(kw_only=True)
class Linear:
    r"""
    Sparsity that rises in a straight line: the same number of weights at every update.

    .. math:: s_t = s_i + (s_f - s_i)\, x, \quad x = \frac{t - t_0}{t_1 - t_0}

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

    It comes from no paper; NNI 2 offers the same line over a number of iterations. Zhu and
    Gupta argue for the cubic instead, which takes most while most is redundant.

    References
    ----------
    .. [1] M. Zhu, S. Gupta, "To prune, or not to prune: exploring the efficacy of pruning for
           model compression", 2017, section 3. arXiv:1710.01878.

    Examples
    --------
    >>> import pruners
    >>> ramp = pruners.schedule("linear", final_sparsity=0.8, start=0, stop=10, every=4)
    >>> [(step, round(ramp.sparsity(step), 4)) for step in range(20) if ramp.due(step)]
    [(0, 0.0), (4, 0.32), (8, 0.64), (10, 0.8)]
    """

    initial_sparsity: float = field(default=0.0, converter=float, validator=fraction)
    final_sparsity: float | None = field(default=None, converter=optional(float), validator=final_fraction)
    start: int = field(default=0, converter=integer, validator=whole(0))
    stop: int = field(converter=integer, validator=after_start)
    every: int = field(default=1, converter=integer, validator=whole(1))

    def sparsity(self, step: int) -> float:
        """Return the fraction of weights that are zero after `step`."""
        first, final = ends("linear", self)
        if step <= self.start:
            return first
        if step >= self.stop:
            return final
        return min(final, first + (final - first) * ((step - self.start) / (self.stop - self.start)))

    def due(self, step: int) -> bool:
        """Return whether masks are recomputed at `step`."""
        inside = self.start <= step <= self.stop
        return inside and ((step - self.start) % self.every == 0 or step == self.stop)

    def between(self, initial: float | None, final: float | None) -> Linear:
        """Return this schedule from `initial` to `final`; None leaves an end as it is."""
        return between(self, initial, final)
