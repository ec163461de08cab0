"""After a removal the Trainer goes on with what it knew of the surviving channels."""

from __future__ import annotations

import mxnet
import numpy as np
import pytest
from mxnet import autograd, gluon, nd
from mxnet.gluon import nn
from pruners_mxnet.tracing import trace

from pruners import OptionError, ProofError, RemovalError


class AdamW(mxnet.optimizer.Adam):
    """Adam with decay of its own; MXNet 1.9.1 has only the operators."""

    def update(self, index, weight, grad, state):
        rate, decay = self._get_lr(index), self._get_wd(index)
        weight *= 1 - rate * decay
        self.wd, wd = 0, self.wd
        super().update(index, weight, grad, state)
        self.wd = wd


OPTIMIZERS = {
    "sgd": ("sgd", {"learning_rate": 0.02}),
    "momentum": ("sgd", {"learning_rate": 0.02, "momentum": 0.9, "wd": 1e-4}),
    "nag": ("nag", {"learning_rate": 0.02, "momentum": 0.9}),
    "adam": ("adam", {"learning_rate": 0.01}),
    "adamw": (lambda **options: AdamW(**options), {"learning_rate": 0.01, "wd": 0.01}),
    "rmsprop": ("rmsprop", {"learning_rate": 0.003}),
    "rmsprop centred": ("rmsprop", {"learning_rate": 0.003, "centered": True}),
    "adagrad": ("adagrad", {"learning_rate": 0.02}),
    "adadelta": ("adadelta", {"rho": 0.7, "epsilon": 1e-3}),
    "ftrl": ("ftrl", {"learning_rate": 0.05}),
    "lamb": ("lamb", {"learning_rate": 0.01}),
    "adamax": ("adamax", {"learning_rate": 0.01}),
    "nadam": ("nadam", {"learning_rate": 0.005}),
    "signum": ("signum", {"learning_rate": 0.002, "momentum": 0.9}),
    "ftml": ("ftml", {"learning_rate": 0.01}),
    "dcasgd": ("dcasgd", {"learning_rate": 0.05}),
    "lars": ("lars", {"learning_rate": 0.5, "momentum": 0.9}),
}
DEVICES = {
    "one": ([mxnet.cpu(0)], {}),
    "two": ([mxnet.cpu(0), mxnet.cpu(1)], {"update_on_kvstore": False}),
    "two on the store": ([mxnet.cpu(0), mxnet.cpu(1)], {"update_on_kvstore": True}),
}


def arrays(state):
    if isinstance(state, nd.NDArray):
        return [state]
    return [each for one in state for each in arrays(one)] if isinstance(state, (tuple, list)) else []


def states(trainer):
    """Return the states in use: of every device, or of the store."""
    stored = trainer._update_on_kvstore
    updaters = [trainer._kvstore._updater] if stored else trainer._updaters
    return [{number: updater.states[number] for number in updater.states} for updater in updaters]


def held(trainer):
    return [
        {number: [each.asnumpy() for each in arrays(state)] for number, state in one.items()}
        for one in states(trainer)
    ]


@pytest.mark.parametrize(
    ("devices", "hybrid"), [("one", False), ("one", True), ("two", True), ("two on the store", False)]
)
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_the_state_of_the_survivors_is_kept(by_hand, another, images, kept, train, kind, devices, hybrid):
    contexts, options = DEVICES[devices]
    net = another(images, contexts=contexts)
    if hybrid:
        net.hybridize(static_alloc=True)
    name, settings = OPTIMIZERS[kind]
    chosen = (name, dict(settings)) if isinstance(name, str) else (name(**settings),)
    trainer = gluon.Trainer(net.collect_params(), *chosen, **options)
    train(net, trainer, 4, contexts)
    assert bool(trainer._update_on_kvstore) is bool(options.get("update_on_kvstore"))
    before, listed, count = held(trainer), list(trainer._params), trainer.optimizer.num_update
    plan = by_hand.plan(net, kept)
    names = {id(parameter): name for name, parameter in by_hand.parameters(net).items()}
    by_hand.cut(net, kept, images, optimizer=trainer)
    assert all(left is right for left, right in zip(trainer._params, listed, strict=True))
    assert trainer.optimizer.num_update == count == 4
    sliced = 0
    after = held(trainer)
    for device, known in enumerate(before):
        assert after[device].keys() == known.keys()
        for number, full in known.items():
            cuts = plan.kept.get(names[id(listed[number])], {})
            for was, now in zip(full, after[device][number], strict=True):
                for axis, indices in cuts.items():
                    was = was.take(indices, axis)
                assert np.array_equal(now, was) and now.shape == listed[number].shape
                sliced += bool(cuts)
    assert sliced or kind == "sgd"
    losses = train(net, trainer, 30, contexts)
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.01
    assert trainer.optimizer.num_update == 34 and held(trainer)[0].keys() == before[0].keys()
    if len(contexts) > 1:
        left, right = (array.asnumpy() for array in net[3].weight.list_data())
        np.testing.assert_allclose(left, right, rtol=1e-6)


