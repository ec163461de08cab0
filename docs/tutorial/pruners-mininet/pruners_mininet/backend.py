from contextlib import nullcontext

import mininet
import numpy as np

import pruners

from .keeper import Keeper
from .layout import canonical, stored
from .view import View


class MininetBackend:
    """Adapter to models that are a `mininet.Network`."""

    name = "mininet"

    def handles(self, model):
        return isinstance(model, mininet.Network)

    def open(self, model):
        return OpenNetwork(model)


class OpenNetwork:
    """One model; every array crosses here as NumPy, laid out ``(out, in, *kernel)``."""

    def __init__(self, network):
        self.network = network
        self.layers = {
            name: pruners.Layer(
                name=name,
                module=name,
                type="Dense" if array.ndim == 2 else "Array",
                shape=canonical(array).shape,
                default=array.ndim >= 2,
            )
            for name, array in network.parameters.items()
        }

    def read(self, name):
        found = canonical(self.network.parameters[name]).view()
        found.flags.writeable = False
        return found

    def write(self, arrays):
        for name, array in arrays.items():
            target = canonical(self.network.parameters[name])
            raw = f"V{target.itemsize}"
            np.copyto(target.view(raw), array.astype(target.dtype, copy=False).view(raw))

    def host(self, array):
        return np.asarray(array)

    def native(self, name, array):
        return stored(array)

    def view(self, names, *, data=None, loss=None, prepared=None):
        return View(self, names, data, loss, prepared or {})

    def guard(self, names):
        return nullcontext()

    def keeper(self, masks, *, optimizer=None, gradients=False):
        if gradients:
            raise pruners.OptionError("mask_gradients=True: mininet hands gradients to the optimizer at once")
        return Keeper(self.network.parameters, dict(masks), optimizer)

    def save(self, path):
        np.savez(path, **self.network.parameters)
