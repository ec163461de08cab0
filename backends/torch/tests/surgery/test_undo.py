"""Whatever goes wrong, the model is as it was: the same objects, the same bits; the error says where."""

from __future__ import annotations

import copy
import random

import numpy as np
import pytest
import torch
from torch import nn

from pruners import ProofError, RemovalError
from pruners.structure.plan import RemovalPlan
from pruners.structure.program import Attribute

torch.set_num_threads(1)


@pytest.fixture
def trained(net, images):
    """A network in the middle of training, with its optimizer and an average."""
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, amsgrad=True)
    for _ in range(2):
        optimizer.zero_grad()
        net(images).square().mean().backward()
        optimizer.step()
    net.layers[1].eval()
    net.layers[3].weight.requires_grad_(False)
    net.register_buffer("count", torch.tensor(3))
    net.notes, net.cache, net.plain = {"a": [1]}, [torch.ones(2)], torch.randn(3)
    net.register_forward_hook(lambda *args: None)
    return net, optimizer, copy.deepcopy(net)


def unchanged(by_hand, trained, action, error=ProofError, match=None):
    net, optimizer, average = trained
    random.seed(3), np.random.seed(4), torch.manual_seed(5)
    before, theirs = by_hand.everything(net, optimizer), by_hand.everything(average)
    with pytest.raises(error, match=match) as caught:
        action(net, optimizer=optimizer, copies=[average])
    assert by_hand.everything(net, optimizer) == before
    assert by_hand.everything(average) == theirs
    assert torch.get_default_dtype() == torch.float32 and torch.backends.mha.get_fastpath_enabled()
    return caught.value


def test_a_plan_that_cuts_too_little_names_the_module_that_fails(by_hand, trained, images, kept):
    plan = by_hand.plan(trained[0], kept)
    wrong = RemovalPlan({name: axes for name, axes in plan.kept.items() if name != "layers.3.weight"})
    error = unchanged(
        by_hand,
        trained,
        lambda net, **more: by_hand.cut(net, kept, images, plan=wrong, **more),
        match=r"the smaller model fails in layers.3 \(Conv2d\).*expected .* to have 12 channels, but got 5",
    )
    assert isinstance(error.__cause__, RuntimeError)


def test_a_plan_that_keeps_others_names_the_first_module_that_differs(by_hand, trained, images, kept):
    plan = by_hand.plan(trained[0], kept)
    shifted = dict(plan.kept) | {"layers.3.weight": {0: np.array(kept[20]), 1: np.array([0, 2, 3, 7, 10])}}
    unchanged(
        by_hand,
        trained,
        lambda net, **more: by_hand.cut(net, kept, images, plan=RemovalPlan(shifted), **more),
        match=r"differs from the masked one by .*allowed: 1e-09.*module 'layers.3' is the first to differ",
    )


def test_a_wrong_bias_alone_is_found(by_hand, trained, images, kept):
    plan = by_hand.plan(trained[0], kept)
    kept_bias = {0: np.array([1, 4, 5, 6, 10, 13, 18])}
    wrong = RemovalPlan(dict(plan.kept) | {"layers.4.bias": kept_bias})
    unchanged(
        by_hand,
        trained,
        lambda net, **more: by_hand.cut(net, kept, images, plan=wrong, **more),
        match="module 'layers.4' is the first to differ",
    )


def test_only_what_is_returned_differs(by_hand):
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(6, 12), nn.Linear(12, 4)

        def forward(self, x):
            return self.last(self.first(x)) * self.first.out_features

    model, x = Scaled(), torch.randn(3, 6)
    before = by_hand.everything(model)
    with pytest.raises(ProofError, match="only what is returned differs"):
        by_hand.cut(model, {12: [0, 1]}, x)
    assert by_hand.everything(model) == before


def test_random_numbers_in_evaluation_are_named(by_hand):
    x = torch.randn(3, 6)
    model = nn.Sequential(nn.Linear(6, 12), Jitter(), nn.Linear(12, 4))
    with pytest.raises(
        ProofError, match=r"'2' is the first to differ \(it draws random numbers in evaluation"
    ):
        by_hand.cut(model, {12: [0, 1]}, x)