@pytest.mark.filterwarnings("ignore:.*tmp.*states:pytest.PytestUnraisableExceptionWarning")  # MXNet's own
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("devices", DEVICES)
def test_training_goes_on_as_that_of_the_smaller_model_would(
    by_hand, another, images, kept, train, devices, tmp_path
):
    """A network built small, with the same weights and states, takes the very same steps."""
    contexts, options = DEVICES[devices]
    net = another(images, contexts=contexts)
    trainer = gluon.Trainer(net.collect_params(), "adam", {"learning_rate": 0.01}, **options)
    train(net, trainer, 3, contexts)
    by_hand.cut(net, kept, images, optimizer=trainer)
    net.save_parameters(str(tmp_path / "net"))
    trainer.save_states(str(tmp_path / "states"))
    small = nn.HybridSequential(prefix=net.prefix)
    with small.name_scope():
        small.add(
            nn.Conv2D(5, 3, padding=1, in_channels=3),
            nn.BatchNorm(in_channels=5),
            nn.Activation("relu"),
            nn.Conv2D(7, 3, padding=1, in_channels=5),
            nn.BatchNorm(in_channels=7),
            nn.Activation("relu"),
            nn.GlobalAvgPool2D(),
            nn.Flatten(),
            nn.Dense(5, in_units=7),
        )
    small.load_parameters(str(tmp_path / "net"), ctx=contexts)
    own = list(by_hand.parameters(small).values())
    theirs = {id(parameter): number for number, parameter in enumerate(trainer._params)}
    order = sorted(range(len(own)), key=lambda i: theirs[id(list(by_hand.parameters(net).values())[i])])
    other = gluon.Trainer([own[i] for i in order], "adam", {"learning_rate": 0.01}, **options)
    other.load_states(str(tmp_path / "states"))
    assert train(net, trainer, 4, contexts) == train(small, other, 4, contexts)
    left, right = by_hand.values(net), by_hand.values(small)
    for name in left:
        if "running" not in name:  # a file holds their mean over all devices
            np.testing.assert_array_equal(left[name], right[name])


@pytest.mark.parametrize("kind", ["sgd", "adam", "lamb", "nag", "lars"])
def test_half_precision_keeps_its_single_copies(by_hand, another, images, kept, kind):
    net = another(images)
    recording = trace(net, images, modes=("eval",))
    net.cast("float16")
    options = {"learning_rate": 0.1, "multi_precision": True}
    options |= {"momentum": 0.9} if kind in ("sgd", "nag", "lars") else {}
    trainer = gluon.Trainer(net.collect_params(), kind, options)

    def step():
        for parameter in net.collect_params().values():
            if parameter.grad_req != "null":
                parameter.grad()[:] = 0.25
                parameter.data()._fresh_grad = True
        trainer.step(1)

    step()
    numbers = {id(parameter): number for number, parameter in enumerate(trainer._params)}
    number = numbers[id(net[3].weight)]
    before = [each.asnumpy() for each in arrays(trainer._updaters[0].states[number])]
    by_hand.cut(net, kept, images.astype("float16"), optimizer=trainer, recording=recording)
    after = arrays(trainer._updaters[0].states[number])
    assert any(each.dtype == np.float32 for each in after)
    for was, now in zip(before, after, strict=True):
        assert now.dtype == was.dtype and np.array_equal(now.asnumpy(), was[kept[20]][:, kept[12]])
    weight = net[3].weight.data().asnumpy()
    step()
    assert weight.dtype == np.float16 and not np.array_equal(net[3].weight.data().asnumpy(), weight)


