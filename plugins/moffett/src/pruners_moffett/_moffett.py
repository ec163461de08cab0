"""The schedule of Moffett's pruning tools."""

from __future__ import annotations

from attrs import field, frozen
from attrs.converters import optional

import pruners
from pruners.ramps import between, ends, final_fraction, fraction, integer, whole


@frozen(kw_only=True)
class Moffett:
    r"""
    Sparsity that waits, then rises as a cubic, standing still between updates.

    With :math:`c = \lfloor (t - pretrain) / every \rfloor` and
    :math:`N = \lfloor sparse / every \rfloor`,

    .. math:: s_t = s_f + (s_i - s_f) \left(1 - \frac{c}{N}\right)^3

    while :math:`pretrain < t \le pretrain + sparse`; :math:`s_i` before and :math:`s_f` after.

    Parameters
    ----------
    initial_sparsity : float, default 0.0
        :math:`s_i`, fraction of weights that are zero at first, in [0, 1).
    final_sparsity : float, optional
        :math:`s_f`, fraction that is zero in the end, in [0, 1), at least `initial_sparsity`.
        Left out, the rule's ``sparsity`` is taken.
    pretrain : int, default 0
        Steps without pruning, from 0; ``pretrain_step`` in Moffett's tools.
    sparse : int, default 0
        Steps over which the end is reached: 0, or at least `every`; ``sparse_step`` in
        Moffett's tools. At 0 everything goes at once, at step ``pretrain + 1``.
    every : int, default 100
        Steps from one update to the next, from 1; ``frequency`` in Moffett's tools.

    Raises
    ------
    ValueError
        If an option is outside its range, the ends are in the wrong order, or `sparse` is
        shorter than `every` and not 0.
    TypeError
        If a number of steps is not an integer.
    pruners.OptionError
        In use: if `final_sparsity` was left out and no rule gave it.

    Notes
    -----
    Needs no data. Ties are not its matter: it gives a fraction, selection the exact weights.
    Moffett's rounding is the rule's ``rounding="keep_floor"``.

    Steps count from 1 as Moffett's calls of ``prune()`` do. Masks are recomputed at
    ``pretrain + every``, ``pretrain + 2 * every``, ... up to and including
    ``pretrain + sparse``. ``restore_sparsity`` is ``restore=True`` of `pruners.attach`, and
    ``fix_sparsity`` is its ``keep="zeros"``. `between` (which a session calls) never lets a
    layer that starts above the end go back: the end is raised to its start.

    No paper describes it; the cubic is that of Zhu and Gupta, counted so that the first update
    already prunes. Differs from the published code in two cases: an earlier version left out
    the last update and never reached the end (0.9229 of 0.9375 in four updates), here it is
    always reached; and a `sparse` shorter than `every`, which leaves no update, is an error.

    References
    ----------
    .. [1] M. Zhu, S. Gupta, "To prune, or not to prune: exploring the efficacy of pruning for
           model compression", 2017, section 3, equation 1. arXiv:1710.01878.
    .. [2] Moffett AI, "pruningTools2", source code, github.com/jiacliu09/pruningTools2.

    Examples
    --------
    >>> import pruners
    >>> ramp = pruners.schedule("moffett", final_sparsity=0.9375, pretrain=10, sparse=40, every=10)
    >>> [(step, round(ramp.sparsity(step), 4)) for step in range(99) if ramp.due(step)]
    [(20, 0.542), (30, 0.8203), (40, 0.9229), (50, 0.9375)]
    """

    initial_sparsity: float = field(default=0.0, converter=float, validator=fraction)
    final_sparsity: float | None = field(default=None, converter=optional(float), validator=final_fraction)
    pretrain: int = field(default=0, converter=integer, validator=whole(0))
    sparse: int = field(default=0, converter=integer, validator=whole(0))
    every: int = field(default=100, converter=integer, validator=whole(1))

    def __attrs_post_init__(self) -> None:
        """Refuse a ramp without an update."""
        if 0 < self.sparse < self.every:
            raise pruners.OptionError(
                f"'sparse' must be at least 'every', {self.every}, or 0 to prune at once: {self.sparse}"
            )

    def sparsity(self, step: int) -> float:
        """Return the fraction of weights that are zero after `step`."""
        first, final = ends("moffett", self)
        if step <= self.pretrain:
            return first
        done, updates = (step - self.pretrain) // self.every, self.sparse // self.every
        if done >= updates:
            return final
        if done == 0:
            return first
        left = 1 - done / updates
        return max(first, final - (final - first) * (left * left * left))

    def due(self, step: int) -> bool:
        """Return whether masks are recomputed at `step`."""
        since = step - self.pretrain
        if self.sparse == 0:
            return since == 1
        return 0 < since <= self.sparse and since % self.every == 0

    def between(self, initial: float | None, final: float | None) -> Moffett:
        """Return this schedule from `initial` to `final`; None leaves an end as it is."""
        return between(self, initial, final)
