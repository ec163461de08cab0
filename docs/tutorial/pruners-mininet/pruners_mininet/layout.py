import numpy as np


def canonical(array):
    """Return a parameter ``(*kernel, in, out)`` as ``(out, in, *kernel)``, without a copy."""
    return array if array.ndim < 2 else np.moveaxis(array, (-1, -2), (0, 1))


def stored(array):
    """Return an array ``(out, in, *kernel)`` as ``(*kernel, in, out)``, without a copy."""
    return array if array.ndim < 2 else np.moveaxis(array, (0, 1), (-1, -2))
