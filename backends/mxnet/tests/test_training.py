"""Zeros that stay: through every optimizer, precision, device and way to update."""

from __future__ import annotations

import mxnet
import numpy as np
import pytest
from mxnet import autograd, gluon
from mxnet.gluon import nn

import pruners

OPTIMIZERS = {
    "sgd": {"learning_rate": 0.1, "wd": 1e-2},
    "momentum": {"learning_rate": 0.1, "momentum": 0.9, "wd": 1e-2},
    "nag": {"learning_rate": 0.1, "momentum": 0.9, "wd": 1e-2},
    "adam": {"learning_rate": 1e-2, "wd": 1e-2},
    "rmsprop": {"learning_rate": 1e-2},
    "centred": {"learning_rate": 1e-2, "centered": True},
    "adagrad": {"learning_rate": 1e-2},
    "adadelta": {"wd": 1e-2},
    "ftrl": {"learning_rate": 1e-1},
    "lamb": {"learning_rate": 1e-2},
    "lars": {"learning_rate": 1e-1, "momentum": 0.9},
    "signum": {"learning_rate": 1e-2, "momentum": 0.9, "wd_lh": 1e-2},
    "nadam": {"learning_rate": 1e-2},
    "adamax": {"learning_rate": 1e-2},
    "ftml": {"learning_rate": 1e-2},
    "dcasgd": {"learning_rate": 1e-1},
    "lbsgd": {"learning_rate": 1e-2, "momentum": 0.9},
    "sgld": {"learning_rate": 1e-3},
    "nesterov half": {"learning_rate": 0.1, "momentum": 0.9, "multi_precision": True},
    "momentum half": {"learning_rate": 0.1, "momentum": 0.9, "multi_precision": True},
    "adam half": {"learning_rate": 1e-2, "epsilon": 1e-4, "multi_precision": True},
    "lamb half": {"learning_rate": 1e-2, "multi_precision": True},
}
NAMES = {"momentum": "sgd", "centred": "rmsprop", "nesterov": "nag"}


def network(dtype="float32", ctx=None) -> nn.Block:
    mxnet.random.seed(0)
    net = nn.HybridSequential()
    net.add(
        nn.Conv2D(8, 3, in_channels=1, activation="relu"),
        nn.BatchNorm(in_channels=8),
        nn.Flatten(),
        nn.Dense(16, in_units=8 * 36, activation="relu"),
        nn.Dense(4, in_units=16),
    )
    net.initialize(mxnet.init.Xavier(), ctx=ctx or mxnet.cpu())
    net.cast(dtype)
    return net


WEIGHTS = ["0.weight", "3.weight", "4.weight"]
entropy = gluon.loss.SoftmaxCrossEntropyLoss()


def trainer_of(net, kind="momentum", **options) -> gluon.Trainer:
    name = kind.removesuffix(" half")
    return gluon.Trainer(
        net.collect_params(), NAMES.get(name, name), OPTIMIZERS[kind] | options.pop("more", {}), **options
    )


def batches(count, seed=1, dtype="float32"):
    draw = np.random.default_rng(seed)
    for _ in range(count):
        yield (
            mxnet.nd.array(draw.normal(size=(8, 1, 8, 8)), dtype=dtype),
            mxnet.nd.array(draw.integers(4, size=8), dtype=dtype),
        )


def backward(net, x, y) -> None:
    contexts = net[0].weight.list_ctx()
    if x.dtype == np.float16:
        draw_gradients(net, int(y.sum().asscalar()))
        return
    with autograd.record():
        parts = zip(
            gluon.utils.split_and_load(x, contexts), gluon.utils.split_and_load(y, contexts), strict=True
        )
        losses = [entropy(net(each), label) for each, label in parts]
    autograd.backward(losses)


