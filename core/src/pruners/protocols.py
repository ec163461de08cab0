"""What the parts of Pruners expect of each other: structural, so a plugin inherits nothing.

Axes are words: a weight is ``(out, in, *kernel)`` on every framework, a dense layer's
``(out, in)``, an activation ``(batch, channel, ...)``. Sparsity is the fraction that is
zero, 0 to 1. Steps are optimiser steps (or epochs) from 0.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from attrs import field, frozen

if TYPE_CHECKING:
    import numpy as np

    from .selection.ranking import Ranking
    from .storage.tensors import ModelState, Sizes, StoredTensor
    from .structure.plan import Coordinates, RemovalPlan, Removed
    from .structure.program import Attribute, LiteralSize, Program

Array = Any
Form = Literal["module", "graph"]
"""How a smaller model is handed back: the user's own module cut in place, or as an exported graph."""
MODES = ("eval", "train")
"""The modes a model is run in to find what hangs together."""
Unit = Literal["weight", "channel"]
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


class Pruner(Protocol):
    """Ranks units: one score per weight or per output channel; the larger is kept."""

    @property
    def unit(self) -> Unit:
        """What one score stands for: a weight, or a whole output channel."""
        ...

    def scores(self, view: View) -> Mapping[str, Any]:
        """Return ``{name: scores}`` with the names and, for weights, the shapes of `view.weights`.

        An array of the model's framework, a NumPy array, or `pruners.Magnitude`.
        """
        ...


@runtime_checkable
class Allocates(Protocol):
    """Optional, for pruners that decide themselves how much of each layer goes."""

    def allocate(self, view: View, sparsity: float) -> Mapping[str, float]:
        """Return the sparsity of each layer, in [0, 1), for the asked strength `sparsity`."""
        ...


@runtime_checkable
class Adjusts(Protocol):
    """Optional, for pruners that repair what remains after a removal."""

    def adjust(self, view: View, kept: Mapping[str, np.ndarray]) -> Mapping[str, Any]:
        """
        Return new weights ``{name: (out, in, *kernel)}`` for any parameters, full size.

        `kept` says for each scored layer which output channels stay: bool ``(out,)``.
        """
        ...


@runtime_checkable
class Prepares(Protocol):
    """Optional, for pruners that measure something once, before anything is pruned."""

    def prepare(self, view: View) -> Mapping[str, float]:
        """Return plain numbers; they come back as `view.prepared` and are saved with the session."""
        ...


class Scheduler(Protocol):
    """Says how sparse a layer should be at a step, and when masks are recomputed."""

    def sparsity(self, step: int) -> float:
        """Return the fraction of weights that are zero after `step`, in [0, 1)."""
        ...

    def due(self, step: int) -> bool:
        """Return whether masks are recomputed at `step`."""
        ...


@runtime_checkable
class Bounded(Protocol):
    """Optional, for schedules whose ends can be set from outside.

    A rule's ``sparsity=`` sets the end, ``restore=True`` sets the beginning.
    """

    def between(self, initial: float | None, final: float | None) -> Scheduler:
        """Return this schedule from `initial` to `final`; None leaves an end as it is."""
        ...


class Pattern(Protocol):
    """Says where zeros may lie in a layer."""

    def mask(self, ranking: Ranking, sparsity: float) -> np.ndarray:
        """Return the bool mask ``(out, in, *kernel)``, True where kept, exact under ties.

        May raise `pruners.SkipLayer` with the reason why the pattern cannot lie here.
        """
        ...

    def check(self, mask: np.ndarray) -> None:
        """Raise `pruners.PatternError` if `mask` breaks the pattern."""
        ...


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
        count = 1
        for length in self.shape:
            count *= length
        return count


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
class Ranked(Protocol):
    """Optional, for open models of frameworks that train on several ranks."""

    def ranks(self) -> int:
        """Return how many ranks share the work; 1 where there is no process group."""
        ...

    def averaged(self, scores: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """Return float64 scores averaged over all ranks: the same everywhere."""
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


@frozen
class Magnitude:
    """Scores that are the absolute values of `array`, without computing them.

    A pruner that ranks by magnitude returns ``Magnitude(w)``: selection clears the sign bit
    as it reads, so no second copy of the weights is made.
    """

    array: Array = field(eq=False)
