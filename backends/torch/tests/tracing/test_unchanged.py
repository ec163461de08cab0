"""A traced model is exactly as it was, also after a failure."""

from __future__ import annotations

import copy
import random

import numpy as np
import pytest
import torch
from pruners_torch.tracing import trace
from pruners_torch.tracing.integers import TrackedInt
from torch import nn

from pruners import OptionError, TraceError

from .models import CASES, Calling, picture

pytestmark = pytest.mark.filterwarnings("ignore")


class Busy(nn.Module):
    """Leaves something behind wherever a module can."""

    def __init__(self, fails=False):
        super().__init__()
        self.conv, self.norm, self.drop = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout(0.5)
        self.register_buffer("queue", torch.full((4,), float("nan")))
        self.heads, self.sizes, self.losses, self.cache = 2, (2, 2), [], {}
        self.fails = fails

    def forward(self, x):
        y = self.drop(self.norm(self.conv(x)))
        batch, channels, *rest = y.shape
        y = y.reshape(batch, self.heads, channels // self.heads, *rest).flatten(1, 2)
        self.queue = y.mean((0, 2, 3))
        self.seen = channels
        self.losses.append(channels)
        self.cache[channels, self.sizes[0]] = y
        with torch.no_grad():
            self.conv.weight.mul_(0.5)
            self.conv.bias.data.zero_()
        self.heads = self.heads + 0
        torch.rand(3), random.random(), np.random.rand(3)
        if self.fails:
            raise ValueError("nothing to see")
        return y


def state(model):
    """Return everything that a trace might change, tensors as copies."""
    found = []
    for module in model.modules():
        for name, value in vars(module).items():
            held = (
                dict(value) if isinstance(value, dict) else list(value) if isinstance(value, list) else value
            )
            found.append((name, type(value), held))
    return found


def same(one, other):
    assert [(name, kind) for name, kind, _ in one] == [(name, kind) for name, kind, _ in other]
    for (name, _, before), (_, _, after) in zip(one, other, strict=True):
        if isinstance(before, dict):
            assert list(before) == list(after), name
            assert all(before[key] is after[key] for key in before), name
        elif isinstance(before, list):
            assert len(before) == len(after) and all(a is b for a, b in zip(before, after, strict=True)), name
        else:
            assert before is after, name


def no_tracked_integers(model):
    for module in model.modules():
        for value in vars(module).values():
            values = (
                value
                if isinstance(value, (list, tuple))
                else value.values()
                if isinstance(value, dict)
                else [value]
            )
            assert not any(isinstance(each, TrackedInt) for each in values)


def bits(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("literals", [False, True])
def test_everything_is_put_back(fails, literals):
    model = Busy(fails)
    model.norm.eval()
    before, weights, flags = state(model), bits(model), [module.training for module in model.modules()]
    x, enabled = picture(), torch.is_grad_enabled()
    drawn = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    if fails:
        with pytest.raises(TraceError):
            trace(model, (x,), literals=literals)
    else:
        trace(model, (x,), literals=literals)
    same(before, state(model))
    no_tracked_integers(model)
    assert [module.training for module in model.modules()] == flags
    assert torch.equal(torch.get_rng_state(), drawn[0])
    assert random.getstate() == drawn[1] and (np.random.get_state()[1] == drawn[2]).all()
    assert torch.is_grad_enabled() == enabled
    for name, tensor in model.state_dict().items():
        assert torch.equal(torch.nan_to_num(tensor), torch.nan_to_num(weights[name])), name
        assert torch.equal(tensor.isnan(), weights[name].isnan())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("name", CASES)
def test_no_model_is_changed(name):
    model, inputs = CASES[name]()
    before, weights = state(model), copy.deepcopy(bits(model))
    given = copy.deepcopy(inputs)
    trace(model, inputs)
    same(before, state(model))
    for key, tensor in model.state_dict().items():
        assert torch.equal(tensor, weights[key]), key
    for one, other in zip(inputs, given, strict=True):
        assert torch.equal(one, other)


def test_inputs_that_a_model_writes_to_are_left_alone():
    x = torch.ones(2, 3)
    trace(Calling(lambda self, x: x.mul_(2)), (x,))
    assert torch.equal(x, torch.ones(2, 3))


def test_settings_of_pytorch_are_put_back_and_hooks_are_gone():
    from torch.nn.modules import module as hooks

    fast = torch.backends.mha.get_fastpath_enabled()
    with pytest.raises(TraceError):
        trace(Busy(fails=True), (picture(),))
    assert torch.backends.mha.get_fastpath_enabled() == fast
    assert not hooks._global_forward_hooks and not hooks._global_forward_pre_hooks
    assert type(torch.zeros(3).shape[0]) is int


def test_a_failing_model_is_reported_with_its_cause():
    with pytest.raises(
        TraceError, match="Busy does not run on the example inputs.*ValueError: nothing to see"
    ) as caught:
        trace(Busy(fails=True), (picture(),))
    assert isinstance(caught.value.__cause__, ValueError)


def only_evaluates(self, x):
    if self.training:
        raise ValueError("targets should not be none")
    return self.lin(x)


def test_a_model_that_needs_more_in_training_is_recorded_in_evaluation():
    recording = trace(Calling(only_evaluates, lin=nn.Linear(3, 4)), (torch.randn(2, 3),))
    assert list(recording.programs) == ["eval"]
    assert "ValueError: targets should not be none" in recording.notes[0]


def test_training_on_one_example_is_recorded_on_two():
    def forward(self, x):
        return self.layers(x).sum(1) if self.training else self.layers(x)

    model = Calling(forward, layers=nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)))
    recording = trace(model, (torch.randn(1, 3),))
    assert list(recording.programs) == ["eval", "train"]
    assert recording.programs["train"].shapes[recording.programs["train"].results[0]] == (2,)


