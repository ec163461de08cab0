"""Exponential decay of density."""

from __future__ import annotations

import math

from attrs import converters, evolve, field, frozen, validators

import pruners

_FRACTION = validators.and_(validators.ge(0.0), validators.lt(1.0))
_WHOLE = validators.instance_of(int)


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

    initial_sparsity: float = field(default=0.0, converter=float, validator=_FRACTION)
    final_sparsity: float | None = field(
        default=None, converter=converters.optional(float), validator=validators.optional(_FRACTION)
    )
    start: int = field(default=0, validator=[_WHOLE, validators.ge(0)])
    stop: int = field(validator=_WHOLE)
    every: int = field(default=1, validator=[_WHOLE, validators.ge(1)])

    def __attrs_post_init__(self) -> None:
        """Refuse ends in the wrong order."""
        if self.stop <= self.start:
            raise pruners.OptionError(f"'stop' must be above 'start', {self.start}: {self.stop}")
        if self.final_sparsity is not None and self.final_sparsity < self.initial_sparsity:
            raise pruners.OptionError(
                f"'final_sparsity' must be at least 'initial_sparsity', {self.initial_sparsity}: "
                f"{self.final_sparsity}"
            )

    def sparsity(self, step: int) -> float:
        """Return the fraction of weights that are zero after `step`."""
        first, final = self.initial_sparsity, self.final_sparsity
        if final is None:
            raise pruners.OptionError(
                "schedule 'exponential' has no end: give final_sparsity=, or sparsity= in its rule"
            )
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
        final = self.final_sparsity if final is None else final
        if initial is None:
            return evolve(self, final_sparsity=final)
        return evolve(
            self, initial_sparsity=initial, final_sparsity=None if final is None else max(initial, final)
        )
