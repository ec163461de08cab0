"""Plans as JSON: made on one copy of a model, carried out on another; they fit entirely or not at all."""

from __future__ import annotations

import copy
import json

import pytest
import torch
from torch import nn

import pruners

INPUTS = (torch.ones(1, 3, 8, 8),)


class Attention(nn.Module):
    """Heads whose number is an attribute."""

    def __init__(self, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.grow = nn.Linear(8, 48)
        self.join = nn.Linear(16, 3)

    def forward(self, x):
        parts = self.grow(x).view(*x.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        seen = nn.functional.scaled_dot_product_attention(parts[0], parts[1], parts[2])
        return self.join(seen.transpose(1, 2).flatten(2))


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 12, 3),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.Conv2d(12, 8, 3),
        nn.Flatten(),
        nn.Linear(8 * 16, 4),
    )


def carried(plan):
    return json.loads(json.dumps(plan.to_dict()))


@pytest.mark.parametrize(
    ("make", "inputs", "options"),
    [
        (network, INPUTS, {}),
        (Attention, (torch.ones(2, 5, 8),), {}),
        (Attention, (torch.ones(2, 5, 8),), {"heads": "heads"}),
    ],
)
def test_a_plan_does_on_another_copy_what_it_did_on_the_first(make, inputs, options):
    torch.manual_seed(0)
    first = make()
    other = copy.deepcopy(first)
    optimizer = torch.optim.SGD(other.parameters(), 0.1, momentum=0.9)
    removal = pruners.remove(first, sparsity=0.5, example_inputs=inputs, measure=0, **options)
    again = pruners.remove(
        other, plan=carried(removal.plan), example_inputs=inputs, optimizer=optimizer, measure=0
    )
    for (name, one), two in zip(first.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two), name
    assert again.parameters == removal.parameters and again.plan.attributes == removal.plan.attributes
    assert again.pruner == "a plan made elsewhere" and again.proof.error <= again.proof.tolerance
    assert torch.equal(first(*inputs), other(*inputs))


def test_a_plan_that_repairs_nothing_needs_no_data():
    model = network()
    plan = pruners.remove(copy.deepcopy(model), sparsity=0.5, example_inputs=INPUTS, measure=0).plan
    assert (
        pruners.remove(model, "thinet", plan=plan, example_inputs=INPUTS, measure=0).model[0].out_channels
        == 6
    )


def damaged(change):
    plan = carried(pruners.remove(network(), sparsity=0.5, example_inputs=INPUTS, measure=0).plan)
    change(plan)
    return plan


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda plan: plan.pop("kept"), r"no plan that RemovalPlan\.to_dict wrote: KeyError"),
        (lambda plan: plan["kept"]["0.weight"].update({"0": "all"}), "no plan that"),
        (lambda plan: plan["kept"].update({"9.weight": {"0": [1]}}), r"cuts axis 0 of '9\.weight'"),
        (lambda plan: plan["kept"]["0.weight"].update({"7": [1]}), r"cuts axis 7 of '0\.weight'"),
        (lambda plan: plan["kept"]["0.weight"].update({"0": [1, 12]}), r"cuts axis 0 of '0\.weight'"),
        (lambda plan: plan["kept"]["0.weight"].update({"0": [2, 1]}), r"cuts axis 0 of '0\.weight'"),
        (lambda plan: plan["kept"]["0.weight"].update({"0": []}), r"cuts axis 0 of '0\.weight'"),
        (lambda plan: plan["kept"].pop("0.bias"), r"hang together in '0\.bias'"),
    ],
)
def test_a_plan_that_does_not_fit_changes_nothing(change, message):
    model = network()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(pruners.RemovalError, match=message):
        pruners.remove(model, plan=damaged(change), example_inputs=INPUTS, measure=0)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_plan_leaves_nothing_to_choose():
    plan = pruners.remove(network(), sparsity=0.5, example_inputs=INPUTS, measure=0).plan
    with pytest.raises(pruners.OptionError, match="leave sparsity and count out"):
        pruners.remove(network(), plan=plan, sparsity=0.5, example_inputs=INPUTS)
    with pytest.raises(pruners.OptionError, match="must be a RemovalPlan or a dict, got int"):
        pruners.remove(network(), plan=3, example_inputs=INPUTS)