def draw_gradients(net, seed) -> None:
    """Stand in for backward: MXNet multiplies no matrices of float16 in host memory."""
    draw = np.random.default_rng(seed)
    for parameter in net.collect_params().values():
        if parameter.grad_req != "null":
            for data, gradient in zip(parameter._data, parameter._grad, strict=True):
                gradient[:] = mxnet.nd.array(draw.normal(size=gradient.shape), dtype="float16")
                data._fresh_grad = True


def train(net, trainer, pruning, count, seed=1, check=None, dtype="float32"):
    for x, y in batches(count, seed, dtype):
        backward(net, x, y)
        trainer.step(len(x))
        if pruning is not None:
            pruning.step()
        if check is not None:
            check()


def parameters(net) -> dict:
    return net._collect_params_with_prefix()


def positive_zeros(pruning, net) -> None:
    for name, mask in pruning.masks.items():
        pruned = ~mask.asnumpy()
        for array in parameters(net)[name].list_data():
            values = array.asnumpy()[pruned]
            assert not np.ascontiguousarray(values).view(np.uint8).any(), f"{name} on {array.context}"
            assert array.asnumpy()[~pruned].any()


AGP = {"start": 1, "stop": 5, "every": 2}


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("given", [True, False], ids=["trainer given", "step alone"])
def test_zeros_stay_zero(kind, given):
    dtype = "float16" if kind.endswith("half") else "float32"
    net = network(dtype)
    trainer = trainer_of(net, kind)
    rule = pruners.Rule("*", sparsity=0.75, schedule=pruners.schedule("agp", **AGP))
    pruning = pruners.attach(net, rule, trainer if given else None)
    before = {name: parameters(net)[name].data().asnumpy() for name in WEIGHTS}
    train(net, trainer, pruning, 8, check=lambda: positive_zeros(pruning, net), dtype=dtype)
    for name, mask in pruning.masks.items():
        assert int((~mask.asnumpy()).sum()) == int(0.75 * mask.size)
        kept = mask.asnumpy()
        assert (parameters(net)[name].data().asnumpy() != before[name])[kept].any(), "nothing was trained"
    assert [update.step for update in pruning.log] == [1, 3, 5]


def test_weights_are_zero_the_moment_the_trainer_has_stepped():
    net = network()
    trainer = trainer_of(net)
    pruning = pruners.attach(net, pruners.Rule(sparsity=0.5), trainer)
    for x, y in batches(5):
        with autograd.record():
            loss = entropy(net(x), y)
        loss.backward()
        trainer.step(8)
        positive_zeros(pruning, net)


def test_update_alone_keeps_the_zeros_too():
    net = network(ctx=[mxnet.cpu(0), mxnet.cpu(1)])
    trainer = trainer_of(net, update_on_kvstore=False)
    pruning = pruners.attach(net, pruners.Rule(sparsity=0.5), trainer)
    for x, y in batches(3):
        with autograd.record():
            losses = [entropy(net(x.as_in_context(ctx)), y.as_in_context(ctx)) for ctx in trainer._contexts]
        autograd.backward(losses)
        trainer.allreduce_grads()
        trainer.update(16)
        positive_zeros(pruning, net)


def states_of(trainer, parameter) -> list:
    from pruners_mxnet._zeroing import arrays_in

    index = next(i for i, each in enumerate(trainer._params) if each is parameter)
    updaters = [trainer._kvstore._updater] if trainer._update_on_kvstore else trainer._updaters
    return [slot for updater in updaters for slot in arrays_in(updater.states[index])]


@pytest.mark.parametrize("on_store", [True, False])
@pytest.mark.parametrize("kind", ["momentum", "adam", "lamb", "momentum half", "adam half"])
def test_the_optimizers_state_is_cleared_where_a_mask_changes(kind, on_store):
    dtype = "float16" if kind.endswith("half") else "float32"
    contexts = [mxnet.cpu(0), mxnet.cpu(1)]
    net = network(dtype, contexts)
    trainer = trainer_of(net, kind, update_on_kvstore=on_store)
    rule = pruners.Rule("4", sparsity=0.5, schedule=pruners.schedule("constant", at=4))
    pruning = pruners.attach(net, rule, trainer)
    train(net, trainer, pruning, 4, dtype=dtype)
    pruned = ~pruning.masks["4.weight"].asnumpy()
    slots = states_of(trainer, net[4].weight)
    assert len(slots) == {"momentum": 1, "adam": 2, "lamb": 2, "momentum half": 2, "adam half": 3}[kind] * (
        1 if on_store else 2
    )
    for slot in slots:
        assert not slot.asnumpy()[pruned].any()
        assert slot.asnumpy()[~pruned].any()


