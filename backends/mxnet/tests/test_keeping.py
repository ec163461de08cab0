"""Zeros that stay, whoever writes: other Trainers, hand-made changes, replaced parts, sparse gradients."""

from __future__ import annotations

import mxnet
import numpy as np
import pytest
from mxnet import autograd, gluon
from mxnet.gluon import nn
from pruners_mxnet._zeroing import Mask, zero_on_device

import pruners


def network() -> nn.HybridSequential:
    mxnet.random.seed(0)
    net = nn.HybridSequential()
    net.add(nn.Dense(32, in_units=16, activation="relu"), nn.Dense(8, in_units=32))
    net.initialize(mxnet.init.Uniform(1))
    return net


def sgd(net, **options) -> gluon.Trainer:
    return gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.1, "momentum": 0.9}, **options)


def backward(net) -> None:
    with autograd.record():
        loss = net(mxnet.nd.random.normal(shape=(4, 16))).square().mean()
    loss.backward()


def train(net, *trainers) -> None:
    backward(net)
    for trainer in trainers:
        trainer.step(4)


def half_zero(net) -> bool:
    return all(
        int((net[i].weight.data() == 0).sum().asscalar()) == net[i].weight.data().size // 2 for i in (0, 1)
    )


def values(net) -> dict:
    return {name: each.data().asnumpy() for name, each in net._collect_params_with_prefix().items()}


def unchanged(net, before) -> bool:
    return all(np.array_equal(array, before[name]) for name, array in values(net).items())


def test_a_trainer_of_another_model_is_refused_before_anything_changes():
    net = network()
    before = values(net)
    with pytest.raises(pruners.OptionError, match=r"holds none of the pruned parameters \('0\.weight'"):
        pruners.attach(net, pruners.Rule(sparsity=0.5), sgd(network()))
    assert unchanged(net, before)


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (
            mxnet.optimizer.SGD(),
            r"got the optimizer SGD itself; pass the mxnet\.gluon\.Trainer that steps it",
        ),
        ("sgd", r"must be a mxnet\.gluon\.Trainer or a list of them, got str"),
        ([3], r"must be a mxnet\.gluon\.Trainer or a list of them, got int"),
    ],
)
def test_what_is_no_trainer_is_refused(optimizer, message):
    net = network()
    before = values(net)
    with pytest.raises(pruners.OptionError, match=message):
        pruners.attach(net, pruners.Rule(sparsity=0.5), optimizer)
    assert unchanged(net, before)


def test_a_head_that_alone_is_trained_may_have_its_own_trainer():
    net = network()
    net[0].collect_params().setattr("grad_req", "null")
    pruners.prune(net, sparsity=0.5)
    trainer = sgd(net[1])
    pruning = pruners.attach(net, keep="zeros", optimizer=trainer)
    train(net, trainer)
    pruning.step()
    assert half_zero(net)


def test_several_trainers_in_a_list_are_all_watched():
    net = network()
    pair = [sgd(net[0]), sgd(net[1])]
    pruners.attach(net, pruners.Rule(sparsity=0.5), pair)
    train(net, *pair)
    assert half_zero(net)


def test_step_keeps_the_zeros_of_weights_that_another_trainer_moves():
    net = network()
    first, second = sgd(net[0]), sgd(net[1])
    pruning = pruners.attach(net, pruners.Rule(sparsity=0.5), first)
    for _ in range(3):
        train(net, first, second)
        assert not half_zero(net)
        pruning.step()
        assert half_zero(net)


@pytest.mark.parametrize(
    "write",
    [
        lambda net, path: net.load_parameters(path),
        lambda net, path: [
            each.set_data(mxnet.nd.ones(each.shape)) for each in net.collect_params().values()
        ],
        lambda net, path: net[0].weight.data().__iadd__(1),
        lambda net, path: net.initialize(mxnet.init.One(), force_reinit=True),
    ],
    ids=["load_parameters", "set_data", "in place", "initialize"],
)
def test_step_keeps_the_zeros_of_weights_written_by_hand(write, tmp_path):
    net = network()
    net.save_parameters(str(tmp_path / "dense"))
    trainer = sgd(net)
    pruning = pruners.attach(net, pruners.Rule(sparsity=0.5), trainer)
    train(net, trainer)
    write(net, str(tmp_path / "dense"))
    assert not half_zero(net)
    pruning.step()
    assert half_zero(net)


