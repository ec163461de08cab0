"""What a pruner is shown of a model: weights, array functions, and streams of what layers compute."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np

Array = Any
Stream = Generator[tuple[Any, ...], None, None]
"""What `View.activations` yields: ``(layer, z)`` or ``(layer, z, dz)``."""
Loss = Callable[[Any, Any], Any]
"""``loss(model, batch) -> scalar``: runs the model on one batch and returns what to minimise."""


class Ops(Protocol):
    """The array functions a pruner may call, named as in the Python array API standard.

    Every backend gives at least: ``abs sign sqrt square exp log where maximum minimum clip
    sum prod mean std max min argsort sort take reshape permute_dims expand_dims matmul
    zeros_like ones_like asarray astype concat isfinite``, and the dtypes ``float32`` and
    ``float64``. They run on the device where the model's weights are.
    """

    def abs(self, x: Array, /) -> Array: ...
    def sum(self, x: Array, /, *, axis: Any = None, keepdims: bool = False) -> Array: ...
    def astype(self, x: Array, dtype: Any, /) -> Array: ...


class View(Protocol):
    """One open model as a pruner sees it: read-only, canonical layout."""

    @property
    def weights(self) -> Mapping[str, Array]:
        """``{parameter name: (out, in, *kernel) array}`` of the layers to score."""
        ...

    @property
    def ops(self) -> Ops:
        """The array functions of the model's framework."""
        ...

    @property
    def prepared(self) -> Mapping[str, float]:
        """What `Prepares.prepare` returned when the session began; empty otherwise."""
        ...

    def host(self, array: Array) -> np.ndarray:
        """Return an array of the model's framework as NumPy, without a copy where memory allows."""
        ...

    def inputs(self) -> Stream:
        """Yield ``(layer, x)`` piece by piece: what the weights of a layer are multiplied by.

        `x` is a NumPy array ``(sample, group, in, *kernel)`` of float32 or float64, with the axes
        ``in, *kernel`` of the layer's weight. A sample is one window of one example, padding included;
        of a dense layer, one vector. A convolution in groups has several; output j of a weight
        ``(out, in, *kernel)`` belongs to group ``j // (out // groups)``, and everything else has one.
        The sum of weight times `x` over ``in, *kernel`` is the layer's output without its bias. A
        layer comes once per piece of each batch: add pieces up.
        """
        ...

    def activations(self, gradients: bool = False) -> Stream:
        """Yield ``(layer, z)``, or ``(layer, z, dz)``, batch by batch; nothing is stored.

        `layer` is a key of `weights`, `z` the layer's output ``(batch, channel, ...)``
        and `dz` the gradient of the loss with respect to it.
        """
        ...

    def activated(self) -> Stream:
        """Yield ``(layer, a)`` batch by batch: the layer's output past its normalisation and nonlinearity.

        Of a convolution followed by a batch norm and a ReLU, `a` ``(batch, channel, ...)`` is
        what the ReLU gives; of a layer followed by neither, its own output.
        """
        ...

    def consumers(self, layer: str, locations: int = 10, seed: int = 0) -> Stream:
        """Yield ``(reader, weight, patches)`` batch by batch: who reads this layer's channels, and what.

        `weight` ``(out, channel, position)`` is the part of the reader's weight that meets the
        layer's channels, `patches` ``(sample, channel, position)`` what its windows saw at
        `locations` places per example, drawn from `seed`. Both are NumPy arrays. A depthwise
        convolution reads nothing of its own: whoever reads its output is yielded.
        """
        ...

    def reads(self, layer: str) -> Mapping[str, tuple[np.ndarray, Sequence[np.ndarray]]]:
        """
        Return ``{reader: (weight, positions)}`` of the readers that `consumers` yields.

        `weight` ``(out, in, *kernel)`` is the reader's whole weight, and ``positions[channel]`` are
        the flat positions in it that meet one of the layer's channels.
        """
        ...

    def scales(self) -> Mapping[str, Array]:
        """Return the scale (channel,) of the batch norm that directly reads a layer, where there is one."""
        ...

    def gradients(self) -> Mapping[str, Array]:
        """Return the mean loss gradient of each weight over the calibration batches."""
        ...
