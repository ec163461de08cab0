"""Channels removed from end to end: recorded, scored, chosen, cut, proved; and trained on."""

from __future__ import annotations

import sys
from contextlib import suppress
from threading import Thread

import mxnet
import numpy as np
import pytest
from mxnet import autograd, gluon, nd
from mxnet.gluon import Block, HybridBlock, nn, rnn

import pruners


def sequence(*layers):
    net = nn.HybridSequential()
    net.add(*layers)
    return net


def convolution(channels, size=3, groups=1, stride=1):
    return sequence(
        nn.Conv2D(channels, size, stride, padding=size // 2, groups=groups, use_bias=False),
        nn.BatchNorm(),
        nn.Activation("relu"),
    )


class Residual(HybridBlock):
    """A sum of two paths."""

    def __init__(self, channels, stride=1, **options):
        super().__init__(**options)
        self.body = sequence(
            convolution(channels, stride=stride), nn.Conv2D(channels, 3, padding=1), nn.BatchNorm()
        )
        self.shortcut = sequence(nn.Conv2D(channels, 1, stride), nn.BatchNorm())

    def hybrid_forward(self, F, x):
        return F.relu(self.body(x) + self.shortcut(x))


class Dense(HybridBlock):
    """Channels joined to those before."""

    def __init__(self, channels, **options):
        super().__init__(**options)
        self.first, self.second = convolution(channels), convolution(channels)

    def hybrid_forward(self, F, x):
        x = F.concat(x, self.first(x), dim=1)
        return F.concat(x, self.second(x), dim=1)


class Excited(HybridBlock):
    """Channels weighed by what they hold."""

    def __init__(self, channels, **options):
        super().__init__(**options)
        self.body = convolution(channels)
        self.less, self.more = nn.Dense(channels // 2, activation="relu"), nn.Dense(channels)

    def hybrid_forward(self, F, x):
        x = self.body(x)
        weight = F.sigmoid(self.more(self.less(F.mean(x, axis=(2, 3)))))
        return F.broadcast_mul(x, F.reshape(weight, (0, 0, 1, 1)))


class Branching(Block):
    """Ordinary Python that looks at its input."""

    def __init__(self, **options):
        super().__init__(**options)
        self.body, self.other = convolution(12), convolution(12)
        self.norms = [1.0, 2.0]

    def forward(self, x):
        hidden = self.body(x)
        if x.shape[0] > 2:
            for factor in self.norms:
                hidden = self.other(hidden) * factor
        return hidden


class Tokens(HybridBlock):
    """A perceptron with norms of its features."""

    def __init__(self, **options):
        super().__init__(**options)
        self.body = sequence(
            nn.Dense(24, flatten=False),
            nn.LayerNorm(),
            nn.GELU(),
            nn.Dense(16, flatten=False),
            nn.LayerNorm(),
        )

    def hybrid_forward(self, F, x):
        return self.body(F.transpose(F.reshape(x, (0, 0, -1)), (0, 2, 1)))


class Recurrent(HybridBlock):
    """An LSTM that is kept whole, and the dense layer before it."""

    def __init__(self, **options):
        super().__init__(**options)
        self.before = convolution(12)
        self.first = nn.Dense(10, flatten=False, activation="relu")
        self.lstm = rnn.LSTM(6, layout="NTC")

    def hybrid_forward(self, F, x):
        x = F.transpose(F.reshape(self.before(x), (0, 0, -1)), (0, 2, 1))
        return self.lstm(self.first(x))


BODIES = {
    "plain": lambda: sequence(convolution(12), nn.MaxPool2D(), convolution(20)),
    "residual": lambda: sequence(convolution(12), Residual(12), Residual(20, 2)),
    "dense": lambda: sequence(convolution(12), Dense(8), convolution(10, 1)),
    "depthwise": lambda: sequence(convolution(12), convolution(12, groups=12), convolution(20, 1)),
    "grouped": lambda: sequence(convolution(12), convolution(16, groups=4), convolution(10, 1)),
    "excited": lambda: sequence(convolution(8), Excited(12), convolution(10, 1)),
    "transposed": lambda: sequence(
        convolution(12), nn.Conv2DTranspose(10, 2, 2), nn.BatchNorm(), nn.LeakyReLU(0.1), convolution(8)
    ),
    "group norm": lambda: sequence(nn.Conv2D(12, 3), nn.GroupNorm(4), nn.Activation("relu"), convolution(8)),
    "instance norm": lambda: sequence(nn.Conv2D(12, 3), nn.InstanceNorm(), nn.PReLU(), convolution(8)),
    "branching": lambda: Branching(),
    "layer norm": lambda: Tokens(),
    "recurrent": lambda: Recurrent(),
}


class Classifier(Block):
    """A body and a dense layer that reads all of what it gives."""

    def __init__(self, body, **options):
        super().__init__(**options)
        self.body, self.head = body, nn.Dense(5)

    def forward(self, x):
        return self.head(self.body(x))


@pytest.fixture
def make(by_hand, images):
    return lambda kind, **more: by_hand.shaken(Classifier(BODIES[kind]()), images, **more)


def size(model):
    return sum(np.prod(parameter.shape) for parameter in model.collect_params().values())


def masked_by(removal, by_hand, model, before):
    """Give a model of full size the values from before, with zeros (ones) where channels left."""
    for name, parameter in by_hand.parameters(model).items():
        array = before[name].copy()
        for axis, kept in removal.plan.kept.get(name, {}).items():
            leaving = np.setdiff1d(np.arange(array.shape[axis]), kept)
            np.moveaxis(array, axis, 0)[leaving] = 1 if name.endswith("running_var") else 0
        parameter.set_data(nd.array(array))


@pytest.mark.parametrize("hybrid", [None, {}, {"static_alloc": True, "static_shape": True}])
@pytest.mark.parametrize("kind", BODIES)
def test_half_of_the_channels_leave(by_hand, make, images, train, kind, hybrid):
    net, full = make(kind), make(kind)
    if hybrid is not None:
        net.hybridize(**hybrid)
        net(images)
    before, whole = by_hand.values(net), size(net)
    trainer = gluon.Trainer(net.collect_params(), "adam", {"learning_rate": 0.005})
    removal = pruners.remove(
        net, "filter-norm", sparsity=0.5, example_inputs=images, optimizer=trainer, measure=0
    )
    assert removal.model is net and size(net) < 0.93 * whole
    assert removal.proof.error <= removal.proof.tolerance
    assert removal.proof.dtype == ("float32" if kind == "instance norm" else "float64")
    assert bool(removal.proof.normalised) is (kind in ("group norm", "layer norm"))
    if not removal.proof.normalised:
        masked_by(removal, by_hand, full, before)
        expected = full(images).asnumpy()
        assert np.abs(expected).max() > 0
        tolerance = 1e-4 * np.abs(expected).max()
        np.testing.assert_allclose(net(images).asnumpy(), expected, rtol=1e-4, atol=tolerance)
    losses = train(net, trainer, 12)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("pruner", ["level", "random", "fpgm", "bn-scale"])
def test_every_criterion_removes(make, images, pruner):
    net = make("residual")
    whole = size(net)
    removal = pruners.remove(net, pruner, sparsity=0.5, example_inputs=images, measure=0)
    assert removal.proof.error < 1e-9 and size(net) < 0.4 * whole
    assert net(images).shape == (4, 5)


def test_repeated_removals(make, images, train):
    net = make("residual")
    net.hybridize()
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.01, "momentum": 0.9})
    sizes = [size(net)]
    for _ in range(3):
        train(net, trainer, 3)
        pruners.remove(net, "level", sparsity=0.3, example_inputs=images, optimizer=trainer, measure=0)
        sizes.append(size(net))
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) == 4
    losses = train(net, trainer, 10)
    assert losses[-1] < losses[0]


