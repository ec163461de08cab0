"""What every backend promises, kept by ``numpy``."""

import numpy as np
from pruners_conformance import backend_checks


class Network:
    """A model whose arrays are attributes, one of them laid out by columns, one a bias."""

    def __init__(self):
        self.first = np.asfortranarray(np.arange(1.0, 25.0, dtype=np.float32).reshape(4, 6))
        self.kernel = np.linspace(-1, 1, 54, dtype=np.float64).reshape(3, 2, 3, 3)
        self.bias = np.ones(4, np.float16)
        self.name = "network"


def arrays(model):
    return vars(model) if isinstance(model, Network) else model


@backend_checks("numpy", parameters=arrays, models=[Network])
def test_numpy(check):
    check()
