"""Recipes and the command line on Gluon: run, report, sensitivity."""

from __future__ import annotations

import json
import sys

import mxnet as mx
import numpy as np
import pytest
from click.testing import CliRunner
from mxnet.gluon import nn
from safetensors.numpy import load_file

import pruners
from pruners.cli import main
from pruners.registry import backend_for

CODE = """
import mxnet as mx
from mxnet import autograd, gluon

x = mx.nd.random.normal(shape=(32, 12))
y = x[:, 0] > 0


def build():
    mx.random.seed(1)
    net = gluon.nn.HybridSequential()
    net.add(gluon.nn.Dense(64, in_units=12, activation="relu"), gluon.nn.Dense(2, in_units=64))
    net.initialize(mx.init.Xavier())
    net.hybridize()
    return net


def train(net, attach):
    trainer = gluon.Trainer(net.collect_params(), "adam", {"learning_rate": 0.01})
    pruning = attach(trainer)
    for _ in range(20):
        with autograd.record():
            loss = gluon.loss.SoftmaxCrossEntropyLoss()(net(x), y)
        loss.backward()
        trainer.step(len(x))
        pruning.step()


def accuracy(net):
    return float((net(x).argmax(1) == y).mean().asscalar())
"""
RECIPE = """
model = "gluon_task:build"
train = "gluon_task:train"
output = "pruned.safetensors"

[[rules]]
match = "*"
sparsity = 0.75
schedule = {name = "linear", stop = 10, every = 5}
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "gluon_task.py").write_text(CODE)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("gluon_task", None)


def call(*arguments: str) -> str:
    result = CliRunner().invoke(main, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_recipe_prunes_a_net_while_it_trains_and_writes_it(place):
    assert "672 of 896 listed weights are zero" in call("run", "recipe.toml")
    found = json.loads(call("report", "pruned.safetensors", "--json"))
    assert {row["name"]: row["zeros"] for row in found["layers"]} == {"0.weight": 576, "1.weight": 96}


def test_without_training_everything_goes_at_once(place):
    (place / "recipe.toml").write_text(RECIPE.replace('train = "gluon_task:train"\n', ""))
    assert "672 of 896 listed weights are zero" in call("run", "recipe.toml")


def test_a_report_of_a_net_and_how_much_its_layers_can_lose(place):
    assert "0 of 896 listed weights are zero" in call("report", "gluon_task:build")
    arguments = ("gluon_task:build", "gluon_task:accuracy", "--sparsities", "0.5", "--drop", "1")
    assert "0.weight 0.5, 1.weight 0.5" in call("sensitivity", *arguments)


def test_what_save_writes_holds_every_parameter_once(tmp_path):
    net = nn.HybridSequential()
    net.add(nn.Dense(4, in_units=4), nn.BatchNorm(in_channels=4))
    net.add(nn.Dense(4, in_units=4, params=net[0].params))
    net.initialize(mx.init.Normal())
    backend_for(net).open(net).save(str(tmp_path / "a.safetensors"))
    found = load_file(tmp_path / "a.safetensors")
    norm = {f"1.{name}" for name in ("gamma", "beta", "running_mean", "running_var")}
    assert set(found) == {"0.weight", "0.bias", *norm}
    assert np.array_equal(found["0.weight"], net[0].weight.data().asnumpy())


def test_what_run_wrote_is_loaded_into_a_net(place):
    call("run", "recipe.toml")
    net = nn.HybridSequential()
    net.add(nn.Dense(64, activation="relu"), nn.Dense(2))
    assert pruners.report(pruners.load(net, "pruned.safetensors")).zeros == 672
