"""Han's threshold: what lies within q standard deviations of zero goes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from attrs import field, frozen, validators

import pruners

from ._threshold import Threshold, counts_of_one_q, deviation


@frozen(kw_only=True)
class Sensitivity:
    r"""
    Score every weight by its absolute value; a multiple of the layer's deviation is the cut.

    Of layer :math:`l` all weights with :math:`|w| \le q\,\sigma_l` go, where :math:`\sigma_l`
    is the standard deviation of its weights when the session began. The rule's `sparsity` is
    read as the quality parameter :math:`q` (dimensionless, from 0, may exceed 1), not as a
    fraction: how much goes follows from the weights, layer by layer.

    Parameters
    ----------
    mode : {"han", "nni"}, default "han"
        "han" is the threshold above. "nni" is what the SensitivityPruner of NNI 1.0 computes
        from the same number :math:`s`: a fraction, :math:`k = \lfloor n s \sigma \rfloor` with
        :math:`\sigma` measured anew at every update, zeros included, so that the effect
        compounds. A weight that is zero stays zero.
    std : {"unbiased", "population"}, default "unbiased"
        Divide the sum of squares by n - 1 or by n. A single weight has deviation 0.
    target_sparsity : bool, default False
        Read `sparsity` as the fraction, in [0, 1), of all weights of the rule together. One
        :math:`q` is then found for all its layers so that exactly
        :math:`\lfloor sN + 10^{-9} \rfloor` of their :math:`N` weights go. Only in mode "han".

    Raises
    ------
    ValueError
        If `mode` or `std` is not one of its choices, or `target_sparsity` is asked of mode "nni".
    pruners.OptionError
        In use: if `sparsity` is negative, or is not below 1 with `target_sparsity`.

    Notes
    -----
    Needs no data: reads weights only, in float64 for deviations and thresholds. The deviations
    are measured once and saved with the session, so thresholds do not move as weights go.

    Every layer keeps at least one weight, whatever the threshold; a layer of one weight is
    left alone. `q` = 0 prunes nothing.

    Ties: weights equal to the threshold go. With `target_sparsity`, weights that are the same
    number of deviations away from zero go in the order of the layers, then of their index.

    A schedule ramps q itself; this project's schedules end below 1, so a larger q is for a
    rule without one. With `scope="model"` the counts of the layers are added up and go from
    one pool. A rule with different sparsities by layer and `target_sparsity` takes each
    layer's share from the `q` that would reach that layer's number over all of them.

    The paper chooses one q per layer from a scan of the layer's sensitivity; give
    ``sparsity={parameter name: q}`` for that. Distiller measures the unbiased deviation once,
    as here. NNI documents the threshold and computes the fraction; `mode` has both.

    References
    ----------
    .. [1] S. Han, J. Pool, J. Tran, W. J. Dally, "Learning both Weights and Connections for
           Efficient Neural Networks", NIPS 2015, sections 3 and 4. arXiv:1506.02626.

    Examples
    --------
    The deviation is 1.226, so at q = 0.5 everything up to 0.613 goes:

    >>> import numpy as np, pruners
    >>> model = {"w": np.array([-2, -1, -0.5, -0.1, 0.1, 0.5, 1, 2])}
    >>> pruners.masks(model, "sensitivity", sparsity=0.5, match="w")["w"].astype(int).tolist()
    [1, 1, 0, 0, 0, 0, 1, 1]
    """

    mode: Literal["han", "nni"] = field(default="han", validator=validators.in_(("han", "nni")))
    std: Literal["unbiased", "population"] = field(
        default="unbiased", validator=validators.in_(("unbiased", "population"))
    )
    target_sparsity: bool = field(default=False, validator=validators.instance_of(bool))

    unit: ClassVar[Literal["weight"]] = "weight"
    reach: ClassVar[Literal["weight"]] = "weight"

    def __attrs_post_init__(self) -> None:
        """Refuse what contradicts itself."""
        if self.target_sparsity and self.mode == "nni":
            raise pruners.OptionError(
                "target_sparsity=True needs mode='han': mode 'nni' has no threshold to look for"
            )

    def prepare(self, view: pruners.View) -> Mapping[str, float]:
        """Return each layer's standard deviation, measured before anything is pruned."""
        if self.mode == "nni":
            return {}
        return {name: self._deviation(view, name) for name in view.weights}

    def scores(self, view: pruners.View) -> Mapping[str, pruners.Magnitude]:
        """Return each weight's absolute value, shaped as the weights."""
        return {name: pruners.Magnitude(weight) for name, weight in view.weights.items()}

    def allocate(self, view: pruners.View, sparsity: float) -> Mapping[str, float]:
        """
        Return the fraction of each layer that goes.

        Parameters
        ----------
        view : View
            The layers; where `view.prepared` has a layer's deviation, that one is used.
        sparsity : float
            The quality parameter q, from 0; with `target_sparsity` a fraction in [0, 1).

        Returns
        -------
        dict of str to float
            For each layer k / n in [0, 1), so that ``floor(k / n * n + 1e-9)`` is exactly k.

        Raises
        ------
        pruners.OptionError
            If `sparsity` is outside its range.
        """
        if not 0 <= sparsity < math.inf:
            raise pruners.OptionError(f"pruner 'sensitivity': q must be a number from 0, got {sparsity}")
        if self.target_sparsity and sparsity >= 1:
            raise pruners.OptionError(
                "pruner 'sensitivity': with target_sparsity=True, sparsity is a fraction in [0, 1), "
                f"got {sparsity}"
            )
        if sparsity == 0:
            return dict.fromkeys(view.weights, 0.0)
        sizes = {name: math.prod(weight.shape) for name, weight in view.weights.items()}
        counts = self._counts(view, sizes, sparsity)
        return {name: _share(counts[name], size) for name, size in sizes.items()}

    def _counts(self, view: pruners.View, sizes: Mapping[str, int], sparsity: float) -> Mapping[str, int]:
        if self.mode == "nni":
            return {name: self._compounding(view, name, size, sparsity) for name, size in sizes.items()}
        layers = {name: self._threshold(view, name, size) for name, size in sizes.items()}
        if self.target_sparsity:
            return counts_of_one_q(layers, math.floor(sum(sizes.values()) * sparsity + 1e-9))
        return {name: layer.count(sparsity) for name, layer in layers.items()}

    def _threshold(self, view: pruners.View, name: str, size: int) -> Threshold:
        known = view.prepared.get(name)
        return Threshold(view, name, size, self._deviation(view, name) if known is None else known)

    def _compounding(self, view: pruners.View, name: str, size: int, sparsity: float) -> int:
        k = math.floor(size * sparsity * self._deviation(view, name) + 1e-9)
        zeros = Threshold(view, name, size, 0.0).count(0.0)
        return min(max(k, zeros), max(0, size - 1))

    def _deviation(self, view: pruners.View, name: str) -> float:
        weight: Any = view.weights[name]
        return deviation(weight, view.ops, unbiased=self.std == "unbiased")


def _share(k: int, n: int) -> float:
    """Return the fraction from which selection computes exactly `k` of `n` again."""
    share = k / n if n else 0.0
    while math.floor(share * n + 1e-9) < k:  # rounding errors of large counts exceed 1e-9
        share = math.nextafter(share, 1.0)
    return share
