"""A framework of one file: dense layers, a ReLU between them, an optimizer."""

import numpy as np


class Network:
    """Parameters by name; weights are ``(in, out)`` and run in order, each with its bias."""

    def __init__(self, parameters):
        self.parameters = dict(parameters)

    def __call__(self, x):
        return list(self.outputs(x).values())[-1]

    def runs(self, x):
        """Yield ``(name, x, z)``: a weight, the batch it meets, its output before the ReLU."""
        for name, weight in self.parameters.items():
            if weight.ndim == 2:
                z = x @ weight + self.parameters.get(f"{name}.bias", 0)
                yield name, x, z
                x = np.maximum(z, 0)

    def outputs(self, x):
        """Return ``{name: z}``, each weight's output ``(batch, out)``."""
        return {name: z for name, _, z in self.runs(x)}

    def gradients(self, x, slope):
        """Return all gradients, given the slope of the loss at the last output."""
        found = {}
        for name, entered, _ in reversed(list(self.runs(x))):
            found[name] = entered.T @ slope
            found[f"{name}.bias"] = slope.sum(axis=0)
            slope = (slope @ self.parameters[name].T) * (entered > 0)
        return found


class Momentum:
    """Descent with momentum; functions in `after_step` are called after each step."""

    def __init__(self, network, rate=0.1, momentum=0.9):
        self.network, self.rate, self.momentum = network, rate, momentum
        self.velocity = {name: 0 * array for name, array in network.parameters.items()}
        self.after_step = []

    def step(self, gradients):
        for name, array in self.network.parameters.items():
            self.velocity[name] *= self.momentum
            self.velocity[name] -= self.rate * gradients.get(name, 0)
            array += self.velocity[name]
        for call in self.after_step:
            call()