def test_a_trainer_that_has_not_stepped(by_hand, net, images, kept, train):
    trainer = gluon.Trainer(net.collect_params(), "adam", {"learning_rate": 0.01})
    by_hand.cut(net, kept, images, optimizer=trainer)
    assert not trainer._updaters[0].states
    losses = train(net, trainer, 20)
    assert losses[-1] < losses[0]


def test_a_gradient_that_waits_for_its_step_is_used(by_hand, net, images, kept):
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 1.0})
    with autograd.record():
        loss = net(images).square().sum()
    loss.backward()
    by_hand.cut(net, kept, images, optimizer=trainer)
    weight, gradient = net[3].weight.data().asnumpy(), net[3].weight.grad().asnumpy()
    trainer.step(1)
    np.testing.assert_allclose(net[3].weight.data().asnumpy(), weight - gradient, rtol=1e-5, atol=1e-6)
    with pytest.raises(UserWarning, match="has not been updated by backward"):
        trainer.step(1)


def test_several_trainers(by_hand, net, images, kept, train):
    body = [parameter for block in list(net)[:8] for parameter in block.collect_params().values()]
    first = gluon.Trainer(body, "sgd", {"learning_rate": 0.02, "momentum": 0.9})
    second = gluon.Trainer(net[8].collect_params(), "adam", {"learning_rate": 0.01})
    train(net, first, 2), train(net, second, 2)
    by_hand.cut(net, kept, images, optimizer=[first, second])
    numbers = {id(parameter): number for number, parameter in enumerate(first._params)}
    assert first._updaters[0].states[numbers[id(net[3].weight)]].shape == (7, 5, 3, 3)
    assert [each.shape for each in arrays(second._updaters[0].states)] == []
    assert {each.shape for each in arrays(list(second._updaters[0].states.values()))} == {(5,), (5, 7)}
    train(net, first, 2), train(net, second, 2)


@pytest.mark.parametrize("devices", DEVICES)
def test_schedules_go_on(by_hand, another, images, kept, train, devices):
    contexts, options = DEVICES[devices]
    net = another(images, contexts=contexts)
    schedule = mxnet.lr_scheduler.FactorScheduler(step=2, factor=0.5, base_lr=0.1)
    settings = {"momentum": 0.9, "lr_scheduler": schedule}
    trainer = gluon.Trainer(net.collect_params(), "sgd", settings, **options)
    net[8].weight.lr_mult = 0.5
    train(net, trainer, 3, contexts)
    rate = trainer.learning_rate
    by_hand.cut(net, kept, images, optimizer=trainer)
    assert trainer.learning_rate == rate and trainer.optimizer.lr_scheduler is schedule
    train(net, trainer, 4, contexts)
    assert trainer.learning_rate == rate / 4 and net[8].weight.lr_mult == 0.5


def test_a_store_of_the_users_own_is_made_anew(by_hand, another, images, kept, train):
    contexts = DEVICES["two"][0]
    net, store = another(images, contexts=contexts), mxnet.kvstore.create("local")
    trainer = gluon.Trainer(net.collect_params(), "adam", {"learning_rate": 0.01}, kvstore=store)
    train(net, trainer, 2, contexts)
    by_hand.cut(net, kept, images, optimizer=trainer)
    assert trainer._kvstore is not store and trainer._kvstore.type == "local"
    losses = train(net, trainer, 20, contexts)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("kind", ["adam", "sgd"])
