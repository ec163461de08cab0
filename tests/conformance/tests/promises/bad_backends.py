"""A backend for boxes of arrays that keeps every promise; and for each promise, one that breaks it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import array_api_compat.numpy as ops
import numpy as np

import pruners

BITS = {2: np.int16, 4: np.int32, 8: np.int64}


class Wrapped(np.ndarray):
    """An array of another framework, as far as a pruner can tell."""


class Box:
    """A model: arrays in a box."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.arrays = {name: np.array(array) for name, array in arrays.items()}


class View:
    """What a pruner sees of a box."""

    def __init__(self, weights: Mapping[str, np.ndarray], prepared: Mapping[str, float]) -> None:
        self.weights = weights
        self.prepared = prepared
        self.ops: Any = ops

    def activations(self, gradients: bool = False) -> Iterator[tuple[Any, ...]]:
        raise pruners.NeedsData("boxes have no forward pass")

    def gradients(self) -> Mapping[str, np.ndarray]:
        raise pruners.NeedsData("boxes have no gradients")


class Keeper:
    """Keeps zeros in a box."""

    def __init__(self, box: Box, masks: Mapping[str, np.ndarray]) -> None:
        self.box, self.masks = box, dict(masks)

    def zero(self, name: str, mask: np.ndarray) -> None:
        array = self.box.arrays[name]
        array.view(BITS[array.itemsize])[~mask] = 0

    def apply(self) -> None:
        for name, mask in self.masks.items():
            self.zero(name, mask)

    def update(self, masks: Mapping[str, np.ndarray], *, clear: bool = True) -> None:
        self.masks.update(masks)
        self.apply()

    def close(self) -> None:
        self.masks = {}


class Opened:
    """A box, opened."""

    keeps = Keeper
    sees = View

    def __init__(self, box: Box) -> None:
        self.box = box
        self.layers = {name: self.layer(name, array.shape) for name, array in box.arrays.items()}

    def layer(self, name: str, shape: tuple[int, ...]) -> pruners.Layer:
        return pruners.Layer(name=name, module=name, type="Box", shape=shape)

    def read(self, name: str) -> np.ndarray:
        array = self.box.arrays[name].view()
        array.flags.writeable = False
        return array

    def seen(self, name: str) -> np.ndarray:
        return self.read(name).view(Wrapped)

    def view(self, names: Any, *, data: Any = None, loss: Any = None, prepared: Any = None) -> View:
        return self.sees({name: self.seen(name) for name in names}, prepared or {})

    def guard(self, names: Any) -> Any:
        return nullcontext()

    def write(self, arrays: Mapping[str, np.ndarray]) -> None:
        for name, array in arrays.items():
            own = self.box.arrays[name]
            own.view(BITS[own.itemsize])[...] = array.view(BITS[own.itemsize])

    def host(self, array: Any) -> np.ndarray:
        return np.asarray(array).view(np.ndarray)

    def native(self, name: str, array: np.ndarray) -> np.ndarray:
        return array

    def keeper(self, masks: Any, *, optimizer: Any = None, gradients: bool = False) -> Keeper:
        return self.keeps(self.box, masks)

    def save(self, path: str) -> None:
        np.savez(path, **self.box.arrays)


class Boxes:
    """The good one."""

    name = "boxes"
    opens: type[Opened] = Opened

    def handles(self, model: object) -> bool:
        return isinstance(model, Box)

    def open(self, model: Any) -> Opened:
        return self.opens(model)


class Unmade(Boxes):
    """Nobody says how its models are made."""


class Greedy(Boxes):
    def handles(self, model: object) -> bool:
        return isinstance(model, (Box, dict))


class OnlyMatrices(Opened):
    def layer(self, name: str, shape: tuple[int, ...]) -> pruners.Layer:
        return pruners.Layer(name=name, module=name, type="Box", shape=shape, default=len(shape) == 2)


class Open(Opened):
    def seen(self, name: str) -> np.ndarray:
        return self.box.arrays[name]


class Dataless(Opened):
    class sees(View):
        def gradients(self) -> Mapping[str, np.ndarray]:
            return {}


class OwnStd(Opened):
    class sees(View):
        def __init__(self, weights: Any, prepared: Any) -> None:
            super().__init__(weights, prepared)
            names = {name: getattr(ops, name) for name in dir(ops) if not name.startswith("_")}
            self.ops = SimpleNamespace(**{**names, "std": lambda w, correction=0.0: ops.std(w)})


class Adding(Opened):
    def write(self, arrays: Mapping[str, np.ndarray]) -> None:
        super().write({name: array + array.dtype.type(0) for name, array in arrays.items()})


class Multiplying(Opened):
    class keeps(Keeper):
        def zero(self, name: str, mask: np.ndarray) -> None:
            with np.errstate(invalid="ignore"):
                self.box.arrays[name] *= mask


class Tidying(Opened):
    class keeps(Keeper):
        def zero(self, name: str, mask: np.ndarray) -> None:
            super().zero(name, mask)
            array = self.box.arrays[name]
            array[np.isnan(array)] = 1


class Narrowing(Opened):
    class keeps(Keeper):
        def update(self, masks: Mapping[str, np.ndarray], *, clear: bool = True) -> None:
            super().update({name: mask & self.masks[name] for name, mask in masks.items()})


class Replacing(Opened):
    class keeps(Keeper):
        def zero(self, name: str, mask: np.ndarray) -> None:
            self.box.arrays[name] = self.box.arrays[name].copy()
            super().zero(name, mask)


class Littering(Opened):
    class keeps(Keeper):
        def close(self) -> None:
            super().close()
            self.box.hooks = []  # type: ignore[attr-defined]


class Sideways(Opened):
    def native(self, name: str, array: np.ndarray) -> np.ndarray:
        return np.swapaxes(array, 0, 1)


class SingleOnly(Opened):
    def read(self, name: str) -> np.ndarray:
        return super().read(name).astype(np.float32, copy=False)


class KeepsAFifth(Opened):
    class keeps(Keeper):
        def zero(self, name: str, mask: np.ndarray) -> None:
            if mask.mean() > 0.2:
                super().zero(name, mask)


def on(opened: type[Opened]) -> Any:
    """Return a factory of the backend that opens boxes in this way."""

    class Other(Boxes):
        opens = opened

    return Other


BAD = {
    "check_models_can_be_made": Unmade,
    "check_it_handles_its_own_models_only": Greedy,
    "check_layers_are_named_and_shaped": on(OnlyMatrices),
    "check_the_view_is_read_only": on(Open),
    "check_missing_data_is_an_error": on(Dataless),
    "check_ops_agree_with_numpy": on(OwnStd),
    "check_reading_and_writing_are_exact": on(Adding),
    "check_pruned_places_become_positive_zero": on(Multiplying),
    "check_kept_places_are_left_alone": on(Tidying),
    "check_new_masks_replace_old_ones": on(Narrowing),
    "check_parameters_stay_the_same_objects": on(Replacing),
    "check_closing_leaves_an_ordinary_model": on(Littering),
    "check_native_arrays_fit_the_parameters": on(Sideways),
    "check_every_precision_works": on(SingleOnly),
    "check_masks_are_those_of_numpy": on(KeepsAFifth),
}