@pytest.mark.parametrize("on_store", [True, False], ids=["on the store", "on the devices"])
@pytest.mark.parametrize("kind", ["momentum", "adam", "lamb", "momentum half"])
def test_several_contexts_have_the_same_zeros_however_weights_are_updated(kind, on_store):
    dtype = "float16" if kind.endswith("half") else "float32"
    net = network(dtype, [mxnet.cpu(0), mxnet.cpu(1)])
    trainer = trainer_of(net, kind, update_on_kvstore=on_store)
    rule = pruners.Rule("*", sparsity=0.75, schedule=pruners.schedule("agp", **AGP))
    pruning = pruners.attach(net, rule, trainer)
    train(net, trainer, pruning, 8, check=lambda: positive_zeros(pruning, net), dtype=dtype)
    assert trainer._update_on_kvstore is on_store
    for parameter in parameters(net).values():
        one, two = (array.asnumpy() for array in parameter.list_data())
        assert np.array_equal(one, two) or not parameter._differentiable


def test_the_stores_own_copy_of_the_weights_has_the_zeros_too():
    net = network(ctx=[mxnet.cpu(0), mxnet.cpu(1)])
    trainer = trainer_of(net, update_on_kvstore=True)
    pruning = pruners.attach(net, pruners.Rule(sparsity=0.75), trainer)
    train(net, trainer, pruning, 3)
    for name in WEIGHTS:
        index = next(i for i, each in enumerate(trainer._params) if each is parameters(net)[name])
        copy = mxnet.nd.empty(parameters(net)[name].shape)
        trainer._kvstore.pull(index, out=copy)
        assert not copy.asnumpy()[~pruning.masks[name].asnumpy()].any(), name


def test_norms_that_an_optimizer_takes_see_pruned_weights_as_zero():
    # LAMB scales a layer's step by its norm: weights that a store keeps under the zeros would change it.
    found = []
    for on_store in (True, False):
        net = network(ctx=[mxnet.cpu(0), mxnet.cpu(1)])
        trainer = trainer_of(net, "lamb", more={"learning_rate": 0.3}, update_on_kvstore=on_store)
        pruning = pruners.attach(net, pruners.Rule(sparsity=0.75), trainer)
        train(net, trainer, pruning, 5)
        found.append(net[4].weight.data(mxnet.cpu(0)).asnumpy())
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4, atol=1e-6)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # MXNet closes no file there
def test_the_trainers_state_is_saved_and_loaded_as_ever(tmp_path):
    net = network(ctx=[mxnet.cpu(0), mxnet.cpu(1)])
    trainer = trainer_of(net, "adam", update_on_kvstore=True)
    pruning = pruners.attach(net, pruners.Rule(sparsity=0.5), trainer)
    train(net, trainer, pruning, 2)
    trainer.save_states(str(tmp_path / "states"))
    trainer.load_states(str(tmp_path / "states"))
    train(net, trainer, pruning, 2, check=lambda: positive_zeros(pruning, net))


def test_accumulated_and_clipped_gradients():
    net = network()
    for parameter in net.collect_params().values():
        if parameter.grad_req != "null":
            parameter.grad_req = "add"
    trainer = trainer_of(net)
    pruning = pruners.attach(net, pruners.Rule(sparsity=0.9), trainer)
    trained = [each for each in net.collect_params().values() if each.grad_req != "null"]
    for index, (x, y) in enumerate(batches(9)):
        with autograd.record():
            loss = entropy(net(x), y) / 3
        loss.backward()
        if index % 3 == 2:
            gluon.utils.clip_global_norm([each.grad() for each in trained], 0.1)
            trainer.step(8)
            pruning.step()
            for each in trained:
                each.zero_grad()
            positive_zeros(pruning, net)
    assert pruning.time == 3


