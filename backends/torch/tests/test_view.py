"""Pruners that look at data: activations and gradients are streamed, and nothing is left behind."""

from __future__ import annotations

import copy

import pytest
import torch
from attrs import frozen
from torch import nn

import pruners
from pruners.registry import backend_for

torch.set_num_threads(1)


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(4 * 16, 3)
    )


def data(count: int = 3):
    generator = torch.Generator().manual_seed(1)
    return [
        (torch.randn(5, 1, 6, 6, generator=generator), torch.randint(3, (5,), generator=generator))
        for _ in range(count)
    ]


def loss(network, batch):
    return nn.functional.cross_entropy(network(batch[0]), batch[1])


@frozen
class FirstOrder:
    """Score a weight by the size of weight times mean gradient."""

    unit: str = "weight"

    def scores(self, view):
        gradients = view.gradients()
        return {name: view.ops.abs(weight * gradients[name]) for name, weight in view.weights.items()}


@frozen
class ByActivation:
    """Score a weight by its magnitude times the mean activation of its output channel."""

    unit: str = "weight"

    def scores(self, view):
        total = {}
        for name, z in view.activations():
            axes = tuple(axis for axis in range(z.ndim) if axis != 1)
            total[name] = total.get(name, 0.0) + view.ops.mean(view.ops.abs(z), axis=axes)
        return {
            name: view.ops.abs(w) * view.ops.reshape(total[name], (-1,) + (1,) * (w.ndim - 1))
            for name, w in view.weights.items()
        }


@frozen
class Taylor:
    """Score a weight by its magnitude times |activation x gradient| of its output channel."""

    unit: str = "weight"

    def scores(self, view):
        total = {}
        for name, z, dz in view.activations(gradients=True):
            assert z.shape == dz.shape
            axes = tuple(axis for axis in range(z.ndim) if axis != 1)
            total[name] = total.get(name, 0.0) + view.ops.abs(view.ops.sum(z * dz, axis=axes))
        return {
            name: view.ops.abs(w) * view.ops.reshape(total[name], (-1,) + (1,) * (w.ndim - 1))
            for name, w in view.weights.items()
        }


@pytest.mark.parametrize("pruner", [FirstOrder(), ByActivation(), Taylor()], ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("training", [True, False])
def test_a_pruner_with_data_works_and_leaves_everything_as_it_was(pruner, training):
    network = model().train(training)
    network[0].weight.requires_grad_(False)
    state = copy.deepcopy(network.state_dict())
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    masks = pruners.masks(network, pruner, sparsity=0.5, data=data(), loss=loss)
    assert torch.equal(torch.rand(3), expected), "the random state must not move"
    assert all(int((~mask).sum()) == mask.numel() // 2 for mask in masks.values())
    assert all(torch.equal(state[name], tensor) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(module.training is training for module in network.modules())
    assert not network[0].weight.requires_grad
    assert not network[0]._forward_hooks
    again = pruners.masks(network, pruner, sparsity=0.5, data=data(), loss=loss)
    assert all(torch.equal(mask, again[name]) for name, mask in masks.items())


def test_gradients_are_the_mean_over_batches_in_evaluation_mode():
    network = model().train()
    view = backend_for(network).open(network).view(["0.weight", "5.weight"], data=data(), loss=loss)
    found = view.gradients()
    reference = copy.deepcopy(network).eval()
    for batch in data():
        (loss(reference, batch) / 3).backward()
    assert torch.allclose(found["0.weight"], reference[0].weight.grad)
    assert torch.allclose(found["5.weight"], reference[5].weight.grad)


def test_activations_are_streamed_one_batch_at_a_time_channels_second():
    network = nn.Sequential(nn.Embedding(9, 8), nn.Linear(8, 6))
    batches = [torch.arange(6).reshape(2, 3), torch.arange(8).reshape(2, 4)]
    view = backend_for(network).open(network).view(["0.weight", "1.weight"], data=batches)
    seen = [(name, tuple(z.shape)) for name, z in view.activations()]
    assert seen == [
        ("0.weight", (2, 8, 3)),
        ("1.weight", (2, 6, 3)),
        ("0.weight", (2, 8, 4)),
        ("1.weight", (2, 6, 4)),
    ]


def test_an_iteration_that_is_broken_off_leaves_nothing_behind():
    network = model().train()
    view = backend_for(network).open(network).view(["0.weight"], data=data())
    iterator = view.activations()
    next(iterator)
    iterator.close()
    assert network.training and not network[0]._forward_hooks


def test_the_loss_gradient_of_activations_is_right():
    network = nn.Sequential(nn.Linear(3, 2, bias=False))
    x = torch.randn(4, 3)
    view = (
        backend_for(network)
        .open(network)
        .view(["0.weight"], data=[x], loss=lambda model, batch: model(batch).square().sum())
    )
    ((name, z, dz),) = list(view.activations(gradients=True))
    assert torch.allclose(z, network(x)) and torch.allclose(dz, 2 * z)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "pass data=batches|needs loss="),
        ({"data": data()}, "needs loss="),
        ({"data": [], "loss": loss}, "data gave no batch"),
        ({"data": data(), "loss": lambda m, b: m(b[0])}, r"one number as a tensor, got \(5, 3\)"),
        ({"data": data(), "loss": lambda m, b: 3.0}, "one number as a tensor, got float"),
        ({"data": data(), "loss": lambda m, b: torch.tensor(1.0)}, "has no gradient"),
        (
            {"data": data(), "loss": lambda m, b: m[5].weight.sum()},
            r"no gradient of the loss reaches layer '0\.weight'",
        ),
    ],
)
def test_missing_or_wrong_data_says_what_to_pass(given, message):
    with pytest.raises(pruners.NeedsData, match=message):
        pruners.masks(model(), FirstOrder(), sparsity=0.5, **given)


def test_an_error_in_the_users_loss_names_the_pruner_and_restores_the_model():
    network = model().train()
    with pytest.raises(pruners.PrunerFailed, match=r"'FirstOrder'.*KeyError"):
        pruners.masks(network, FirstOrder(), sparsity=0.5, data=data(), loss=lambda m, b: {}["x"])
    assert network.training


def test_a_buffer_changed_in_evaluation_mode_is_put_back():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.zeros(1))
            self.fc = nn.Linear(3, 2)

        def forward(self, x):
            self.calls += 1
            return self.fc(x)

    network = Counting()
    list(backend_for(network).open(network).view(["fc.weight"], data=[torch.randn(2, 3)]).activations())
    assert network.calls.item() == 0


@pytest.mark.parametrize(
    "write",
    [
        lambda w: w.add_(1),
        lambda w: w.__setitem__(0, 0.0),
        lambda w: torch.nn.init.zeros_(w),
        lambda w: torch.abs(w, out=w),
        lambda w: w.view(-1)[:2].zero_(),
        lambda w: torch._foreach_mul_([w], 2.0),
    ],
)
def test_a_view_is_read_only(write):
    class Writer:
        unit = "weight"

        def scores(self, view):
            for weight in view.weights.values():
                write(weight)
            return dict(view.weights)

    network = model()
    before = copy.deepcopy(network.state_dict())
    with pytest.raises(pruners.ReadOnlyError, match=r"'0\.weight'; a view is read-only"):
        pruners.masks(network, Writer(), sparsity=0.5)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_a_pruner_may_write_to_its_own_copies():
    class Copies:
        unit = "weight"

        def scores(self, view):
            return {name: weight.clone().abs_().add_(1) for name, weight in view.weights.items()}

    pruners.masks(model(), Copies(), sparsity=0.5)
