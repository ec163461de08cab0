import mininet
import numpy as np
from pruners_conformance import backend_checks

import pruners


def network():
    return mininet.Network({"first": np.ones((6, 4)), "first.bias": np.ones(4), "last": np.ones((4, 2))})


@backend_checks("mininet", models=[network])
def test_mininet(check):
    check()


def test_zeros_survive_the_optimizer():
    model = network()
    optimizer = mininet.Momentum(model)
    pruning = pruners.attach(model, pruners.Rule("first", pruner="level", sparsity=0.5), optimizer)
    x = np.random.default_rng(0).normal(size=(8, 6))
    for _ in range(3):
        optimizer.step(model.gradients(x, model(x)))
        assert np.count_nonzero(model.parameters["first"]) == 12
        pruning.step()
    pruning.finish()
    optimizer.step(model.gradients(x, model(x)))
    assert np.count_nonzero(model.parameters["first"]) > 12