class Jitter(nn.Module):
    def forward(self, x):
        return x * torch.rand_like(x)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nowhere.weight": {0: [0]}}, "'nowhere.weight', which is no parameter or buffer"),
        ({"layers.0.weight": {4: [0]}}, r"cuts axis 4 of 'layers.0.weight', which has shape \(12, 3, 3, 3\)"),
        ({"layers.0.weight": {0: []}}, "keeps nothing of axis 0 of 'layers.0.weight'"),
        ({"layers.0.weight": {0: [0, 12]}}, "must ascend within 0 to 11"),
        ({"layers.0.weight": {0: [3, 1]}}, "must ascend within 0 to 11"),
        ({"layers.0.weight": {0: [1, 1]}}, "must ascend within 0 to 11"),
    ],
)
def test_a_plan_that_does_not_fit_is_refused(by_hand, trained, images, kept, change, message):
    plan = RemovalPlan(
        {name: {a: np.array(k, int) for a, k in axes.items()} for name, axes in change.items()}
    )
    unchanged(
        by_hand,
        trained,
        lambda net, **more: by_hand.cut(net, kept, images, plan=plan, **more),
        RemovalError,
        message,
    )


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        (Attribute("layers.0", "width"), "rewrites layers.0.width, which the model does not have"),
        (Attribute("layers.9", "width"), "rewrites layers.9.width, which the model does not have"),
        (Attribute("layers.0", "kernel_size", 2), r"kernel_size is \(3, 3\): no such entry"),
        (Attribute("layers.0", "padding_mode"), "is 'zeros' and no integer"),
        (Attribute("", "training"), "no integer"),
    ],
)
def test_attributes_that_are_no_integers_are_refused(by_hand, trained, images, kept, attribute, message):
    unchanged(
        by_hand,
        trained,
        lambda net, **more: by_hand.cut(net, kept, images, attributes={attribute: 3}, **more),
        RemovalError,
        message,
    )


def test_a_wrong_attribute_is_found(by_hand, trained, images, kept):
    unchanged(
        by_hand,
        trained,
        lambda net, **more: by_hand.cut(
            net, kept, images, attributes={Attribute("layers.3", "groups"): 5}, **more
        ),
        ProofError,
        r"fails in layers.3 \(Conv2d\)",
    )


def test_factors_of_a_wrong_number_are_refused(by_hand, trained, images, kept):
    unchanged(
        by_hand,
        trained,
        lambda net, **more: by_hand.cut(
            net, kept, images, factors={"layers.0.weight": {0: np.ones(12)}}, **more
        ),
        RemovalError,
        r"multiplies axis 0 of 'layers.0.weight' by \(12,\) factors, where 5",
    )


def test_tied_weights_cannot_be_cut_differently(by_hand):
    model = nn.Sequential(nn.Linear(12, 12), nn.ReLU(), nn.Linear(12, 12))
    model[2].weight.data = model[0].weight.data
    before = by_hand.everything(model)
    plan = RemovalPlan({"0.weight": {0: np.arange(3)}})
    with pytest.raises(RemovalError, match=r"'0.weight' and '2.weight' share memory"):
        by_hand.cut(model, {}, torch.ones(1, 12), plan=plan)
    model[2].weight = model[0].weight
    plan = RemovalPlan({"0.weight": {0: np.arange(3)}, "2.weight": {0: np.arange(4)}})
    with pytest.raises(RemovalError, match=r"'0.weight' and '2.weight' are one tensor"):
        by_hand.cut(model, {}, torch.ones(1, 12), plan=plan)
    model[2].weight = nn.Parameter(model[0].weight.data)
    assert [each[1][-1] for each in by_hand.everything(model)["tensors"]] == [
        each[1][-1] for each in before["tensors"]
    ]


class Fails(nn.Module):
    """Passes its input on, and raises at one of the calls after the channels have left."""

    runs = 0

    def __init__(self, error: BaseException, at: int) -> None:
        super().__init__()
        self.error, self.at = error, at

    def forward(self, x):
        if x.shape[1] == 5:
            Fails.runs += 1
            if Fails.runs == self.at:
                raise self.error
        return x * 1.0 if self.training else x  # another operation: the training pass is recorded, too


@pytest.mark.parametrize("at", [1, 2, 3], ids=["in the proof", "in its own precision", "in training"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(2), ValueError("too small")], ids=repr)
def test_an_interrupt_at_any_run_undoes_all(by_hand, trained, images, kept, error, at):
    for model in (trained[0], trained[2]):
        model.layers[2] = Fails(error, at)
    Fails.runs = 0
    usual = isinstance(error, Exception)
    unchanged(
        by_hand,
        trained,
        lambda net, **more: by_hand.cut(net, kept, images, **more),
        ProofError if usual else type(error),
        r"fails in layers.2 \(Fails\) at test_undo.py:\d+: too small" if usual else None,
    )
    assert Fails.runs == at


