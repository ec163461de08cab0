"""PyTorch modules, opened: canonical weights out, masks and values in, in place."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from attrs import field, frozen
from torch import Tensor, nn

from pruners import Layer, Loss, OptionError
from pruners.protocols import MODES, Form, Traced
from pruners.protocols.ranks import Box
from pruners.storage.tensors import ModelState, Sizes, StoredTensor

from . import _storage, exporting
from ._arrays import to_host, to_tensor
from ._keeper import TorchKeeper
from ._layers import Weight, layers, optimizers, unwrapped, weights
from ._peers import TorchPeers, peers
from ._pieces import everyones
from ._serving import serving
from ._traced import TracedModule
from ._view import ReadOnly, TorchView, evaluating
from .tracing import trace
from .tracing.running import Arguments


@frozen
class TorchBackend:
    """
    Adapter to ``torch.nn.Module``.

    Wildcards reach the weights of linear, convolution, transposed convolution, embedding,
    recurrent and attention layers (packed projections included). Any other float parameter is
    reached by its full name. Compiled and data-parallel modules are opened at the user's own
    module, so that names are the same with and without the wrapper.

    Examples
    --------
    >>> import torch, pruners
    >>> layer = torch.nn.Linear(4, 2)
    >>> pruned = pruners.prune(layer, "level", sparsity=0.5)
    >>> int((pruned.weight == 0).sum())
    4
    """

    name: str = field(default="torch", init=False)

    def handles(self, model: object) -> bool:
        """Return whether `model` is a ``torch.nn.Module``."""
        return isinstance(model, nn.Module)

    def rebuild(self, program: Mapping[str, Any], tensors: Mapping[str, StoredTensor]) -> nn.Module:
        """Return the model that a stored program describes: an exported graph, without the user's code."""
        return _storage.rebuilt(program, tensors)

    def open(self, model: nn.Module) -> TorchModel:
        """Return the module opened."""
        module = unwrapped(model)
        found = weights(module)
        return TorchModel(module, found, layers(found))


