"""After a removal the optimizer goes on with what it knew of the surviving channels."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from pruners import OptionError, RemovalError

torch.set_num_threads(1)

OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.02),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9, nesterov=True, foreach=True),
    "momentum-fused": lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9, fused=True),
    "adam": lambda p: torch.optim.Adam(p, lr=1e-2, amsgrad=True),
    "adam-foreach": lambda p: torch.optim.Adam(p, lr=1e-2, foreach=True),
    "adam-fused": lambda p: torch.optim.Adam(p, lr=1e-2, fused=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=1e-2),
    "adamw-fused": lambda p: torch.optim.AdamW(p, lr=1e-2, fused=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=1e-3, momentum=0.9, centered=True),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=1e-2),
    "adamax": lambda p: torch.optim.Adamax(p, lr=1e-2),
    "nadam": lambda p: torch.optim.NAdam(p, lr=1e-2),
    "radam": lambda p: torch.optim.RAdam(p, lr=1e-2),
    "rprop": lambda p: torch.optim.Rprop(p, lr=1e-3),
    "adadelta": lambda p: torch.optim.Adadelta(p, lr=1.0),
    "asgd": lambda p: torch.optim.ASGD(p, lr=1e-2),
}


def train(model, optimizer, count, seed=0, after=lambda: None):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(16, 3, 8, 8, generator=generator)
    y = torch.randint(5, (16,), generator=generator)
    losses = []
    for _ in range(count):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        after()
        losses.append(loss.item())
    return losses


def groups(model):
    head = {id(p) for p in model.head.parameters()}
    return [
        {"params": [p for p in model.parameters() if id(p) not in head]},
        {"params": list(model.head.parameters()), "weight_decay": 1e-3},
    ]


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_the_state_of_the_survivors_is_kept(by_hand, net, images, kept, kind):
    optimizer = OPTIMIZERS[kind](groups(net))
    train(net, optimizer, 4)
    before = {name: copy.copy(optimizer.state[p]) for name, p in net.named_parameters()}
    listed = [[id(p) for p in group["params"]] for group in optimizer.param_groups]
    plan = by_hand.plan(net, kept)
    by_hand.cut(net, kept, images, optimizer=optimizer)
    assert [[id(p) for p in group["params"]] for group in optimizer.param_groups] == listed
    assert {id(p) for p in net.parameters()} == {each for group in listed for each in group}
    sliced = 0
    for name, parameter in net.named_parameters():
        state = optimizer.state[parameter]
        assert state.keys() == before[name].keys()
        for key, value in before[name].items():
            if not isinstance(value, torch.Tensor) or value.ndim == 0:
                assert state[key] == value
                continue
            for axis, indices in plan.kept.get(name, {}).items():
                value = value.index_select(axis, torch.from_numpy(indices))
            assert torch.equal(state[key], value) and state[key].shape == parameter.shape
            sliced += 1
    assert sliced or kind == "sgd"
    losses = train(net, optimizer, 30)
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.01


def test_training_goes_on_as_that_of_the_smaller_model_would(by_hand, net, images, kept):
    """An optimizer made from scratch with the sliced state takes the very same steps."""
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    train(net, optimizer, 4)
    by_hand.cut(net, kept, images, optimizer=optimizer)
    other = copy.deepcopy(net)
    fresh = torch.optim.Adam(other.parameters(), lr=1e-2)
    fresh.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    train(net, optimizer, 3), train(other, fresh, 3)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters(), strict=True))


def test_the_memory_format_of_the_state_stays(by_hand, net, images, kept):
    net = net.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2, fused=True)
    train(net, optimizer, 2)
    by_hand.cut(net, kept, images, optimizer=optimizer)
    momentum = optimizer.state[net.layers[3].weight]["exp_avg"]
    assert momentum.is_contiguous(memory_format=torch.channels_last)
    train(net, optimizer, 2)


def test_several_optimizers(by_hand, net, images, kept):
    body, head = groups(net)
    first = torch.optim.SGD(body["params"], lr=0.02, momentum=0.9)
    second = torch.optim.Adam(head["params"], lr=1e-2)
    train(net, first, 2), train(net, second, 2)
    by_hand.cut(net, kept, images, optimizer=[first, second])
    assert first.state[net.layers[3].weight]["momentum_buffer"].shape == (7, 5, 3, 3)
    assert second.state[net.head.weight]["exp_avg"].shape == (5, 7)
    train(net, first, 2), train(net, second, 2)


def test_an_optimizer_that_has_not_stepped(by_hand, net, images, kept):
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    by_hand.cut(net, kept, images, optimizer=optimizer)
    assert not optimizer.state
    losses = train(net, optimizer, 20)
    assert losses[-1] < losses[0]


def test_schedulers_and_scalers_go_on(by_hand, net, images, kept):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)

    def step():
        x, y = images, torch.tensor([0, 1, 2, 3])
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = nn.functional.cross_entropy(net(x), y)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        scheduler.step()
        return loss.item()

    losses = [step() for _ in range(4)]
    rate, scale = scheduler.get_last_lr(), scaler.get_scale()
    by_hand.cut(net, kept, images, optimizer=optimizer)
    assert scheduler.get_last_lr() == rate and scaler.get_scale() == scale == 1024.0
    losses = [step() for _ in range(10)]
    assert scheduler.last_epoch == 14 and optimizer.param_groups[0]["lr"] < rate[0]
    assert losses[-1] < losses[0]


def test_hooks_of_the_optimizer_stay(by_hand, net, images, kept):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.02)
    called = []
    optimizer.register_step_post_hook(lambda *args: called.append(1))
    net.head.weight.register_post_accumulate_grad_hook(lambda p: called.append(2))
    net.head.weight.register_hook(lambda gradient: called.append(3))
    by_hand.cut(net, kept, images, optimizer=optimizer)
    train(net, optimizer, 1)
    assert called == [3, 2, 1]


def test_factored_state_is_cut_where_it_spans_the_axis(by_hand, net, images, kept):
    optimizer = torch.optim.Adafactor(net.parameters(), lr=1e-2)
    train(net, optimizer, 2)
    before = copy.copy(optimizer.state[net.head.weight])
    by_hand.cut(net, kept, images, optimizer=optimizer)
    state = optimizer.state[net.head.weight]
    assert torch.equal(state["row_var"], before["row_var"])
    assert torch.equal(state["col_var"], before["col_var"][:, kept[20]])
    train(net, optimizer, 2)


class Preconditioned(torch.optim.Optimizer):
    """Remembers a matrix per axis, as Shampoo does."""

    def __init__(self, params):
        super().__init__(params, {})

    @torch.no_grad()
    def step(self):
        for p in self.param_groups[0]["params"]:
            state = self.state[p]
            if not state:
                state["factors"] = [torch.zeros(length, length) for length in p.shape]
            for axis, factor in enumerate(state["factors"]):
                flat = p.grad.movedim(axis, 0).flatten(1) if p.ndim > 1 else p.grad[:, None]
                factor.add_(flat @ flat.T)
            p.sub_(0.02 * p.grad)


def test_state_of_another_form_is_cleared_and_told(by_hand, net, images, kept):
    optimizer = Preconditioned(net.parameters())
    train(net, optimizer, 2)
    whole = optimizer.state[net.head.bias]["factors"]
    with pytest.warns(UserWarning, match=r"state of 9 parameters .*starts afresh: layers.0.weight \(Precond"):
        by_hand.cut(net, kept, images, optimizer=optimizer)
    assert net.head.weight not in optimizer.state and optimizer.state[net.head.bias]["factors"] is whole
    train(net, optimizer, 2)


def test_a_warning_made_an_error_undoes_all(by_hand, net, images, kept):
    optimizer = Preconditioned(net.parameters())
    train(net, optimizer, 2)
    before = by_hand.everything(net, optimizer)
    with pytest.raises(UserWarning, match="starts afresh"):
        by_hand.cut(net, kept, images, optimizer=optimizer, modes=("eval",))
    assert by_hand.everything(net, optimizer) == before


def test_lbfgs_is_refused_before_anything_is_changed(by_hand, net, images, kept):
    optimizer = torch.optim.LBFGS(net.parameters())
    before = by_hand.everything(net, optimizer)
    with pytest.raises(RemovalError, match="LBFGS cannot go on .* then make a new one"):
        by_hand.cut(net, kept, images, optimizer=optimizer)
    assert by_hand.everything(net, optimizer) == before


def test_another_models_optimizer_is_refused(by_hand, net, images, kept):
    optimizer = torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1)
    before = by_hand.everything(net)
    with pytest.raises(OptionError, match="holds none of the model's parameters"):
        by_hand.cut(net, kept, images, optimizer=optimizer)
    with pytest.raises(OptionError, match="must be a torch.optim.Optimizer"):
        by_hand.cut(net, kept, images, optimizer=0.1)
    assert by_hand.everything(net) == before