def test_an_interrupt_while_the_optimizer_is_cut(by_hand, trained, images, kept, monkeypatch):
    """The last thing that happens; and a second interrupt while everything is put back."""
    from pruners_torch.surgery import optimizers, undo

    select, calls = optimizers.select, []

    def interrupted(tensor, indices):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return select(tensor, indices)

    refill, again = undo.refill, []

    def interrupted_again(container, saved):
        refill(container, saved)
        if len(calls) == 5:
            again.append(1)
            if len(again) == 7:
                raise KeyboardInterrupt

    monkeypatch.setattr(optimizers, "select", interrupted)
    monkeypatch.setattr(undo, "refill", interrupted_again)
    unchanged(
        by_hand,
        trained,
        lambda net, **more: by_hand.cut(net, kept, images, modes=("eval",), **more),
        KeyboardInterrupt,
    )
    assert len(calls) == 5 and len(again) > 14


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_outputs_that_are_not_finite_prove_nothing(by_hand, trained, images, kept, value):
    with torch.no_grad():
        trained[0].head.bias.fill_(value)
    unchanged(
        by_hand,
        trained,
        lambda net, **more: by_hand.cut(net, kept, images, **more),
        match="gives only NaN or infinite numbers; pass others",
    )


def test_some_infinite_outputs_are_compared_as_such(by_hand, net, images, kept):
    with torch.no_grad():
        net.head.bias[0] = float("-inf")
    proof = by_hand.cut(net, kept, images)
    assert proof.outputs == 4 * 4 * 2 and proof.error < 1e-12


def test_zeros_prove_nothing(by_hand, trained, images, kept):
    with torch.no_grad():
        for parameter in trained[0].parameters():
            parameter.zero_()
    unchanged(
        by_hand,
        trained,
        lambda net, **more: by_hand.cut(net, kept, images, **more),
        match="gives only zeros, or nothing at all; pass others",
    )


def test_a_last_layer_of_zeros_is_proved_by_what_comes_before(by_hand, net, images, kept):
    with torch.no_grad():
        net.head.weight.zero_(), net.head.bias.zero_()
    proof = by_hand.cut(net, kept, images)
    assert proof.error < 1e-12 and proof.outputs == 4 * (5 + 7 + 5)


def test_a_last_layer_of_zeros_hides_nothing(by_hand, trained, images, kept):
    net = trained[0]
    with torch.no_grad():
        net.head.weight.zero_(), net.head.bias.zero_()
    plan = by_hand.plan(net, kept)
    wrong = RemovalPlan(dict(plan.kept) | {"layers.4.bias": {0: np.array([1, 4, 5, 6, 10, 13, 18])}})
    unchanged(
        by_hand,
        trained,
        lambda net, **more: by_hand.cut(net, kept, images, plan=wrong, **more),
        match="module 'layers.4' is the first to differ",
    )


class Branching(nn.Module):
    """Normalises once more if its hidden features are large: masking may make them small."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(6, 12), nn.LayerNorm(12), nn.Linear(12, 4)

    def forward(self, x):
        hidden = self.norm(self.first(x))
        if (hidden.abs().sum(-1) > 8).any():
            hidden = self.norm(hidden)
        return self.last(hidden)


def test_a_masked_model_that_takes_another_path_proves_nothing(by_hand):
    torch.manual_seed(0)
    model, x = Branching(), torch.randn(3, 6)
    before = by_hand.everything(model)
    with pytest.raises(ProofError, match="normalisation 1 of the masked model is none, where layer_norm was"):
        by_hand.cut(model, {12: [0, 1, 2]}, x)
    assert by_hand.everything(model) == before


def test_a_removal_can_be_tried_again_after_a_failure(by_hand, trained, images, kept):
    net, optimizer, average = trained
    plan = by_hand.plan(net, kept)
    wrong = RemovalPlan(dict(plan.kept) | {"layers.4.bias": {0: np.arange(7)}})
    with pytest.raises(ProofError):
        by_hand.cut(net, kept, images, plan=wrong, optimizer=optimizer, copies=[average])
    by_hand.cut(net, kept, images, optimizer=optimizer, copies=[average])
    assert net.head.in_features == 7 and average.head.in_features == 7
    net(images).sum().backward()
    optimizer.step()


def test_a_graph_of_before_still_gives_its_gradients(by_hand, net, images, kept):
    loss = net(images).square().mean()
    plan = by_hand.plan(net, kept)
    wrong = RemovalPlan(dict(plan.kept) | {"layers.4.bias": {0: np.arange(7)}})
    twin = copy.deepcopy(net)
    with pytest.raises(ProofError):
        by_hand.cut(net, kept, images, plan=wrong, modes=("eval",))
    loss.backward()
    twin(images).square().mean().backward()
    for own, other in zip(net.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(own.grad, other.grad)