def test_two_devices(make, images, train):
    contexts = [mxnet.cpu(0), mxnet.cpu(1)]
    net = make("residual", contexts=contexts)
    trainer = gluon.Trainer(net.collect_params(), "adam", {"learning_rate": 0.005})
    train(net, trainer, 2, contexts)
    pruners.remove(net, "level", sparsity=0.5, example_inputs=images, optimizer=trainer, measure=0)
    losses = train(net, trainer, 10, contexts)
    assert losses[-1] < losses[0]
    left, right = (array.asnumpy() for array in net.head.weight.list_data())
    assert np.array_equal(left, right)


def test_numpy_arrays(by_hand):
    with mxnet.util.np_shape(True), mxnet.util.np_array(True):
        x = mxnet.np.random.normal(size=(4, 3, 8, 8))
        net = by_hand.shaken(
            sequence(convolution(12), nn.MaxPool2D(), convolution(20), nn.GlobalAvgPool2D(), nn.Dense(5)), x
        )
        net.hybridize()
        removal = pruners.remove(net, "level", sparsity=0.5, example_inputs=x, measure=0)
        assert removal.proof.error < 1e-9 and net[4].weight.shape == (5, 10)
        with autograd.record():
            loss = net(x).sum()
        loss.backward()
        assert isinstance(net[4].weight.grad(), mxnet.np.ndarray)