def test_a_replaced_layer_is_masked_and_a_missing_or_reshaped_one_is_named():
    net = nn.HybridSequential()
    net.body, net.head = nn.Dense(32, in_units=16), nn.Dense(8, in_units=32)
    net.initialize()
    pruning = pruners.attach(net, pruners.Rule(sparsity=0.5))
    net.head = nn.Dense(8, in_units=32)
    net.head.initialize()
    pruning.step()
    assert int((net.head.weight.data() == 0).sum().asscalar()) == 128
    net.head = nn.Dense(4, in_units=32)
    net.head.initialize()
    with pytest.raises(
        pruners.StateError, match=r"layer 'head\.weight' now has shape \(4, 32\), its mask \(8, 32\)"
    ):
        pruning.step()
    del net._children["head"]
    with pytest.raises(pruners.StateError, match=r"layer 'head\.weight' is no longer in the model"):
        pruning.step()


def test_a_parameter_cut_in_place_is_named_by_the_trainers_own_step():
    net = network()
    trainer = sgd(net)
    pruners.attach(net, pruners.Rule(sparsity=0.5), trainer)
    train(net, trainer)
    weight = net[1].weight
    weight._shape = (4, 32)
    weight._data = weight._grad = None
    weight.initialize(force_reinit=True)
    backward_of_others(net)
    with pytest.raises(pruners.StateError, match=r"'1\.weight' now has shape \(4, 32\)"):
        trainer.step(4, ignore_stale_grad=True)


def test_a_session_that_no_longer_fits_can_be_finished_and_another_attached():
    net = network()
    net(mxnet.nd.ones((4, 16)))
    trainer = sgd(net)
    pruning = pruners.attach(net, pruners.Rule(sparsity=0.5), trainer)
    pruners.remove(net, sparsity=0.5, example_inputs=mxnet.nd.ones((4, 16)), optimizer=trainer, measure=0)
    with pytest.raises(pruners.StateError, match="finish this session and attach a new one"):
        train(net, trainer)
    with pytest.raises(pruners.StateError, match="now has shape"):
        pruning.finish()
    train(net, trainer)
    pruners.attach(net, pruners.Rule(sparsity=0.75), trainer)
    train(net, trainer)


def backward_of_others(net) -> None:
    with autograd.record():
        loss = net[0](mxnet.nd.ones((4, 16))).sum()
    loss.backward()


def pruned_gradients(net, pruning) -> int:
    found = net._collect_params_with_prefix()
    return sum(
        int((found[name].grad().asnumpy()[~mask.asnumpy()] != 0).sum())
        for name, mask in pruning.masks.items()
    )


def test_gradients_are_masked_after_unfreezing_and_replacing():
    net = nn.HybridSequential()
    net.body, net.head = nn.Dense(32, in_units=16), nn.Dense(8, in_units=32)
    net.initialize(mxnet.init.Uniform(1))
    net.body.weight.grad_req = "null"
    trainer = sgd(net)
    pruning = pruners.attach(net, pruners.Rule(sparsity=0.5), trainer, mask_gradients=True)
    net.body.weight.grad_req = "write"
    net.head = nn.Dense(8, in_units=32)
    net.head.initialize(mxnet.init.Uniform(1))
    pruning.step()
    with autograd.record():
        loss = net.head(net.body(mxnet.nd.ones((4, 16)))).square().mean()
    loss.backward()
    assert net.body.weight._grad[0].asnumpy()[~pruning.masks["body.weight"].asnumpy()].any()
    assert pruned_gradients(net, pruning) == 0
    assert net.body.weight.grad().asnumpy().any() and net.head.weight.grad().asnumpy().any()


