"""What a backend gives of one open model: to read and write it, record it, cut it, store it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from attrs import frozen

from .views import Array, Loss, Stream, View

if TYPE_CHECKING:
    import numpy as np

    from ..storage.tensors import ModelState, Sizes, StoredTensor
    from ..structure.plan import Coordinates, RemovalPlan, Removed
    from ..structure.program import Attribute, LiteralSize, Program

Form = Literal["module", "graph"]
"""How a smaller model is handed back: the user's own module cut in place, or as an exported graph."""
MODES = ("eval", "train")
"""The modes a model is run in to find what hangs together."""


@frozen(kw_only=True)
class Layer:
    """One weight that can be pruned: a parameter and the module that owns it."""

    name: str
    """The parameter's name, for example ``"features.0.weight"``."""
    module: str
    """The owner's name, for example ``"features.0"``; empty for the model itself."""
    type: str
    """The owner's type name, for example ``"Conv2d"``."""
    shape: tuple[int, ...]
    """Canonical shape ``(out, in, *kernel)``."""
    default: bool = True
    """Whether wildcards reach it; biases, norms and loose parameters must be named in full."""
    aliases: tuple[str, ...] = ()
    """Other names of the same parameter, where weights are tied."""
    bases: tuple[str, ...] = ()
    """Names of the owner's type and of the types it is built on, nearest first."""

    @property
    def size(self) -> int:
        """Number of weights."""
        return math.prod(self.shape)


class OpenModel(Protocol):
    """One model, opened by its backend; all arrays cross here as NumPy in canonical layout."""

    @property
    def layers(self) -> Mapping[str, Layer]:
        """Every float parameter, by name, in the model's own order."""
        ...

    def view(
        self,
        names: Sequence[str],
        *,
        data: Iterable[Any] | None = None,
        loss: Loss | None = None,
        prepared: Mapping[str, float] | None = None,
    ) -> View:
        """Return the view a pruner scores; within `guard` it is read-only."""
        ...

    def guard(self, names: Sequence[str]) -> AbstractContextManager[Any]:
        """
        Return a context in which writing to these weights raises an error.

        Writing through another library's view of the same memory cannot be seen.
        """
        ...

    def read(self, name: str) -> np.ndarray:
        """Return one weight ``(out, in, *kernel)``, without a copy where memory allows."""
        ...

    def write(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Put weights back, bit for bit, in place: parameters keep their identity."""
        ...

    def host(self, array: Array) -> np.ndarray:
        """Return any array of this framework as NumPy, without a copy where memory allows."""
        ...

    def native(self, name: str, array: np.ndarray) -> Array:
        """Return a canonical NumPy array as this framework's, laid out as the parameter is."""
        ...

    def keeper(
        self, masks: Mapping[str, np.ndarray], *, optimizer: Any = None, gradients: bool = False
    ) -> Keeper:
        """Return the object that keeps these masks' zeros; nothing is changed yet."""
        ...

    def save(self, path: str) -> None:
        """Write the weights to a file that this framework's users can read."""
        ...


@runtime_checkable
class Scaled(Protocol):
    """Optional, for open models that know their batch norms."""

    def scales(self) -> Mapping[str, Any]:
        """Return the scale of every batch norm by parameter name, live: the very parameter."""
        ...


@runtime_checkable
class Traceable(OpenModel, Protocol):
    """Optional, for open models whose channels can be removed."""

    def run(self, example_inputs: Any) -> None:
        """Run the model once in evaluation mode, to the end of its work; nothing is changed."""
        ...

    def trace(self, example_inputs: Any, *, form: Form = "module", modes: Sequence[str] = MODES) -> Traced:
        """
        Record one forward pass per mode; buffers, flags and random state are left as they were.

        `example_inputs` are the positional arguments as a tuple, a mapping of keyword arguments, or
        one input. Raises `pruners.TraceError` where the model does not run.
        """
        ...


class Traced(Protocol):
    """One model's recorded forward passes, and the means to make it smaller."""

    @property
    def programs(self) -> Mapping[str, Program]:
        """The recorded passes by mode, "eval" first."""
        ...

    @property
    def literals(self) -> Sequence[LiteralSize]:
        """Sizes that the user's code hands to operations; empty where all can be rewritten."""
        ...

    @property
    def attributes(self) -> Mapping[Attribute, int]:
        """The integers in the model that `literals` mention, as they are now."""
        ...

    def values(self, wanted: Mapping[str, int], data: Iterable[Any], loss: Loss | None = None) -> Stream:
        """Yield ``(name, array)`` for recorded values of the "eval" program, batch by batch."""
        ...

    def remove(
        self,
        plan: RemovalPlan,
        coordinates: Coordinates,
        *,
        optimizer: Any = None,
        copies: Sequence[Any] = (),
        tolerance: float | None = None,
    ) -> Removed:
        """
        Make the model smaller and prove it, or leave everything as it was.

        `copies` are models of the same structure (moving averages) that are cut alike.
        Raises `pruners.ProofError` where the smaller model fails or differs, naming the module.
        """
        ...


@runtime_checkable
class Storable(Protocol):
    """Optional, for open models that `pruners.save` and `pruners.load` can put in files."""

    @property
    def root(self) -> Any:
        """The user's own model, under any wrappers."""
        ...

    def state(self) -> ModelState:
        """
        Return everything that goes into a file; tensors are copied when they are read.

        Raises `pruners.StateError` where something of the model's state is no plain tensor.
        """
        ...

    def restore(self, tensors: Mapping[str, StoredTensor], sizes: Sizes) -> None:
        """
        Put tensors of any shape, by the first name of each, and integers in place of the model's own.

        Every tensor is read before the first is put in; on any error the model is as it was.
        Parameters keep their identity where the framework allows it, and their device.
        """
        ...


@runtime_checkable
class Rebuilds(Protocol):
    """Optional, for backends that can make a model from a file alone."""

    def rebuild(self, program: Mapping[str, Any], tensors: Mapping[str, StoredTensor]) -> Any:
        """
        Return the model that a stored program describes; nothing but operations on tensors can run.

        Raises `pruners.StateError` where the program is damaged or asks for anything else.
        """
        ...


class Keeper(Protocol):
    """Keeps the zeros of one model zero."""

    def apply(self) -> None:
        """
        Set every pruned weight to +0.0, in place.

        The first call puts hooks on the optimizer, if there is one, that do the same after each
        of its steps. Weights nobody has written to since then may be left alone.
        """
        ...

    def update(self, masks: Mapping[str, np.ndarray], *, clear: bool = True) -> None:
        """Take new masks for some layers and apply them; clear the optimizer's state there."""
        ...

    def close(self) -> None:
        """Take every hook off the model and the optimizer."""
        ...


class Backend(Protocol):
    """Adapter to one framework."""

    @property
    def name(self) -> str:
        """The name users know it by."""
        ...

    def handles(self, model: object) -> bool:
        """Return whether `model` belongs to this framework."""
        ...

    def open(self, model: Any) -> OpenModel:
        """Return the model opened: its layers, and ways to read and write them."""
        ...


@runtime_checkable
class Completes(Backend, Protocol):
    """Optional, for backends of frameworks whose parameters may get their shapes from a first run."""

    def completed(self, model: Any, example_inputs: Any) -> OpenModel:
        """
        Return the model opened; one with parameters that have no shape yet is run once before.

        Parameters that have none afterwards belong to nothing that ran: they are no layers. Raises
        `pruners.TraceError` where the model does not run; it is then as it was.
        """
        ...
