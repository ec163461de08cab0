"""One-shot pruning."""

from __future__ import annotations

from attrs import converters, evolve, field, frozen, validators

import pruners

_FRACTION = validators.and_(validators.ge(0.0), validators.lt(1.0))


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

    initial_sparsity: float = field(default=0.0, converter=float, validator=_FRACTION)
    final_sparsity: float | None = field(
        default=None, converter=converters.optional(float), validator=validators.optional(_FRACTION)
    )
    at: int = field(default=0, validator=[validators.instance_of(int), validators.ge(0)])

    def __attrs_post_init__(self) -> None:
        """Refuse ends in the wrong order."""
        if self.final_sparsity is not None and self.final_sparsity < self.initial_sparsity:
            raise pruners.OptionError(
                f"'final_sparsity' must be at least 'initial_sparsity', {self.initial_sparsity}: "
                f"{self.final_sparsity}"
            )

    def sparsity(self, step: int) -> float:
        """Return the fraction of weights that are zero after `step`."""
        if self.final_sparsity is None:
            raise pruners.OptionError(
                "schedule 'constant' has no end: give final_sparsity=, or sparsity= in its rule"
            )
        return self.final_sparsity if step >= self.at else self.initial_sparsity

    def due(self, step: int) -> bool:
        """Return whether masks are recomputed at `step`."""
        return step == self.at

    def between(self, initial: float | None, final: float | None) -> Constant:
        """Return this schedule from `initial` to `final`; None leaves an end as it is."""
        final = self.final_sparsity if final is None else final
        if initial is None:
            return evolve(self, final_sparsity=final)
        return evolve(
            self, initial_sparsity=initial, final_sparsity=None if final is None else max(initial, final)
        )
