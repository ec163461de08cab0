import array_api_compat.numpy as ops
import numpy as np

import pruners

from .layout import canonical


class View:
    """A model as a pruner sees it: read-only."""

    ops = ops

    def __init__(self, opened, names, data, loss, prepared):
        self.weights = {name: opened.read(name) for name in names}
        self.prepared = prepared
        self.host = opened.host
        self._network, self._data, self._loss = opened.network, data, loss

    def activations(self, gradients=False):
        if gradients:
            raise pruners.NeedsData("mininet gives gradients of weights, not of activations")
        for batch in self._batches():
            for name, z in self._network.outputs(batch[0]).items():
                if name in self.weights:
                    yield name, z

    def gradients(self):
        if self._loss is None:
            raise pruners.NeedsData("gradients need loss=function(model, batch) -> (value, gradients)")
        found = [self._loss(self._network, batch)[1] for batch in self._batches()]
        return {name: canonical(np.mean([each[name] for each in found], axis=0)) for name in self.weights}

    def _batches(self):
        batches = list(self._data or [])
        if not batches:
            raise pruners.NeedsData("this pruner looks at data: pass data=[(inputs, targets), ...]")
        return batches
