import mininet
import numpy as np

from .layout import stored


def model_from_arrays(arrays):
    """Return a model whose weights are copies of `arrays` ``(out, in, *kernel)``, under the same names."""
    return mininet.Network({name: stored(np.asarray(array)).copy() for name, array in arrays.items()})


def parameters(model):
    """Return the framework's own parameters by name."""
    return model.parameters