@pytest.mark.parametrize("masked", [True, False])
def test_row_sparse_gradients_of_embeddings(masked):
    net = nn.Embedding(10, 4, sparse_grad=True)
    net.initialize(mxnet.init.Uniform(1))
    trainer = gluon.Trainer(net.collect_params(), "adam", {"learning_rate": 0.1})
    pruning = pruners.attach(net, pruners.Rule(sparsity=0.5), trainer, mask_gradients=masked)
    for _ in range(2):
        with autograd.record():
            loss = net(mxnet.nd.array([1, 1, 3])).square().sum()
        loss.backward()
        assert net.weight.grad().stype == "row_sparse"
        assert pruned_gradients(net, pruning) == 0 or not masked
        assert net.weight.grad().asnumpy().any()
        trainer.step(1)
        pruning.step()
    assert int((net.weight.data() == 0).sum().asscalar()) == 20


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("on_store", [True, False])
def test_sessions_on_one_trainer_may_end_in_any_order_and_leave_it_as_it_was(first, on_store):
    net = network()
    net.collect_params().reset_ctx([mxnet.cpu(0), mxnet.cpu(1)])
    trainer = sgd(net, update_on_kvstore=on_store)
    sessions = [
        pruners.attach(net, pruners.Rule(name, sparsity=0.5), trainer, mask_gradients=True)
        for name in ("0", "1")
    ]
    step_on_all(net, trainer)
    updater = trainer._kvstore._updater
    assert half_zero(net)
    sessions[first].finish()
    step_on_all(net, trainer)
    kept = net[1 - first].weight.data(mxnet.cpu(0))
    assert int((kept == 0).sum().asscalar()) == kept.size // 2
    sessions[1 - first].finish()
    assert not {"_update", "_allreduce_grads"} & set(vars(trainer))
    assert not [name for name in vars(trainer._kvstore) if "pruners" in name]
    assert trainer._kvstore._updater is updater
    assert not any({"grad", "list_grad"} & set(vars(each)) for each in net.collect_params().values())
    for _ in range(2):
        step_on_all(net, trainer)
    assert all(each.weight.data(mxnet.cpu(0)).asnumpy().all() for each in net)


def step_on_all(net, trainer) -> None:
    with autograd.record():
        losses = [
            net(mxnet.nd.random.normal(shape=(4, 16)).as_in_context(ctx)).square().mean()
            for ctx in trainer._contexts
        ]
    autograd.backward(losses)
    trainer.step(4)


class Bad:
    """A pattern whose second layer goes wrong."""

    def mask(self, ranking, sparsity):
        return np.zeros(ranking.shape, bool) if ranking.name == "0.weight" else np.zeros(5, bool)

    def check(self, mask):
        pass


def test_a_misbehaving_pattern_is_named_and_changes_nothing():
    net = network()
    trainer = sgd(net)
    before = values(net)
    with pytest.raises(pruners.PatternError, match=r"'Bad', layer '1\.weight'.*shape \(8, 32\)"):
        pruners.attach(net, pruners.Rule(sparsity=0.5, pattern=Bad()), trainer)
    assert not {"_update", "_allreduce_grads"} & set(vars(trainer))
    assert unchanged(net, before)


def test_a_step_inside_the_users_recording_disturbs_it_not():
    net = network()
    pruning = pruners.attach(net, pruners.Rule(sparsity=0.5))
    x = mxnet.nd.ones((2, 16))
    with autograd.record():
        loss = net(x).square().sum()
        pruning.step()
        assert autograd.is_recording() and autograd.is_training()
    loss.backward()
    assert net[0].weight.grad().asnumpy().any()


ODD = [1.5, -2.0, float("nan"), -float("inf"), -0.0, 1e-40, 3.0]
KEPT = np.array([True, False, False, False, False, True, True])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("how", ["host", "device"])
def test_both_ways_to_zero_leave_every_other_bit_alone(dtype, how):
    array = mxnet.nd.array(ODD, dtype=dtype)
    before = array.asnumpy().copy()
    if how == "host":
        Mask(KEPT).zero(array)
    else:
        with mxnet.util.np_shape(True):
            zero_on_device(array, mxnet.nd.array(KEPT, dtype="bool"))
    bits = {"float16": np.int16, "float32": np.int32, "float64": np.int64}[dtype]
    assert np.array_equal(array.asnumpy().view(bits), np.where(KEPT, before.view(bits), 0))


def test_a_mask_takes_one_byte_for_each_weight():
    stored = np.ones((64, 32), bool)
    mask = Mask(stored)
    assert mask._host is stored or np.shares_memory(mask._host, stored)
    assert mask._host.nbytes == 64 * 32
