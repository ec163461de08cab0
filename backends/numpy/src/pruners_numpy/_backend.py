"""NumPy models, opened: what the other backends are compared with."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import array_api_compat.numpy as ops
import numpy as np
from attrs import define, field, frozen

from pruners import Layer, NeedsData, OptionError
from pruners.host import is_float, zero_pruned
from pruners.storage.tensors import ModelState, Sizes, StoredTensor

from . import _storage


@frozen
class NumpyBackend:
    """
    Adapter to models made of NumPy arrays.

    A model is a mapping ``{name: array}``, or an object whose attributes are arrays. Arrays
    with two or more axes, laid out ``(out, in, *kernel)``, are reached by wildcards; one-axis
    arrays (biases) must be named in full.

    Examples
    --------
    >>> import numpy as np, pruners
    >>> pruners.prune({"w": np.array([[3.0, -1.0], [0.5, -2.0]])}, "level", sparsity=0.5)
    {'w': array([[ 3.,  0.],
           [ 0., -2.]])}
    """

    name: str = field(default="numpy", init=False)

    def handles(self, model: object) -> bool:
        """Return whether every value of a mapping, or any attribute of an object, is an array."""
        if isinstance(model, Mapping):
            return bool(model) and all(isinstance(value, np.ndarray) for value in model.values())
        return bool(_arrays(model))

    def open(self, model: Any) -> NumpyModel:
        """Return the model opened."""
        arrays = _arrays(model)
        layers = {
            name: Layer(
                name=name,
                module=name.rpartition(".")[0] or name,
                type="array",
                shape=array.shape,
                default=array.ndim >= 2,
                bases=("array",),
            )
            for name, array in arrays.items()
            if is_float(array.dtype)
        }
        return NumpyModel(model, arrays, layers)


def _arrays(model: object) -> Mapping[str, np.ndarray]:
    items = model if isinstance(model, Mapping) else getattr(model, "__dict__", {})
    return {str(name): value for name, value in items.items() if isinstance(value, np.ndarray)}


@frozen(eq=False)
class NumpyModel:
    """One model of NumPy arrays, opened."""

    model: Any
    arrays: Mapping[str, np.ndarray]
    layers: Mapping[str, Layer]

    def view(
        self,
        names: Sequence[str],
        *,
        data: Iterable[Any] | None = None,
        loss: Any = None,
        prepared: Mapping[str, float] | None = None,
    ) -> NumpyView:
        """Return the read-only view a pruner scores."""
        weights = {name: _read_only(self.arrays[name]) for name in names}
        return NumpyView(self.model, weights, prepared or {}, data, loss)

    def guard(self, names: Sequence[str]) -> AbstractContextManager[None]:
        """Return an empty context: the view's arrays refuse writes by themselves."""
        return nullcontext()

    def read(self, name: str) -> np.ndarray:
        """Return one weight, read-only, without a copy."""
        return _read_only(self.arrays[name])

    def write(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Put weights back, bit for bit, in place."""
        for name, array in arrays.items():
            target = self.arrays[name]
            bits = f"V{target.itemsize}"
            np.copyto(target.view(bits), array.astype(target.dtype, copy=False).view(bits))

    def host(self, array: Any) -> np.ndarray:
        """Return the array itself."""
        return np.asarray(array)

    def native(self, name: str, array: np.ndarray) -> np.ndarray:
        """Return the array itself: the canonical layout is NumPy's own here."""
        return array

    def keeper(
        self, masks: Mapping[str, np.ndarray], *, optimizer: Any = None, gradients: bool = False
    ) -> NumpyKeeper:
        """Return the object that keeps these masks' zeros; nothing is changed yet."""
        for name in masks:
            if not self.arrays[name].flags.writeable:
                raise OptionError(f"array {name!r} is read-only; pass a writable copy to prune it")
        if gradients:
            raise OptionError("mask_gradients=True needs a framework with gradients; NumPy has none")
        return NumpyKeeper(self.arrays, _slots(optimizer), dict(masks))

    @property
    def root(self) -> Any:
        """The mapping or object itself."""
        return self.model

    def state(self) -> ModelState:
        """Return everything that goes into a file."""
        return _storage.state(self.model, self.arrays)

    def restore(self, tensors: Mapping[str, StoredTensor], sizes: Sizes) -> None:
        """Put arrays of any shape and integers in place of the model's own: all of it, or nothing."""
        _storage.restore(self.model, self.arrays, tensors, sizes)

    def save(self, path: str) -> None:
        """Write the arrays to a ``.safetensors`` or an ``.npz`` file."""
        if path.endswith(".npz"):
            np.savez(path, **self.arrays)  # type: ignore[arg-type]
            return
        from safetensors.numpy import save_file

        save_file({name: np.ascontiguousarray(array) for name, array in self.arrays.items()}, path)


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view


def _slots(optimizer: Any) -> dict[str, list[np.ndarray]]:
    """Return ``{parameter name: its state arrays}`` of an optimizer given as nested mappings."""
    if optimizer is None:
        return {}
    if not isinstance(optimizer, Mapping):
        raise OptionError(
            "optimizer of a NumPy model is a mapping {parameter name: array, or list or dict of arrays}, "
            f"got {type(optimizer).__name__}"
        )
    slots = {}
    for name, state in optimizer.items():
        values = state.values() if isinstance(state, Mapping) else state
        slots[name] = [values] if isinstance(values, np.ndarray) else list(values)
    return slots


@frozen(eq=False)
class NumpyView:
    """A NumPy model as a pruner sees it."""

    model: Any
    weights: Mapping[str, np.ndarray]
    prepared: Mapping[str, float]
    data: Iterable[Any] | None
    loss: Any
    ops: Any = ops

    def activations(self, gradients: bool = False) -> Generator[tuple[Any, ...], None, None]:
        """Raise: arrays alone have no forward pass to watch."""
        raise NeedsData(
            "a NumPy model has no forward pass to record activations from; use a pruner that reads weights "
            "or gradients, or the model in its own framework"
        )

    def gradients(self) -> Mapping[str, np.ndarray]:
        """Return the mean gradient over batches; ``loss(model, batch)`` gives ``(value, gradients)``."""
        if self.data is None or self.loss is None:
            raise NeedsData(
                "gradients of a NumPy model need data=batches and loss=function(model, batch) -> "
                "(value, {name: gradient})"
            )
        total: dict[str, np.ndarray] = {}
        count = 0
        for count, batch in enumerate(self.data, start=1):  # noqa: B007
            _, found = self.loss(self.model, batch)
            for name in self.weights:
                if name not in found:
                    raise NeedsData(f"loss returned no gradient for {name!r}; it returned {', '.join(found)}")
                total[name] = total[name] + found[name] if name in total else np.array(found[name])
        if not count:
            raise NeedsData("data gave no batch; pass a list or a loader that can be read again")
        return {name: value / count for name, value in total.items()}


@define(eq=False)
class NumpyKeeper:
    """Keeps the zeros of NumPy arrays; nothing calls it by itself."""

    arrays: Mapping[str, np.ndarray]
    slots: Mapping[str, list[np.ndarray]]
    masks: dict[str, np.ndarray]

    def apply(self) -> None:
        """Set every pruned weight to +0.0, in place."""
        for name, mask in self.masks.items():
            zero_pruned(self.arrays[name], mask)

    def update(self, masks: Mapping[str, np.ndarray], *, clear: bool = True) -> None:
        """Take new masks for some layers, apply them, clear the optimizer's state there."""
        self.masks.update(masks)
        for name, mask in masks.items():
            zero_pruned(self.arrays[name], mask)
            for slot in self.slots.get(name, []) if clear else []:
                if slot.shape == mask.shape and is_float(slot.dtype):
                    zero_pruned(slot, mask)

    def close(self) -> None:
        """Forget the masks."""
        self.masks = {}
