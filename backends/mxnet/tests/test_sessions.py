"""Sessions, schedules, resuming, reports, scans and recipes on Gluon, as on every other framework."""

from __future__ import annotations

import json

import mxnet
import numpy as np
import pytest
from mxnet import autograd, gluon
from mxnet.gluon import nn

import pruners

entropy = gluon.loss.SoftmaxCrossEntropyLoss()


def network(seed=0) -> nn.HybridSequential:
    mxnet.random.seed(seed)
    net = nn.HybridSequential()
    net.add(
        nn.Conv2D(8, 3, in_channels=1, activation="relu"),
        nn.Flatten(),
        nn.Dense(32, in_units=8 * 36, activation="relu"),
        nn.Dense(4, in_units=32),
    )
    net.initialize(mxnet.init.Xavier())
    return net


def trainer_of(net) -> gluon.Trainer:
    return gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.05, "momentum": 0.9})


def batches(first, last):
    for step in range(first, last):
        draw = np.random.default_rng(step)
        yield mxnet.nd.array(draw.normal(size=(8, 1, 8, 8))), mxnet.nd.array(draw.integers(4, size=8))


def train(net, trainer, pruning, first, last):
    for x, y in batches(first, last):
        with autograd.record():
            loss = entropy(net(x), y)
        loss.backward()
        trainer.step(8)
        pruning.step()


def weights(net) -> dict:
    return {name: each.data().asnumpy() for name, each in net._collect_params_with_prefix().items()}


SCHEDULES = {
    "agp": {"start": 1, "stop": 9, "every": 2},
    "linear": {"start": 1, "stop": 9, "every": 4},
    "exponential": {"stop": 9, "every": 3},
    "moffett": {"pretrain": 2, "sparse": 8, "every": 3},
    "paddle": {"interval": 2, "end": 9},
    "one-shot": {"at": 5},
}


def rule(schedule, **options):
    if schedule not in pruners.installed().names("schedule"):
        pytest.skip(f"no schedule {schedule!r} is installed")
    return pruners.Rule(sparsity=0.75, schedule=pruners.schedule(schedule, **SCHEDULES[schedule]), **options)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_reaches_its_sparsity(schedule):
    net = network()
    trainer = trainer_of(net)
    pruning = pruners.attach(net, rule(schedule), trainer)
    train(net, trainer, pruning, 0, 12)
    assert pruning.sparsity().total == pytest.approx(0.75, abs=0.01)
    assert pruning.log
    for name, mask in pruning.masks.items():
        assert not weights(net)[name][~mask.asnumpy()].any()


@pytest.mark.parametrize("schedule", ["agp", "moffett"])
@pytest.mark.parametrize("pruner", ["level", "sensitivity"])
def test_a_session_saved_half_way_goes_on_identically(schedule, pruner, tmp_path):
    def begin():
        net = network()
        trainer = trainer_of(net)
        return net, trainer, pruners.attach(net, rule(schedule, pruner=pruner), trainer)

    net, trainer, pruning = begin()
    train(net, trainer, pruning, 0, 5)
    net.save_parameters(str(tmp_path / "weights"))
    trainer.save_states(str(tmp_path / "trainer"))
    (tmp_path / "session").write_text(json.dumps(pruning.state_dict()))
    train(net, trainer, pruning, 5, 12)

    other = network(seed=9)
    other.load_parameters(str(tmp_path / "weights"))
    again = trainer_of(other)
    with np.errstate(all="ignore"):
        again.load_states(str(tmp_path / "trainer"))
    resumed = pruners.attach(other, rule(schedule, pruner=pruner), again)
    resumed.load_state_dict(json.loads((tmp_path / "session").read_text()))
    train(other, again, resumed, 5, 12)

    assert resumed.time == pruning.time and resumed.log == pruning.log
    for name, mask in pruning.masks.items():
        assert np.array_equal(resumed.masks[name].asnumpy(), mask.asnumpy()), name
    for name, array in weights(net).items():
        assert np.array_equal(weights(other)[name], array), name


