"""Automated gradual pruning."""

from __future__ import annotations

from typing import Literal

from attrs import field, frozen
from attrs.converters import optional
from attrs.validators import in_

import pruners
from pruners.ramps import after_start, between, ends, final_fraction, fraction, integer, whole


@frozen(kw_only=True)
class AGP:
    r"""
    Sparsity that rises as a cubic: fast at first, slowly at the end.

    With :math:`n` updates after the first, :math:`\Delta t` steps apart,

    .. math:: s_t = s_f + (s_i - s_f) \left(1 - \frac{t - t_0}{n \Delta t}\right)^3

    from :math:`t_0` to :math:`t_0 + n \Delta t`; :math:`s_i` before and :math:`s_f` after.

    Parameters
    ----------
    initial_sparsity : float, default 0.0
        :math:`s_i`, fraction of weights that are zero at `start`, in [0, 1).
    final_sparsity : float, optional
        :math:`s_f`, fraction that is zero in the end, in [0, 1), at least `initial_sparsity`.
        Left out, the rule's ``sparsity`` is taken.
    start : int, default 0
        :math:`t_0`, the step (or epoch) of the first update, from 0.
    stop : int
        The step by which the ramp is over, above `start`.
    every : int, default 1
        :math:`\Delta t`, steps from one update to the next, from 1.
    form : {"paper", "nni"}, default "paper"
        "paper": :math:`n = \lfloor (stop - start) / every \rfloor`; masks are recomputed at
        `start` and n times after it, then no more. "nni": as NNI 1.x and Distiller have it, with
        `stop` outside the ramp: :math:`n = \lfloor (stop - start - 1) / every \rfloor`, so that
        :math:`s_f` is there on the last of the epochs before `stop`; masks are recomputed every
        `every` steps without end.

    Raises
    ------
    ValueError
        If an option is outside its range, the ends are in the wrong order, or, in form
        "paper", `every` is longer than the ramp.
    TypeError
        If a step is not an integer.
    pruners.OptionError
        In use: if `final_sparsity` was left out and no rule gave it.

    Notes
    -----
    Needs no data. Ties are not its matter: it gives a fraction, selection the exact weights.

    `sparsity` is defined between updates too, on the same curve. `between` (which a session
    calls) never lets a layer that starts above the end go back: the end is raised to its start.

    Form "paper" is the paper's equation 1 with its n and frequency written as `stop` and
    `every`; the paper advises 100 to 1000 steps between updates. Form "nni" differs from the
    published code in one case, a ramp shorter than `every`: NNI stops at an assertion, here
    the sparsity stays at the start until `stop`.

    References
    ----------
    .. [1] M. Zhu, S. Gupta, "To prune, or not to prune: exploring the efficacy of pruning for
           model compression", 2017, section 3, equation 1. arXiv:1710.01878.

    Examples
    --------
    >>> import pruners
    >>> ramp = pruners.schedule("agp", final_sparsity=0.8, start=0, stop=10, every=2)
    >>> [round(ramp.sparsity(step), 4) for step in (0, 2, 4, 6, 8, 10)]
    [0.0, 0.3904, 0.6272, 0.7488, 0.7936, 0.8]
    >>> [step for step in range(20) if ramp.due(step)]
    [0, 2, 4, 6, 8, 10]
    """

    initial_sparsity: float = field(default=0.0, converter=float, validator=fraction)
    final_sparsity: float | None = field(default=None, converter=optional(float), validator=final_fraction)
    start: int = field(default=0, converter=integer, validator=whole(0))
    stop: int = field(converter=integer, validator=after_start)
    every: int = field(default=1, converter=integer, validator=whole(1))
    form: Literal["paper", "nni"] = field(default="paper", validator=in_(("paper", "nni")))

    def __attrs_post_init__(self) -> None:
        """Refuse a ramp without an update."""
        if self.form == "paper" and self.every > self.stop - self.start:
            raise pruners.OptionError(
                f"'every' must be at most stop - start, {self.stop - self.start}: {self.every}"
            )

    def sparsity(self, step: int) -> float:
        """Return the fraction of weights that are zero after `step`."""
        first, final = ends("agp", self)
        if step >= (self.stop if self.form == "nni" else self.start + self._span):
            return final
        if step <= self.start or not self._span:
            return first
        left = max(0.0, 1 - (step - self.start) / self._span)
        return max(first, final - (final - first) * (left * left * left))

    def due(self, step: int) -> bool:
        """Return whether masks are recomputed at `step`."""
        since = step - self.start
        return since >= 0 and since % self.every == 0 and (self.form == "nni" or since <= self._span)

    def between(self, initial: float | None, final: float | None) -> AGP:
        """Return this schedule from `initial` to `final`; None leaves an end as it is."""
        return between(self, initial, final)

    @property
    def _span(self) -> int:
        """Steps from the first update to the one that reaches the end."""
        steps = self.stop - self.start - (self.form == "nni")
        return steps // self.every * self.every