@pytest.mark.filterwarnings("ignore:Cannot decide type:UserWarning")
def test_what_is_left_is_exported(make, images, tmp_path):
    net = make("residual").body
    net.hybridize()
    net(images)
    pruners.remove(net, "level", sparsity=0.5, example_inputs=images, measure=0)
    expected = net(images).asnumpy()
    net.export(str(tmp_path / "net"))
    files = [str(tmp_path / "net-symbol.json"), ["data"], str(tmp_path / "net-0000.params")]
    assert np.array_equal(gluon.SymbolBlock.imports(*files)(images).asnumpy(), expected)
    net.save_parameters(str(tmp_path / "weights"))
    net.load_parameters(str(tmp_path / "weights"))
    assert np.array_equal(net(images).asnumpy(), expected)


def test_an_average_follows(by_hand, make, images):
    net, average = make("residual"), make("residual", seed=3)
    pruners.remove(net, "level", sparsity=0.5, example_inputs=images, copies=[average], measure=0)
    shapes = [
        {name: parameter.shape for name, parameter in by_hand.parameters(each).items()}
        for each in (net, average)
    ]
    assert shapes[0] == shapes[1] and average(images).shape == (4, 5)


def test_a_distributed_trainer_is_refused(by_hand, make, images):
    net = make("plain")
    trainer = gluon.Trainer(net.collect_params(), "sgd", kvstore="dist_sync")
    before = by_hand.everything(net, trainer)
    with pytest.raises(pruners.RemovalError, match="kvstore is 'dist_sync'"):
        pruners.remove(net, "level", sparsity=0.5, example_inputs=images, optimizer=trainer, measure=0)
    assert by_hand.everything(net, trainer) == before


def test_a_synchronised_batch_norm_trains_on_though_its_buffers_have_a_size(tmp_path):
    def made():
        net = sequence(
            nn.Conv2D(8, 3), gluon.contrib.nn.SyncBatchNorm(num_devices=1), nn.GlobalAvgPool2D(), nn.Dense(2)
        )
        net.initialize()
        return net

    def train(net):
        trainer = gluon.Trainer(net.collect_params(), "sgd")
        with autograd.record():
            value = net(x).square().mean()
        value.backward()
        trainer.step(1)
        nd.waitall()

    x, net, other = nd.random.normal(shape=(2, 3, 8, 8)), made(), made()
    train(net)
    train(other)
    for left in (4, 2):
        pruners.remove(net, sparsity=0.5, example_inputs=x, measure=0)
        train(net)
        assert net[1].gamma.shape == (left,)
    pruners.save(net, tmp_path / "small.safetensors")
    pruners.load(other, tmp_path / "small.safetensors")
    train(other)


def test_mxnets_own_functions_are_back_after_removals_in_several_threads():
    own = nd.NDArray.reshape, vars(nd.NDArray)["shape"], nd.NDArray.asnumpy
    x, found = nd.random.normal(shape=(2, 3, 8, 8)), []

    def remove():
        net = sequence(nn.Conv2D(8, 3, activation="relu"), nn.Conv2D(8, 3), nn.MaxPool2D(2), nn.Dense(2))
        net.initialize()
        net(x)
        options = {"data": [x] * 4, "loss": lambda model, batch: model(batch).square().mean()}
        removal = pruners.remove(net, "taylor", sparsity=0.5, example_inputs=x, measure=0, **options)
        found.append([group.kept for group in removal.groups])

    def work():
        for _ in range(3):
            with suppress(pruners.TraceError):  # what another thread runs meanwhile may disturb a recording
                remove()

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    found.clear()
    remove()
    assert found == [[4, 4]]
    assert own == (nd.NDArray.reshape, vars(nd.NDArray)["shape"], nd.NDArray.asnumpy)