@frozen(eq=False)
class TorchModel:
    """One module, opened."""

    model: nn.Module
    parameters: Mapping[str, Weight]
    layers: Mapping[str, Layer]
    _peers: TorchPeers | None = field(factory=peers, init=False)
    _boxes: dict[str, list[Box]] = field(factory=dict, init=False)
    _shown: dict[str, Tensor] = field(factory=dict, init=False)
    """What views show instead of pieces, for a while."""

    @property
    def boxes(self) -> Mapping[str, Sequence[Box]]:
        """``{layer: each rank's piece}`` of the layers that are DTensors; the first time, all ranks ask."""
        if not self._boxes:
            pieces = {name: weight.boxes() for name, weight in self.parameters.items()}
            self._boxes.update(everyones(pieces, self._peers))
        return self._boxes

    def view(
        self,
        names: Sequence[str],
        *,
        data: Iterable[Any] | None = None,
        loss: Loss | None = None,
        prepared: Mapping[str, float] | None = None,
    ) -> TorchView:
        """Return the view a pruner scores; within `guard` it is read-only."""
        tensors = {name: self._shown.get(name, self._canonical(name)) for name in names}
        return TorchView(self.model, self.parameters, tensors, prepared or {}, data, loss, self.peers())

    def guard(self, names: Sequence[str]) -> ReadOnly:
        """Return a context in which writing to these weights raises."""
        return ReadOnly({name: self.parameters[name].piece for name in names})

    def read(self, name: str) -> np.ndarray:
        """Return one weight ``(out, in, *kernel)``, sharing memory where it can; do not write to it."""
        array = to_host(self._canonical(name))
        array = array.view()
        array.flags.writeable = False
        return array

    def write(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Put weights back, bit for bit, in place: parameters keep their identity."""
        with torch.no_grad():
            for name, array in arrays.items():
                weight = self.parameters[name]
                weight.piece.copy_(weight.stored(to_tensor(array)))

    def host(self, array: Any) -> np.ndarray:
        """Return a tensor, or a NumPy array as it is, as NumPy."""
        return to_host(array) if isinstance(array, Tensor) else np.asarray(array)

    def native(self, name: str, array: np.ndarray) -> Tensor:
        """Return an ``(out, in, *kernel)`` array as a tensor laid out as the parameter is, on its device."""
        weight = self.parameters[name]
        return weight.stored(to_tensor(array)).contiguous().to(weight.parameter.device)

    def keeper(
        self, masks: Mapping[str, np.ndarray], *, optimizer: Any = None, gradients: bool = False
    ) -> TorchKeeper:
        """Return the object that keeps these masks' zeros; nothing is changed yet."""
        for name in masks:
            if self.parameters[name].parameter.device.type == "meta":
                raise OptionError(f"parameter {name!r} is on the meta device and holds no values to prune")
        return TorchKeeper(self.parameters, masks, optimizers(optimizer), gradients)

    def save(self, path: str) -> None:
        """Write the weights as safetensors; tied weights are stored once."""
        from safetensors.torch import save_model

        save_model(self.model, path)

    def scales(self) -> dict[str, nn.Parameter]:
        """Return the scale of every batch norm by parameter name: the parameter itself."""
        return {
            name: weight.parameter
            for name, weight in self.parameters.items()
            if weight.attribute == "weight" and isinstance(weight.module, nn.modules.batchnorm._BatchNorm)
        }

    @property
    def root(self) -> nn.Module:
        """The user's own module, under any wrappers."""
        return self.model

    def state(self) -> ModelState:
        """Return everything that goes into a file."""
        return _storage.state(self.model)

    def restore(self, tensors: Mapping[str, StoredTensor], sizes: Sizes) -> None:
        """Put tensors of any shape and integers in place of the module's own: all of it, or nothing."""
        _storage.restore(self.model, tensors, sizes)

    def run(self, example_inputs: Any) -> None:
        """Run the model once in evaluation mode, to the end of its work; nothing is changed."""
        with evaluating(self.model), torch.no_grad():
            Arguments.of(example_inputs).call(self.model)
            if torch.cuda.is_available():
                torch.cuda.synchronize()

    @property
    def formats(self) -> tuple[str, ...]:
        """The file formats that `export` knows."""
        return exporting.FORMATS

    def export(self, path: Path, example_inputs: Any, *, format: str) -> tuple[str, ...]:
        """Write the module as it runs in evaluation mode; return what to know of the file, in sentences."""
        return exporting.export(self.model, path, example_inputs, format=format)

    def serving(self, example_inputs: Any) -> AbstractContextManager[Callable[[], None]]:
        """Return a context with a function that runs the model once in evaluation mode, to its end."""
        return serving(self.model, example_inputs)

    def arrays(self, example_inputs: Any) -> list[np.ndarray]:
        """Return copies of the tensors of the inputs, in the order in which an exported module takes them."""
        return exporting.arrays(example_inputs)

    def outputs(self, example_inputs: Any) -> list[np.ndarray]:
        """Run the module once in evaluation mode and return every tensor it gives; nothing is changed."""
        return exporting.outputs(self.model, example_inputs)

    def threads(self, count: int) -> AbstractContextManager[None]:
        """Return a context in which PyTorch computes on so many threads of the processor."""
        return exporting.threads(count)

    def peers(self) -> TorchPeers | None:
        """Return the ranks of the default process group; None where there is none or it has one rank."""
        return self._peers

    @contextmanager
    def showing(self, arrays: Mapping[str, np.ndarray]) -> Iterator[None]:
        """Show these arrays, whole layers or rows, instead of pieces in every view that is made within."""
        before = dict(self._shown)
        self._shown.update({name: self._placed(name, array) for name, array in arrays.items()})
        try:
            yield
        finally:
            self._shown.clear()
            self._shown.update(before)

    def trace(self, example_inputs: Any, *, form: Form = "module", modes: Sequence[str] = MODES) -> Traced:
        """
        Record one forward pass per mode; buffers, flags and random state are left as they were.

        ``form="graph"`` records the module's exported graph instead, and leaves the module itself
        alone when channels are removed.
        """
        if form == "graph":
            graph = importlib.import_module("pruners_torch.graph")
            exported: Traced = graph.trace_graph(self.model, example_inputs, modes=modes)
            return exported
        recording = trace(self.model, example_inputs, modes=modes)
        return TracedModule(self.model, recording, example_inputs)

    def _placed(self, name: str, array: np.ndarray) -> Tensor:
        return to_tensor(array).to(self.parameters[name].parameter.device)

    def _canonical(self, name: str) -> Tensor:
        weight = self.parameters[name]
        if weight.parameter.device.type == "meta":
            raise OptionError(f"parameter {name!r} is on the meta device and holds no values to read")
        return weight.canonical(weight.piece)