def test_sparse_gradients_stay_so(by_hand, kind):
    net = nn.HybridSequential()
    net.add(nn.Embedding(9, 12, sparse_grad=True), nn.Dense(4))
    index = nd.array([[1, 2], [3, 4]])
    by_hand.shaken(net, index)
    trainer = gluon.Trainer(net.collect_params(), kind, {"learning_rate": 0.01})
    keep = {12: [0, 4, 5], 24: [0, 4, 5, 12, 16, 17]}

    def step():
        with autograd.record():
            loss = net(index).square().sum()
        loss.backward()
        trainer.step(2)
        return loss.asscalar()

    step()
    expected = net[0].weight.grad().tostype("default").asnumpy()[:, keep[12]]
    by_hand.cut(net, keep, index, optimizer=trainer)
    gradient = net[0].weight.grad()
    assert gradient.stype == "row_sparse" and net[0].weight.shape == (9, 3)
    assert np.array_equal(gradient.tostype("default").asnumpy(), expected)
    losses = [step() for _ in range(5)]
    assert losses[-1] < losses[0] and net[0].weight.grad().stype == "row_sparse"


def test_what_lbsgd_sums_up_is_cut(by_hand, net, images, kept, train):
    options = {"learning_rate": 0.01, "momentum": 0.9, "batch_scale": 3, "updates_per_epoch": 4}
    trainer = gluon.Trainer(net.collect_params(), "lbsgd", options)
    train(net, trainer, 2)
    by_hand.cut(net, kept, images, optimizer=trainer)
    train(net, trainer, 6)


class Preconditioned(mxnet.optimizer.Optimizer):
    """Remembers a matrix per axis, as Shampoo does."""

    def create_state(self, index, weight):
        return [nd.zeros((length, length)) for length in weight.shape]

    def update(self, index, weight, grad, state):
        weight -= 0.01 * grad
        state[0] += 1


def test_state_of_another_form_is_cleared_and_told(by_hand, net, images, kept, train):
    trainer = gluon.Trainer(net.collect_params(), Preconditioned())
    train(net, trainer, 2)
    number = {id(parameter): i for i, parameter in enumerate(trainer._params)}[id(net[8].bias)]
    whole = trainer._updaters[0].states[number]
    with pytest.warns(UserWarning, match=r"state of 9 parameters .*starts afresh: 1.beta \(Precond"):
        by_hand.cut(net, kept, images, optimizer=trainer)
    assert list(trainer._updaters[0].states) == [number] and trainer._updaters[0].states[number] is whole
    train(net, trainer, 2)


@pytest.mark.parametrize("devices", DEVICES)
def test_a_warning_made_an_error_undoes_all(by_hand, another, images, kept, train, devices):
    contexts, options = DEVICES[devices]
    net = another(images, contexts=contexts)
    trainer = gluon.Trainer(net.collect_params(), Preconditioned(), **options)
    if options.get("update_on_kvstore"):
        train(net, trainer, 1, contexts)
    train(net, trainer, 2, contexts)
    before = by_hand.everything(net, trainer)
    with pytest.warns(UserWarning), pytest.raises(ProofError):
        raise_on_warning(by_hand, net, images, kept, trainer)
    assert by_hand.everything(net, trainer) == before


def raise_on_warning(by_hand, net, images, kept, trainer):
    import warnings

    warnings.warn("as any test expects one", UserWarning, stacklevel=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        try:
            by_hand.cut(net, kept, images, optimizer=trainer, modes=("eval",))
        except UserWarning as error:
            raise ProofError(str(error)) from error


def test_a_distributed_store_is_refused_before_anything_is_changed(by_hand, net, images, kept):
    trainer = gluon.Trainer(net.collect_params(), "sgd", kvstore="dist_sync")
    before = by_hand.everything(net, trainer)
    with pytest.raises(
        RemovalError, match="kvstore is 'dist_sync', whose servers keep .* make a new trainer"
    ):
        by_hand.cut(net, kept, images, optimizer=trainer)
    assert by_hand.everything(net, trainer) == before


def test_other_trainers_are_refused(by_hand, net, images, kept):
    other = nn.Dense(2, in_units=2)
    other.initialize()
    trainer = gluon.Trainer(other.collect_params(), "sgd")
    before = by_hand.everything(net)
    with pytest.raises(OptionError, match="holds none of the model's parameters"):
        by_hand.cut(net, kept, images, optimizer=trainer)
    with pytest.raises(OptionError, match="must be a mxnet.gluon.Trainer"):
        by_hand.cut(net, kept, images, optimizer=0.1)
    assert by_hand.everything(net) == before
