"""A NumPy model that lies in pieces on several ranks, and a backend that opens it."""

from contextlib import contextmanager

import array_api_compat.numpy as ops
import attrs
import numpy as np
from pruners_numpy._backend import NumpyKeeper

from pruners import Layer

from .cuts import cut


@attrs.define(eq=False)
class ShardedModel:
    """This rank's pieces of named arrays; layers without boxes are copies. The model and opened at once."""

    group: object
    shapes: dict
    arrays: dict
    boxes: dict
    slopes: dict = attrs.field(factory=dict)
    layers: dict = attrs.field(init=False)
    shown: dict = attrs.field(factory=dict)
    copies: bool = False

    def __attrs_post_init__(self):
        self.layers = {
            name: Layer(name=name, module=name, type="array", shape=tuple(shape), bases=("array",))
            for name, shape in self.shapes.items()
        }

    @classmethod
    def of(cls, group, whole, boxes, slopes=None):
        """Return the pieces of whole arrays that a rank holds."""

        def here(arrays):
            return {
                name: np.array(cut(array, boxes[name][group.rank]) if name in boxes else array)
                for name, array in arrays.items()
            }

        shapes = {name: array.shape for name, array in whole.items()}
        return cls(group, shapes, here(whole), boxes, here(slopes or {}))

    def peers(self):
        return self.group if self.group.size > 1 else None

    @contextmanager
    def showing(self, arrays):
        before, self.shown = self.shown, {**self.shown, **arrays}
        try:
            yield
        finally:
            self.shown = before

    def view(self, names, *, data=None, loss=None, prepared=None):
        weights = {name: self._read_only(self.shown.get(name, self.arrays[name])) for name in names}
        return ShardedView(weights, prepared or {}, data, {name: self.slopes.get(name) for name in names})

    @contextmanager
    def guard(self, names):
        yield

    def _read_only(self, array):
        view = array.view()
        view.flags.writeable = False
        return view

    def read(self, name):
        return self._read_only(self.arrays[name])

    def write(self, arrays):
        for name, array in arrays.items():
            self.arrays[name][...] = array

    def host(self, array):
        return np.asarray(array)

    def native(self, name, array):
        return array

    def keeper(self, masks, *, optimizer=None, gradients=False):
        for name, mask in masks.items():
            assert mask.shape == self.arrays[name].shape
        return NumpyKeeper(self.arrays, {}, dict(masks))

    def save(self, path):
        raise NotImplementedError


@attrs.frozen(eq=False)
class ShardedView:
    weights: dict
    prepared: dict
    data: object
    slopes: dict
    ops: object = ops

    def activations(self, gradients=False):
        for batch in self.data:
            yield from ((name, z) for name, z in batch.items() if name in self.weights)

    def gradients(self):
        for batch in self.data:
            if callable(batch):
                batch()
        return self.slopes


class ShardedBackend:
    """Opens what is open already."""

    name = "sharded"

    def handles(self, model):
        return isinstance(model, ShardedModel)

    def open(self, model):
        return model
