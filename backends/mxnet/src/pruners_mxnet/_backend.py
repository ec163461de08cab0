"""Gluon blocks, opened: canonical weights out, masks and values in, in place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import mxnet
import numpy as np
from attrs import field, frozen
from mxnet.gluon import Block

from pruners import Layer, Loss, OptionError, save
from pruners.protocols import MODES, Form, Traced
from pruners.storage.tensors import ModelState, Sizes, StoredTensor

from . import _storage
from ._arrays import memory, on_host, to_host, to_nd
from ._keeper import MXNetKeeper, trainers
from ._layers import Weight, check, layers, weights
from ._traced import TracedBlock
from ._view import MXNetView, ReadOnly
from .completing import complete
from .tracing import run, trace


@frozen
class MXNetBackend:
    """
    Adapter to ``mxnet.gluon.Block``, hybridized or not, of `mxnet.nd` or `mxnet.np` arrays.

    Wildcards reach the weights of dense, convolution, transposed convolution, embedding and
    recurrent layers. Any other float parameter is reached by its full name. Names are those of
    ``save_parameters``, ``"features.0.weight"``; those of ``collect_params`` may be used, too.

    Examples
    --------
    >>> import mxnet, pruners
    >>> layer = mxnet.gluon.nn.Dense(2, in_units=4)
    >>> layer.initialize()
    >>> pruned = pruners.prune(layer, "level", sparsity=0.5)
    >>> int((pruned.weight.data() == 0).sum().asscalar())
    4
    """

    name: str = field(default="mxnet", init=False)

    def handles(self, model: object) -> bool:
        """Return whether `model` is a block, or something of MXNet's that can be made one."""
        return isinstance(model, (Block, mxnet.sym.Symbol, mxnet.mod.BaseModule))

    def open(self, model: Any) -> MXNetModel:
        """Return the block opened."""
        return MXNetModel(check(model))

    def completed(self, model: Any, example_inputs: Any) -> MXNetModel:
        """Return the block opened; one with parameters that have no shape yet is run once before."""
        block = check(model)
        return MXNetModel(block, complete(block, example_inputs))


@frozen(eq=False)
class MXNetModel:
    """One block, opened; one without values can only be loaded into."""

    model: Block
    unused: frozenset[str] = frozenset()
    """Names of parameters that have no shape, and need none: no pass reaches them."""

    @cached_property
    def parameters(self) -> Mapping[str, Weight]:
        """Every float parameter that is trained, by its first name."""
        return weights(self.model, self.unused)

    @cached_property
    def layers(self) -> Mapping[str, Layer]:
        """The same as what users match with rules."""
        return layers(self.parameters)

    def view(
        self,
        names: Sequence[str],
        *,
        data: Iterable[Any] | None = None,
        loss: Loss | None = None,
        prepared: Mapping[str, float] | None = None,
    ) -> MXNetView:
        """Return the view a pruner scores; within `guard` it is read-only."""
        return MXNetView(self.model, self.parameters, tuple(names), prepared or {}, data, loss)

    def guard(self, names: Sequence[str]) -> ReadOnly:
        """Return a context in which writing to these weights raises."""
        return ReadOnly({name: self.parameters[name] for name in names})

    def read(self, name: str) -> np.ndarray:
        """Return one weight ``(out, in, *kernel)``, sharing memory where it can; do not write to it."""
        weight = self.parameters[name]
        array: np.ndarray = weight.layout.canonical(to_host(weight.parameter.list_data()[0]))
        array = array.view()
        array.flags.writeable = False
        return array

    def write(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Put weights back, bit for bit, in place: parameters and their arrays keep their identity."""
        for name, array in arrays.items():
            weight = self.parameters[name]
            stored = weight.layout.stored(np.asarray(array))
            for data in weight.parameter.list_data():
                own = np.dtype(data.dtype)
                values = stored if stored.dtype.name == "bfloat16" else stored.astype(own, copy=False)
                if on_host(data):
                    np.copyto(memory(data).view(values.dtype), values)
                else:
                    to_nd(values).copyto(data)

    def host(self, array: Any) -> np.ndarray:
        """Return an array of MXNet, or a NumPy array as it is, as NumPy."""
        return to_host(array) if isinstance(array, mxnet.nd.NDArray) else np.asarray(array)

    def native(self, name: str, array: np.ndarray) -> Any:
        """Return an ``(out, in, *kernel)`` array as MXNet's, laid out as the parameter is, on its device."""
        weight = self.parameters[name]
        stored = weight.layout.stored(np.asarray(array))
        return to_nd(stored, weight.parameter.list_ctx()[0])

    def keeper(
        self, masks: Mapping[str, np.ndarray], *, optimizer: Any = None, gradients: bool = False
    ) -> MXNetKeeper:
        """Return the object that keeps these masks' zeros; nothing is changed yet."""
        return MXNetKeeper(self.parameters, masks, trainers(optimizer), gradients)

    def save(self, path: str) -> None:
        """Write the parameters as safetensors, with what `pruners.load` needs to put them into a block."""
        save(self.model, path)

    def scales(self) -> dict[str, Any]:
        """Return the scale of every batch norm by parameter name: the parameter's own array."""
        return {
            name: weight.parameter.list_data()[0]
            for name, weight in self.parameters.items()
            if weight.attribute == "gamma" and "_BatchNorm" in weight.layer.bases
        }

    @property
    def root(self) -> Block:
        """The user's own block."""
        return self.model

    def state(self) -> ModelState:
        """Return everything that goes into a file."""
        return _storage.state(self.model)

    def restore(self, tensors: Mapping[str, StoredTensor], sizes: Sizes) -> None:
        """Put tensors of any shape and integers in place of the block's own: all of it, or nothing."""
        _storage.restore(self.model, tensors, sizes)

    def run(self, example_inputs: Any) -> None:
        """Run the model once in evaluation mode, to the end of its work; nothing is changed."""
        run(self.model, example_inputs)

    def trace(self, example_inputs: Any, *, form: Form = "module", modes: Sequence[str] = MODES) -> Traced:
        """Record one forward pass per mode; parameters, statistics and random state are left as they were."""
        if form == "graph":
            raise OptionError(
                'form="graph" is for PyTorch; on MXNet the block is cut in place, and net.export() writes '
                "its graph afterwards"
            )
        return TracedBlock(self.model, trace(self.model, example_inputs, modes=modes), example_inputs)
