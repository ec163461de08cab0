"""A ramp along half a cosine."""

from __future__ import annotations

from math import pi, sin

from attrs import field, frozen
from attrs.converters import optional

from pruners.ramps import after_start, between, ends, final_fraction, fraction, integer, whole


@frozen(kw_only=True)
class Cosine:
    r"""
    Sparsity that rises along half a cosine: slowly, then fast, then slowly again.

    .. math:: s_t = s_f + \frac{1}{2} (s_i - s_f) (1 + \cos \pi x), \quad x = \frac{t - t_0}{t_1 - t_0}

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

    Notes
    -----
    Needs no data; ties are not its matter. Masks are recomputed at `start`, every `every` steps
    after it, and at `stop`. Differs from the paper, which anneals a learning rate so and starts
    anew: here the density 1 - s is annealed, once.

    References
    ----------
    .. [1] I. Loshchilov, F. Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR
           2017, equation 5. arXiv:1608.03983.

    Examples
    --------
    >>> ramp = Cosine(final_sparsity=0.8, stop=4)
    >>> [round(ramp.sparsity(step), 4) for step in range(5)]
    [0.0, 0.1172, 0.4, 0.6828, 0.8]
    """

    initial_sparsity: float = field(default=0.0, converter=float, validator=fraction)
    final_sparsity: float | None = field(default=None, converter=optional(float), validator=final_fraction)
    start: int = field(default=0, converter=integer, validator=whole(0))
    stop: int = field(converter=integer, validator=after_start)
    every: int = field(default=1, converter=integer, validator=whole(1))

    def sparsity(self, step: int) -> float:
        """Return the fraction of weights that are zero after `step`."""
        first, final = ends("cosine", self)
        if step <= self.start:
            return first
        if step >= self.stop:
            return final
        x = (step - self.start) / (self.stop - self.start)
        return min(final, first + (final - first) * sin(pi * x / 2) ** 2)

    def due(self, step: int) -> bool:
        """Return whether masks are recomputed at `step`."""
        inside = self.start <= step <= self.stop
        return inside and ((step - self.start) % self.every == 0 or step == self.stop)

    def between(self, initial: float | None, final: float | None) -> Cosine:
        """Return this schedule from `initial` to `final`; None leaves an end as it is."""
        return between(self, initial, final)