def test_epochs_drive_a_session_too():
    net = network()
    pruning = pruners.attach(net, rule("linear"))
    pruning.epoch(1)
    pruning.epoch(9)
    assert pruning.sparsity().total == pytest.approx(0.75, abs=0.01)


def test_rules_name_layers_by_structure_by_parameter_and_by_type():
    net = network()
    names = list(net.collect_params())
    pruning = pruners.attach(
        net,
        [
            pruners.Rule("0", sparsity=0.25),
            pruners.Rule(next(name for name in names if name == net[2].weight.name), sparsity=0.5),
            pruners.Rule(types="Dense", match="3", sparsity=0.75),
        ],
    )
    assert pruning.sparsity().layers == pytest.approx({"0.weight": 0.25, "2.weight": 0.5, "3.weight": 0.75})


@pytest.mark.parametrize("pattern", ["bank", "nm", "block"])
def test_patterns_lie_on_gluons_weights(pattern):
    net = nn.HybridSequential()
    net.add(nn.Dense(64, in_units=128), nn.Conv2D(64, 1, in_channels=64))
    net.initialize(mxnet.init.Normal(1))
    pruning = pruners.attach(net, pruners.Rule(sparsity=0.5, pattern=pattern))
    for mask in pruning.masks.values():
        pruners.pattern(pattern).check(mask.asnumpy())
        assert 0.45 < 1 - mask.asnumpy().mean() < 0.55


def test_the_zeros_of_today_are_kept():
    net = network()
    pruners.prune(net, sparsity=0.8)
    zeros = {name: array == 0 for name, array in weights(net).items() if name.endswith("weight")}
    trainer = trainer_of(net)
    pruning = pruners.attach(net, keep="zeros", optimizer=trainer)
    train(net, trainer, pruning, 0, 4)
    assert all(not weights(net)[name][zero].any() for name, zero in zeros.items())


def test_a_network_of_numpy_arrays_is_trained_sparse(numpy_semantics):
    net = nn.HybridSequential()
    net.add(nn.Dense(16, in_units=8, activation="relu"), nn.Dense(1, in_units=16))
    net.initialize(mxnet.init.Xavier())
    net.hybridize()
    trainer = gluon.Trainer(net.collect_params(), "adam", {"learning_rate": 0.01})
    pruning = pruners.attach(net, rule("agp"), trainer, mask_gradients=True)
    for _ in range(12):
        with autograd.record():
            loss = (net(mxnet.np.random.normal(size=(4, 8))) ** 2).mean()
        loss.backward()
        assert not net[0].weight.grad().asnumpy()[~pruning.masks["0.weight"].asnumpy()].any()
        trainer.step(1)
        pruning.step()
    for name, mask in pruning.masks.items():
        assert not weights(net)[name][~mask.asnumpy()].any() and weights(net)[name][mask.asnumpy()].any()
    assert pruning.sparsity().total == pytest.approx(0.75, abs=0.02)


def test_a_report_counts_weights_and_zeros():
    net = network()
    pruners.prune(net, sparsity=0.5)
    report = pruners.report(net)
    assert "0.weight" in str(report) and "50" in str(report)


def test_a_scan_measures_every_layer_and_puts_it_back():
    net = network()
    net.hybridize()
    before = weights(net)
    x, y = next(batches(0, 1))

    def accuracy(model):
        return float((model(x).argmax(axis=1) == y).mean().asscalar())

    found = pruners.sensitivity(net, accuracy, sparsities=[0.5, 0.9])
    assert {layer.name for layer in found.layers} == {"0.weight", "2.weight", "3.weight"}
    assert all(np.array_equal(array, before[name]) for name, array in weights(net).items())
    assert set(found.budget(drop=1.0).values()) == {0.9}


def test_a_recipe_trains_a_network(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(
        '[[rules]]\nmatch = "*"\npruner = "level"\nsparsity = 0.75\n'
        '[rules.schedule]\nname = "agp"\nstart = 1\nstop = 9\nevery = 2\n'
    )
    net = network()
    trainer = trainer_of(net)
    pruning = pruners.attach(net, pruners.recipe(path).rules, trainer)
    train(net, trainer, pruning, 0, 12)
    assert pruning.sparsity().total == pytest.approx(0.75, abs=0.01)
