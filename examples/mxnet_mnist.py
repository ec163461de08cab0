"""Prune an MXNet network while it trains, or fine-tune a sparse one on other images.

Run it with: python mxnet_mnist.py --mode dense
         or: python mxnet_mnist.py --mode sparse --data FOLDER
Needs: pip install pruners[mxnet] scikit-learn
"""

import mnist
from mxnet import autograd, gluon, nd
from mxnet.gluon import nn

import pruners

cross_entropy = gluon.loss.SoftmaxCrossEntropyLoss()


class Network(gluon.HybridBlock):
    def __init__(self, side):
        super().__init__()
        self.conv1 = nn.Conv2D(32, 3, padding=1, in_channels=1, activation="relu")
        self.conv2 = nn.Conv2D(64, 3, padding=1, in_channels=32, activation="relu")
        self.dense1 = nn.Dense(128, in_units=64 * (side // 4) ** 2, activation="relu")
        self.dense2 = nn.Dense(10, in_units=128)
        self.pool = nn.MaxPool2D(2)

    def hybrid_forward(self, F, x):
        x = self.pool(self.conv1(x))
        x = self.pool(self.conv2(x))
        return self.dense2(self.dense1(x))


def build(side, seed):
    network = Network(side)
    network.initialize()
    network.hybridize()
    for name, w in mnist.weights(side, seed).items():
        layer, parameter = name.split(".")
        getattr(getattr(network, layer), parameter).set_data(nd.array(w))
    return network


def trainer_of(network):
    return gluon.Trainer(network.collect_params(), "sgd", {"learning_rate": 0.05, "momentum": 0.9})


def train_step(network, trainer, x, y):
    with autograd.record():
        loss = cross_entropy(network(nd.array(x)), nd.array(y))
    loss.backward()
    trainer.step(len(x))


def accuracy(network, data):
    parts = [nd.array(data.x_test[start : start + 500]) for start in range(0, len(data.x_test), 500)]
    found = nd.concat(*[network(x).argmax(1) for x in parts], dim=0)
    return float((found.asnumpy() == data.y_test).mean())


def prune_dense(asked):
    """Train a network, and prune it step by step from the step `pretrain` on."""
    data = mnist.images(asked.data)
    network = build(data.x.shape[-1], asked.seed)
    trainer = trainer_of(network)
    accuracies = {}

    pruning = pruners.attach(network, mnist.rule(asked), trainer)
    for step, (x, y) in enumerate(mnist.batches(data, asked, asked.steps), 1):
        train_step(network, trainer, x, y)
        pruning.step()  # after each step of the trainer
        if step == asked.pretrain:
            accuracies["before pruning"] = accuracy(network, data)
    pruning.finish()  # an ordinary network again; its zeros stay where they are

    mnist.show(network, accuracies | {"in the end": accuracy(network, data)})
    return network


def tune_sparse(asked):
    """Take a network that is sparse already, and train it on new images with its zeros kept."""
    old, new = mnist.two_data_sets(asked.data)
    network = build(old.x.shape[-1], asked.seed)
    trainer = trainer_of(network)
    for x, y in mnist.batches(old, asked, asked.pretrain):
        train_step(network, trainer, x, y)
    pruners.prune(network, mnist.rule_at_once())
    accuracies = {"on new images": accuracy(network, new)}

    trainer = trainer_of(network)
    pruning = pruners.attach(network, keep="zeros", optimizer=trainer)
    for x, y in mnist.batches(new, asked, asked.steps):
        train_step(network, trainer, x, y)
        pruning.step()
    pruning.finish()

    mnist.show(network, accuracies | {"in the end": accuracy(network, new)})
    return network


def main():
    asked = mnist.options("Apache MXNet")
    return prune_dense(asked) if asked.mode == "dense" else tune_sparse(asked)


if __name__ == "__main__":
    main()
