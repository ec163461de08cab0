"""Network slimming: the scale of the batch norm after a layer ranks its channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from attrs import frozen

import pruners


@frozen
class BatchNormScale:
    r"""
    Score every channel by the absolute scale of the batch norm that reads it.

    The score of channel :math:`c` is :math:`|\gamma_c|` of the batch norm that directly reads
    the layer's output, and that nothing else reads beside.

    Raises
    ------
    pruners.NeedsData
        In use: if the model cannot be run once, for want of example inputs or data.
    pruners.ScoreError
        In use: if no batch norm with a scale directly reads a layer.

    Notes
    -----
    Needs no data, but one recorded forward pass, to see which batch norm reads which layer: pass
    ``example_inputs=``.

    Ties: exactly the asked number goes, lower index first.

    The paper trains with :math:`\lambda \sum |\gamma|` added to the loss, which drives scales to
    zero (see `penalty`), then ranks all channels of the model together: ``scope="model"``. At
    least one channel of every layer stays, so no layer is lost.

    Differs from published code, which keeps what is above the value at the cut, and so takes one
    channel more, and more under ties. Masks of this pruner are on the layer's weights; scale and
    shift of the batch norm go when the channel is removed.

    References
    ----------
    .. [1] Z. Liu, J. Li, Z. Shen, G. Huang, S. Yan, C. Zhang, "Learning Efficient Convolutional
           Networks through Network Slimming", ICCV 2017, section 3. arXiv:1708.06519.

    Examples
    --------
    >>> import pruners
    >>> pruners.pruner("bn-scale")
    BatchNormScale()
    """

    unit: ClassVar[Literal["channel"]] = "channel"

    def scores(self, view: pruners.View) -> Mapping[str, np.ndarray]:
        """Return one float64 score per output channel."""
        scales = view.scales()
        for name in view.weights:
            if name not in scales:
                raise pruners.ScoreError(
                    f"layer {name!r}: no batch norm with a scale reads its output directly; leave it out: "
                    f"exclude={name!r} in a rule, ignore={name!r} in a removal"
                )
        return {name: np.abs(view.host(scales[name]).astype(np.float64)) for name in view.weights}
