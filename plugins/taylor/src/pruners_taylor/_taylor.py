"""What the loss loses with a channel, to first order."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from attrs import define, field, frozen, validators

import pruners

Form = Literal["activation", "gate", "weight-joint", "weight-squares"]
STREAMED = ("activation", "gate")


@frozen(kw_only=True)
class Taylor:
    r"""
    Score every channel by how much the loss changes without it, to first order.

    With :math:`z_{nm}` the output of a channel for example :math:`n` at place :math:`m` of
    :math:`M`, :math:`\partial C` the gradient of the loss, and :math:`F` the channel's weights,
    the score before the options below is, by `form`:

    - "activation": :math:`\Theta = \frac{1}{N} \sum_n \left| \frac{1}{M} \sum_m
      \frac{\partial C}{\partial z_{nm}} z_{nm} \right|` [1]_;
    - "gate": :math:`(\sum_{nm} \frac{\partial C}{\partial z_{nm}} z_{nm})^2`, per batch, and the
      mean over batches [2]_;
    - "weight-joint": :math:`(\sum_{w \in F} \frac{\partial C}{\partial w} w)^2` [2]_;
    - "weight-squares": :math:`\sum_{w \in F} (\frac{\partial C}{\partial w} w)^2`.

    Units are those of the loss, or of its square.

    Parameters
    ----------
    form : {"activation", "gate", "weight-joint", "weight-squares"}, default "activation"
        Which of the scores above.
    layer_l2 : bool, optional
        Divide a layer's scores by their L2 norm, :math:`\Theta / \sqrt{\sum \Theta^2}`, so that
        layers can be compared; a norm of 0 is left. By default as published: in the form
        "activation" only.
    macs : float, default 0.0
        :math:`\lambda` of the term that makes expensive layers go first,
        :math:`- \lambda\, \text{MACs}_l / \sum_k \text{MACs}_k`, over the layers that are scored.
        At least 0; only in the forms "activation" and "gate", which see how often a weight is
        used.

    Raises
    ------
    ValueError
        If `form` is none of the four, `macs` is negative, or `macs` is asked of a weight form.
    pruners.NeedsData
        In use: without data and a loss, or if no gradient reaches a layer.
    pruners.ScoreError
        In use: if a layer gives no output on the data.

    Notes
    -----
    Needs data and a loss; in evaluation mode, so that no statistic of the model moves. The forms
    "activation" and "gate" hold one batch at a time and two numbers per channel.

    Ties: exactly the asked number goes, lower index first.

    The outputs are those of the layer itself. Where a ReLU reads them, the score after it is the
    same: the gradient before it is zero wherever it is. A gate of 1 that multiplies the output
    has the gradient :math:`\sum z\, \partial C / \partial z`, so its importance
    :math:`(g \cdot 1)^2` is the form "gate". The importance :math:`(\gamma g)^2` of a batch
    norm's scale [2]_ is the form "weight-joint" asked of that scale: name it in the rule.

    Differs from the papers: with several batches the weight forms square the mean gradient, where
    the paper takes the mean of the squares (one batch gives both); a layer that is called several
    times counts each call as examples of its own; the paper's cost term, in units of its own, is
    here a share. Published code for [1]_ adds over places instead of averaging, the same after
    `layer_l2`, and its ``flops_lambda`` is `macs`. Published code for [2]_ mostly computes
    "weight-squares" where the paper defines "weight-joint". MACs count every weight of a layer
    once per place of its output: too many for transposed convolutions with a stride.

    References
    ----------
    .. [1] P. Molchanov, S. Tyree, T. Karras, T. Aila, J. Kautz, "Pruning Convolutional Neural
           Networks for Resource Efficient Inference", ICLR 2017, section 2.2. arXiv:1611.06440.
    .. [2] P. Molchanov, A. Mallya, S. Tyree, I. Frosio, J. Kautz, "Importance Estimation for
           Neural Network Pruning", CVPR 2019, equations 7 to 9. arXiv:1906.10771.

    Examples
    --------
    >>> import numpy as np, pruners
    >>> model = {"w": np.array([[1.0, 2.0], [3.0, -1.0]])}
    >>> slopes = {"w": np.array([[0.5, -0.1], [0.1, 0.2]])}
    >>> joint = pruners.pruner("taylor", form="weight-joint")
    >>> loss = lambda model, batch: (0.0, slopes)  # a NumPy model has no gradients of its own
    >>> pruners.scores(model, joint, data=[None], loss=loss)["w"].round(4).tolist()
    [0.09, 0.01]
    """

    form: Form = field(
        default="activation",
        validator=validators.in_(("activation", "gate", "weight-joint", "weight-squares")),
    )
    layer_l2: bool | None = field(default=None, validator=validators.optional(validators.instance_of(bool)))
    macs: float = field(default=0.0, validator=validators.ge(0))

    unit: ClassVar[Literal["channel"]] = "channel"

    def __attrs_post_init__(self) -> None:
        if self.macs and self.form not in STREAMED:
            raise ValueError(f"'macs' needs form 'activation' or 'gate', not {self.form!r}")

    def scores(self, view: pruners.View) -> Mapping[str, np.ndarray]:
        """Return one float64 score per output channel."""
        if self.form not in STREAMED:
            return {name: self._scaled(each) for name, each in self._of_weights(view).items()}
        sums = self._streamed(view)
        found = {name: self._scaled(each.mean()) for name, each in sums.items()}
        if not self.macs:
            return found
        costs = {name: each.macs(view.weights[name].shape) for name, each in sums.items()}
        total = math.fsum(costs.values()) or 1.0
        return {name: each - self.macs * costs[name] / total for name, each in found.items()}

    def _of_weights(self, view: pruners.View) -> dict[str, np.ndarray]:
        slopes = view.gradients()
        found = {}
        for name, weight in view.weights.items():
            parts = view.host(weight).astype(np.float64) * view.host(slopes[name]).astype(np.float64)
            over = tuple(range(1, parts.ndim))
            if self.form == "weight-joint":
                found[name] = np.square(np.sum(parts, axis=over))
            else:
                found[name] = np.sum(np.square(parts), axis=over)
        return found

    def _streamed(self, view: pruners.View) -> dict[str, _Sums]:
        sums: dict[str, _Sums] = {}
        for name, z, dz in view.activations(gradients=True):
            sums.setdefault(name, _Sums(self.form)).add(view, z, dz)
        for name in view.weights:
            if name not in sums:
                raise pruners.ScoreError(f"layer {name!r} gave no output on the data; leave it out")
        return {name: sums[name] for name in view.weights}

    def _scaled(self, scores: np.ndarray) -> np.ndarray:
        wanted = self.form == "activation" if self.layer_l2 is None else self.layer_l2
        norm = float(np.linalg.norm(scores)) if wanted else 0.0
        return scores / norm if norm else scores


@define
class _Sums:
    """Running sums over the outputs of one layer."""

    form: str
    total: Any = 0.0
    count: int = 0
    examples: int = 0
    places: int = 0

    def add(self, view: pruners.View, z: Any, dz: Any) -> None:
        """Take one output in: ``(batch, channel, ...)`` and its gradient."""
        ops: Any = view.ops
        wide = str(z.dtype).rpartition(".")[2] not in ("float16", "bfloat16")
        parts = z * dz if wide else ops.astype(z, ops.float32) * ops.astype(dz, ops.float32)
        if parts.ndim > 2:
            parts = ops.sum(parts, axis=tuple(range(2, parts.ndim)))
        each = view.host(parts).astype(np.float64)
        batch, places = int(z.shape[0]), math.prod(int(length) for length in z.shape[2:])
        if self.form == "gate":
            self.total = self.total + np.square(each.sum(axis=0))
            self.count += 1
        else:
            self.total = self.total + np.abs(each / max(places, 1)).sum(axis=0)
            self.count += batch
        self.examples += batch
        self.places += batch * places

    def mean(self) -> np.ndarray:
        """Return the mean over examples, or over batches."""
        return np.asarray(self.total / max(self.count, 1))

    def macs(self, shape: tuple[int, ...]) -> float:
        """Return the multiply-accumulates of one example in a layer with weights of this shape."""
        return math.prod(shape) * self.places / max(self.examples, 1)