def test_masked_gradients_leave_only_kept_weights_in_the_norm():
    norms = []
    for option in (False, True):
        net = network()
        trainer = trainer_of(net, "sgd")
        pruning = pruners.attach(net, pruners.Rule(sparsity=0.9), trainer, mask_gradients=option)
        (x, y), *_ = batches(1)

        def backward():
            with autograd.record():
                loss = entropy(net(x), y)  # noqa: B023
            loss.backward()

        backward()
        for name, mask in pruning.masks.items():
            kept = mask.asnumpy()
            for gradient in (parameters(net)[name].grad(), parameters(net)[name].list_grad()[0]):
                assert bool(gradient.asnumpy()[~kept].any()) is not option
                assert gradient.asnumpy()[kept].any()
        trained = [each for each in net.collect_params().values() if each.grad_req != "null"]
        norms.append(gluon.utils.clip_global_norm([each.grad() for each in trained], 1.0))
        pruning.finish()
        backward()
        assert parameters(net)["4.weight"].grad().asnumpy()[~kept].any(), "finish() must stop masking"
        assert not {"grad", "list_grad"} & set(vars(parameters(net)["4.weight"]))
    assert norms[1] < norms[0]


@pytest.mark.filterwarnings("ignore:Accumulating with float16")
@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_precisions(dtype):
    net = network(dtype)
    trainer = trainer_of(net)
    pruning = pruners.attach(net, pruners.Rule(sparsity=0.5), trainer)
    train(net, trainer, pruning, 3, check=lambda: positive_zeros(pruning, net), dtype=dtype)
    assert int((~pruning.masks["4.weight"].asnumpy()).sum()) == 32


def test_infinite_and_nan_pruned_weights_become_plus_zero():
    layer = nn.Dense(2, in_units=4)
    layer.initialize(mxnet.init.Uniform())
    pruning = pruners.attach(layer, pruners.Rule(sparsity=0.5))
    values = layer.weight.data().asnumpy().copy()
    values[~pruning.masks["weight"].asnumpy()] = [float("nan"), float("inf"), -float("inf"), -0.0]
    layer.weight.set_data(mxnet.nd.array(values))
    pruning.step()
    positive_zeros(pruning, layer)


def test_a_mixed_precision_step_that_is_skipped_keeps_the_zeros():
    from mxnet.contrib.amp.loss_scaler import LossScaler

    net = nn.Dense(4, in_units=16, dtype="float16")
    net.initialize()
    trainer = trainer_of(net, "momentum half")
    trainer._amp_loss_scaler = LossScaler()
    pruning = pruners.attach(net, pruners.Rule(sparsity=0.5), trainer)
    for seed in range(3):
        draw_gradients(net, seed)
        net.weight.grad()[0, 0] = float("inf")
        net.weight.data()[:] = 1
        trainer.step(8)
        positive_zeros(pruning, net)
    assert trainer._amp_loss_scaler.loss_scale < 2.0**16, "no step was skipped"


def test_a_hybridized_network_keeps_its_zeros_and_its_compiled_graph():
    net = network()
    net.hybridize(static_alloc=True, static_shape=True)
    trainer = trainer_of(net)
    pruning = pruners.attach(net, pruners.Rule(sparsity=0.75), trainer)
    train(net, trainer, pruning, 5, check=lambda: positive_zeros(pruning, net))
    assert net._active and net._cached_graph
    (x, _), *_ = batches(1)
    compiled = net(x).asnumpy()
    net.hybridize(False)
    np.testing.assert_allclose(compiled, net(x).asnumpy(), rtol=1e-4, atol=1e-5)
