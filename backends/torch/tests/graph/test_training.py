"""A smaller graph trains: loss, dropout and batch norm by mode, optimizers that go on."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from pruners import OptionError, RemovalError


def steps(model, optimizer, x, count):
    """Train a few steps on labels of the inputs' own; return the losses."""
    y = torch.arange(len(x)) % 5
    losses = []
    for _ in range(count):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


@pytest.mark.parametrize("name", ["shuffle", "windows", "heads", "dense"])
def test_the_loss_falls(graphs, name):
    model, x = graphs.build(name, batch=5)
    smaller = graphs.shrink(model, x).model.train()
    losses = steps(smaller, torch.optim.Adam(smaller.parameters(), 1e-2), x, 20)
    assert min(losses[10:]) < 0.8 * losses[0]
    assert all(parameter.grad is not None for parameter in smaller.parameters())


@pytest.mark.parametrize("modes", [("eval", "train"), ("eval",), ("train",)])
def test_train_and_eval_choose_dropout_and_batch_statistics(graphs, modes):
    model, x = graphs.build("plain", batch=8)
    smaller = graphs.shrink(model, x, modes=modes).model
    assert not smaller.training
    assert torch.equal(smaller(x), smaller(x))
    mean = smaller.norm.running_mean.clone()
    smaller.train()
    assert not torch.equal(smaller(x), smaller(x))
    assert not torch.equal(smaller.norm.running_mean, mean)
    changed = smaller.norm.running_mean.clone()
    smaller.eval()
    smaller(x)
    assert torch.equal(smaller.norm.running_mean, changed)


def test_batch_statistics_are_those_of_the_masked_module(graphs):
    model, x = graphs.build("plain", batch=8)
    model.drop.p = 0.0
    found = graphs.shrink(model, x)
    reference = graphs.masked(model, found.kept).train()
    torch.testing.assert_close(found.model.train()(x), reference(x))
    kept = torch.from_numpy(found.kept["norm.weight"][0])
    torch.testing.assert_close(found.model.norm.running_mean, reference.norm.running_mean[kept])
    assert found.model.norm.num_batches_tracked == reference.norm.num_batches_tracked


def test_a_module_that_trains_comes_back_training(graphs):
    model, x = graphs.build("plain")
    assert graphs.shrink(model.train(), x).model.training
    assert model.training and model.drop.training


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam, torch.optim.Adagrad])
def test_optimizers_go_on_with_the_state_of_what_stays(graphs, kind):
    model, x = graphs.build("plain", batch=8)
    options = {"momentum": 0.9} if kind is torch.optim.SGD else {}
    heads, rest = [*model.head.parameters()], [*model.first.parameters(), *model.second.parameters()]
    groups = [{"params": heads, "lr": 1e-2}, {"params": [*rest, *model.norm.parameters()]}]
    optimizer = kind(groups, lr=1e-3, **options)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    steps(model.train(), optimizer, x, 2)
    before = {name: copy.deepcopy(optimizer.state[p]) for name, p in model.named_parameters()}
    found = graphs.shrink(model, x, optimizer=optimizer)
    held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    assert {id(p) for p in held} == {id(p) for p in found.model.parameters()}
    assert [len(group["params"]) for group in optimizer.param_groups] == [2, 6]
    for name, parameter in found.model.named_parameters():
        for key, value in before[name].items():
            if isinstance(value, torch.Tensor) and value.ndim:
                for axis, indices in found.kept.get(name, {}).items():
                    value = value.index_select(axis, torch.from_numpy(indices))
                assert torch.equal(optimizer.state[parameter][key], value)
    assert set(optimizer.state) == set(found.model.parameters())
    losses = steps(found.model.train(), optimizer, x, 12)
    scheduler.step()
    assert min(losses[6:]) < losses[0]


def test_an_optimizer_of_another_model_is_refused(graphs):
    model, x = graphs.build("plain")
    other = torch.optim.SGD(graphs.Plain().parameters(), lr=0.1)
    state = copy.deepcopy(other.state_dict())
    with pytest.raises(OptionError, match="holds none of the model's parameters"):
        graphs.shrink(model, x, optimizer=other)
    assert other.state_dict()["param_groups"] == state["param_groups"]


def test_tensors_of_an_average_are_cut_and_modules_are_refused(graphs):
    model, x = graphs.build("plain")
    average = {name: tensor.detach().clone() for name, tensor in model.named_parameters()}
    before = {name: tensor.clone() for name, tensor in average.items()}
    with pytest.raises(RemovalError, match="named_parameters"):
        graphs.shrink(model, x, copies=[copy.deepcopy(model)])
    found = graphs.shrink(model, x, copies=[average])
    assert {name: t.shape for name, t in average.items()} == {
        name: p.shape for name, p in found.model.named_parameters()
    }
    kept = torch.from_numpy(np.asarray(found.kept["head.weight"][1]))
    assert torch.equal(average["head.weight"], before["head.weight"][:, kept])


def test_a_graph_moves_and_changes_its_precision(graphs):
    model, x = graphs.build("windows")
    smaller = graphs.shrink(model, x).model
    given = copy.deepcopy(smaller).double()(x.double())
    torch.testing.assert_close(given.float(), smaller(x), rtol=1e-4, atol=1e-4)
    elsewhere = copy.deepcopy(smaller).to("meta")
    assert elsewhere(x.to("meta")).device.type == "meta"


def test_a_graph_compiles(graphs):
    model, x = graphs.build("shuffle")
    smaller = graphs.shrink(model, x).model
    compiled = torch.compile(smaller, backend="eager", fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), smaller(x))
    torch._dynamo.reset()
