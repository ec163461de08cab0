"""A training pass is recorded where it may tell something that the evaluation pass does not."""

from __future__ import annotations

import pytest
import torch
from pruners_torch.tracing import trace
from pruners_torch.tracing.training import repeats, watched
from torch import nn

from .models import Calling, picture

pytestmark = pytest.mark.filterwarnings("ignore")


class Counting(nn.Module):
    """Counts its forward passes in training."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.last = nn.Conv2d(4, 2, 1)
        self.passes = []

    def forward(self, x):
        return self.last(self.layers(x))


def layers():
    return nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5)


def modes(model):
    """Return the recorded modes, and those that the model ran in."""
    ran = []
    model.register_forward_hook(
        lambda module, args, output: ran.append("train" if vars(module)["training"] else "eval")
    )
    return list(trace(model, (picture(),)).programs), ran


def test_no_training_pass_where_no_code_asks_for_the_mode():
    assert modes(Counting(*layers())) == (["eval"], ["eval"])


def test_the_training_pass_alone_can_be_asked_for():
    assert list(trace(Counting(*layers()), (picture(),), modes=("train",)).programs) == ["train"]


class Head(Counting):
    def forward(self, x):
        y = self.layers(x)
        return (self.last(y), y.mean((2, 3))) if self.training else self.last(y)


def test_a_head_of_training_is_recorded():
    assert modes(Head(*layers())) == (["eval", "train"], ["eval", "train"])


def in_training(module):
    return module.training


class Asking(Counting):
    def forward(self, x):
        y = self.layers(x)
        return self.last(nn.functional.dropout(y, 0.5, in_training(self)))


def test_code_that_asks_and_does_nothing_else_is_run_and_not_kept():
    assert modes(Asking(*layers())) == (["eval"], ["eval", "train"])


class Gated(Counting):
    def forward(self, x):
        y = self.layers(x)
        return self.last(y * y.mean((2, 3), keepdim=True) if self.training else y)


class Sized(Counting):
    def forward(self, x):
        y = self.layers(x)
        if self.training and y.shape[1] == 4:
            y = y + 0
        return self.last(y + 0)


@pytest.mark.parametrize("kind", [Gated, Sized])
def test_other_operations_and_other_checks_are_kept(kind):
    assert modes(kind(*layers())) == (["eval", "train"], ["eval", "train"])


class Checked(Counting):
    def forward(self, x):
        y = self.layers(x)
        if self.training:
            assert y.shape[1] == 4
        return self.last(y)


def test_a_size_that_only_training_looks_at_is_kept():
    assert modes(Checked(*layers())) == (["eval", "train"], ["eval", "train"])


class Switching(Counting):
    def train(self, mode=True):
        super().train(mode)
        self.deep = mode
        return self

    def forward(self, x):
        y = self.layers(x)
        return self.last(y.flip(1) if self.deep else y)


def test_a_model_that_overrides_its_switch_is_run_in_both():
    assert modes(Switching(*layers()))[0] == ["eval", "train"]


def test_asking_is_seen_only_while_watched():
    model = Head(*layers())
    with watched(model.modules()) as watch:
        assert model.training is True
        model.training = False
        assert model.training is False
    assert watch.asked and "training" not in vars(nn.Module) and model.training is False
    with pytest.raises(AttributeError, match="has no attribute 'training'"), watched([]):
        del vars(model)["training"]
        assert model.training


def test_layers_of_pytorch_may_ask():
    model = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(3))
    with watched(model.modules()) as watch:
        model(torch.randn(2, 3))
    assert not watch.asked


def test_a_pass_with_another_order_or_another_weight_is_another():
    def program(forward):
        model = Calling(forward, a=nn.Linear(3, 3), b=nn.Linear(3, 3))
        return trace(model, (torch.randn(2, 3),), modes=("eval",)).programs["eval"]

    first = program(lambda self, x: self.b(self.a(x)))
    assert repeats(program(lambda self, x: self.b(nn.functional.dropout(self.a(x)))), first)
    assert repeats(program(lambda self, x: self.b(self.a(x) * torch.rand(2, 1))), first)
    assert not repeats(program(lambda self, x: self.b(self.a(x) * torch.rand(3))), first)
    assert not repeats(program(lambda self, x: self.b(self.a(x).relu())), first)
    assert not repeats(program(lambda self, x: self.a(self.b(x))), first)
    assert not repeats(program(lambda self, x: self.b(self.a(x)) + x), first)
    assert not repeats(program(lambda self, x: (self.b(self.a(x)), x)), first)