def refuses_other_integers(self, x):
    if type(self.width) is not int or type(x.shape[0]) is not int:
        raise TypeError("an int, please")
    return x.view(-1, self.width)


def test_a_model_that_refuses_tracked_integers_is_recorded_without():
    model = Calling(refuses_other_integers)
    model.width = 3
    recording = trace(model, (torch.randn(2, 3),))
    assert not recording.literals
    assert "TypeError: an int, please" in recording.notes[0]


@pytest.mark.parametrize(("modes", "got"), [(("eval", "test"), "'test'"), ((), "none")])
def test_other_modes_are_refused(modes, got):
    with pytest.raises(OptionError, match=f"modes must be among eval, train, got {got}"):
        trace(nn.Linear(3, 4), torch.randn(2, 3), modes=modes)


def test_a_training_pass_that_fails_alone_is_an_error():
    model = Calling(only_evaluates, lin=nn.Linear(3, 4))
    with pytest.raises(TraceError, match="in training mode: ValueError: targets should not be none"):
        trace(model, (torch.randn(2, 3),), modes=("train",))


def fails_in_its_own_way(self, x):
    if type(x.shape[0]) is not int:
        raise TypeError("an int, please")
    raise ValueError("nothing to see")


def test_the_error_that_is_told_is_the_models_own():
    with pytest.raises(TraceError, match="nothing to see"):
        trace(Calling(fails_in_its_own_way), torch.randn(2, 3))


def test_a_parameter_without_a_shape_is_named():
    with pytest.raises(TraceError, match="'weight' has no shape yet; run the model once"):
        trace(nn.LazyLinear(3), torch.randn(2, 3))


@pytest.mark.parametrize(
    "given",
    [torch.ones(2, 3), (torch.ones(2, 3),), {"x": torch.ones(2, 3)}, [torch.ones(2, 3), torch.ones(1, 3)]],
)
def test_inputs_of_every_shape(given):
    def forward(self, x):
        return [self.lin(each) for each in x] if isinstance(x, list) else self.lin(x)

    model = Calling(forward, lin=nn.Linear(3, 4))
    program = trace(model, given).programs["eval"]
    assert len(program.results) == (2 if isinstance(given, list) else 1)
    assert all(program.shapes[value][1] == 4 for value in program.results)


def test_buffers_of_every_kind_are_put_back():
    def forward(self, x):
        self.sparse.mul_(2)
        self.small.copy_(self.small.float().add(1))
        self.waves.mul_(2)
        return torch.sparse.mm(self.sparse, x)

    model = Calling(forward)
    model.register_buffer("sparse", torch.eye(2).to_sparse())
    model.register_buffer("small", torch.ones(3).to(torch.float8_e4m3fn))
    model.register_buffer("waves", torch.ones(3, dtype=torch.complex64))
    trace(model, (torch.randn(2, 3),))
    assert torch.equal(model.sparse.to_dense(), torch.eye(2))
    assert model.small.float().tolist() == [1, 1, 1] and model.waves.tolist() == [1, 1, 1]
