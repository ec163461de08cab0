"""One-shot pruning."""

from __future__ import annotations

from attrs import field, frozen
from attrs.converters import optional

from pruners.ramps import between, ends, final_fraction, fraction, integer, whole


@frozen(kw_only=True)
class Constant:
    r"""
    Sparsity that jumps to its end at one step and stays there.

    :math:`s_t = s_f` from step :math:`t = at` on, :math:`s_i` before it.

    Parameters
    ----------
    initial_sparsity : float, default 0.0
        :math:`s_i`, fraction of weights that are zero before `at`, in [0, 1).
    final_sparsity : float, optional
        :math:`s_f`, fraction that is zero from `at` on, in [0, 1), at least
        `initial_sparsity`. Left out, the rule's ``sparsity`` is taken.
    at : int, default 0
        The step (or epoch) of the only update, from 0; at 0 it is done before training.

    Raises
    ------
    ValueError
        If an option is outside its range or the ends are in the wrong order.
    TypeError
        If `at` is not an integer.
    pruners.OptionError
        In use: if `final_sparsity` was left out and no rule gave it.

    Notes
    -----
    Needs no data. Ties are not its matter: it gives a fraction, selection the exact weights.

    Masks are recomputed at `at` and never again. `between` (which a session calls) never lets
    a layer that starts above the end go back: the end is raised to its start.

    The paper calls this one-shot pruning and finds that rounds of pruning and retraining keep
    accuracy at higher sparsity. NNI 1.0 recomputed constant masks at every forward pass; this
    does not.

    References
    ----------
    .. [1] J. Frankle, M. Carbin, "The Lottery Ticket Hypothesis: Finding Sparse, Trainable
           Neural Networks", ICLR 2019, section 1. arXiv:1803.03635.

    Examples
    --------
    >>> import pruners
    >>> once = pruners.schedule("one-shot", final_sparsity=0.9, at=100)
    >>> once.sparsity(99), once.sparsity(100)
    (0.0, 0.9)
    >>> [step for step in range(1000) if once.due(step)]
    [100]
    """

    initial_sparsity: float = field(default=0.0, converter=float, validator=fraction)
    final_sparsity: float | None = field(default=None, converter=optional(float), validator=final_fraction)
    at: int = field(default=0, converter=integer, validator=whole(0))

    def sparsity(self, step: int) -> float:
        """Return the fraction of weights that are zero after `step`."""
        first, final = ends("constant", self)
        return final if step >= self.at else first

    def due(self, step: int) -> bool:
        """Return whether masks are recomputed at `step`."""
        return step == self.at

    def between(self, initial: float | None, final: float | None) -> Constant:
        """Return this schedule from `initial` to `final`; None leaves an end as it is."""
        return between(self, initial, final)
