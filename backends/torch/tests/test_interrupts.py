"""An interrupt at any moment: modules, optimizers and random state are as before, or the work is done."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import pruners

BATCHES = [(torch.randn(4, 3, 6, 6), torch.randint(0, 2, (4,))) for _ in range(3)]


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3)
        self.norm = nn.BatchNorm2d(8)
        self.drop = nn.Dropout(0.5)
        self.last = nn.Linear(8, 2)
        self.drop.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.drop(torch.relu(self.norm(self.first(x)))).mean((2, 3)))


def loss(model: nn.Module, batch: Any) -> torch.Tensor:
    return nn.functional.cross_entropy(model(batch[0]), batch[1])


def built() -> tuple[Net, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = Net()
    optimizer = torch.optim.Adam(model.parameters())
    loss(model, BATCHES[0]).backward()
    optimizer.step()
    return model, optimizer


def shown(model: nn.Module, optimizer: torch.optim.Optimizer) -> Any:
    """Return everything that pruning may touch, as values that compare."""
    tensors = {name: (tensor.shape, tensor.numpy().tobytes()) for name, tensor in model.state_dict().items()}
    gradients = {
        name: (each.requires_grad, None if each.grad is None else each.grad.numpy().tobytes())
        for name, each in model.named_parameters()
    }
    modules = [
        (
            name,
            each.training,
            len(each._forward_hooks) + len(each._forward_pre_hooks) + len(each._backward_hooks),
            sorted((key, value) for key, value in vars(each).items() if isinstance(value, (int, tuple))),
        )
        for name, each in model.named_modules()
    ]
    moments = [
        {key: value.numpy().tobytes() for key, value in optimizer.state[each].items()}
        for group in optimizer.param_groups
        for each in group["params"]
    ]
    hooks = len(optimizer._optimizer_step_post_hooks) + len(optimizer._optimizer_step_pre_hooks)
    return tensors, gradients, modules, moments, hooks


def parameters(optimizer: torch.optim.Optimizer) -> list[int]:
    return [id(each) for group in optimizer.param_groups for each in group["params"]]


def interrupted(work: Callable[[], object], at: int) -> tuple[bool, int]:
    """Send an interrupt at one line of our code; return whether it was raised, and how many lines ran."""
    lines = 0

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal lines
        name = frame.f_code.co_filename
        if f"{os.sep}pruners" not in name or f"{os.sep}tests{os.sep}" in name:
            return None
        if name.endswith("interrupts.py"):
            return None
        if event == "line":
            lines += 1
            if lines == at:
                sys.settrace(None)
                signal.raise_signal(signal.SIGINT)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    except KeyboardInterrupt:
        return True, lines
    finally:
        sys.settrace(before)
    return False, lines


def one_shot(model: nn.Module, optimizer: Any) -> None:
    pruners.prune(model, "taylor", sparsity=0.5, match="first.*", data=BATCHES, loss=loss)


def removal(model: nn.Module, optimizer: Any) -> None:
    pruners.remove(model, "fpgm", sparsity=0.5, example_inputs=BATCHES[0][0], optimizer=optimizer, measure=1)


def session(model: nn.Module, optimizer: Any) -> None:
    pruners.attach(model, {"first.weight": 0.5}, optimizer).finish()


@pytest.mark.parametrize("work", [one_shot, removal, session])
def test_a_call_is_done_or_not_begun(work):
    model, optimizer = built()
    before = shown(model, optimizer)
    work(model, optimizer)
    after = shown(model, optimizer)
    random = torch.get_rng_state()
    total = interrupted(lambda: work(*built()), 1 << 60)[1]
    seen = set()
    for at in range(1, total, max(1, total // 20)):
        model, optimizer = built()
        raised, lines = interrupted(lambda: work(model, optimizer), at)  # noqa: B023
        assert raised and lines >= at
        found = shown(model, optimizer)
        assert found in (before, after), f"line {at}"
        assert torch.equal(torch.get_rng_state(), random)
        seen.add(found == after)
        if found == before:
            work(model, optimizer)
            assert shown(model, optimizer) == after, "the next call works"
    assert seen == {True, False}


def test_a_scan_puts_everything_back():
    model, optimizer = built()
    before = shown(model, optimizer)

    def evaluate(model: nn.Module) -> float:
        with torch.no_grad():
            return float(loss(model.eval(), BATCHES[0]))

    def work() -> None:
        pruners.sensitivity(model, evaluate, sparsities=[0.5], pruner="level")

    work()
    total = interrupted(work, 1 << 60)[1]
    for at in range(1, total, max(1, total // 20)):
        raised, _ = interrupted(work, at)
        assert raised
        model.train()
        model.drop.eval()
        assert shown(model, optimizer) == before, f"line {at}"


@pytest.mark.parametrize("at", range(3))
@pytest.mark.parametrize(
    "call",
    [
        lambda model, data: pruners.prune(
            model, "taylor", sparsity=0.5, match="first.*", data=data, loss=loss
        ),
        lambda model, data: pruners.remove(
            model, "taylor", sparsity=0.5, data=data, loss=loss, example_inputs=BATCHES[0][0]
        ),
        lambda model, data: pruners.remove(
            model, "apoz", sparsity=0.5, data=data, example_inputs=BATCHES[0][0]
        ),
        lambda model, data: pruners.attach(
            model, pruners.Rule("first.*", pruner="taylor", sparsity=0.5), data=data, loss=loss
        ),
    ],
)
def test_an_interrupt_from_the_data_changes_nothing(call, at):
    class Interrupting:
        def __iter__(self) -> Any:
            for number, batch in enumerate(BATCHES):
                if number == at:
                    raise KeyboardInterrupt
                yield batch

    model, optimizer = built()
    before, random = shown(model, optimizer), torch.get_rng_state()
    with pytest.raises(KeyboardInterrupt):
        call(model, Interrupting())
    assert shown(model, optimizer) == before
    assert torch.equal(torch.get_rng_state(), random)
    call(model, BATCHES)


def test_an_interrupt_while_a_graph_is_made_leaves_model_and_optimizer():
    model, optimizer = built()
    before = shown(model, optimizer)
    made = []  # a model that goes runs our code outside of any call

    def work(model: nn.Module, optimizer: Any) -> None:
        made.append(
            pruners.remove(
                model, "fpgm", sparsity=0.5, example_inputs=BATCHES[0][0], optimizer=optimizer, form="graph"
            )
        )

    work(*built())
    total = interrupted(lambda: work(*built()), 1 << 60)[1]
    for at in [*range(1, total, max(1, total // 6)), *range(total - 800, total, 200)]:
        model, optimizer = built()
        held = parameters(optimizer)
        raised, lines = interrupted(lambda: work(model, optimizer), at)  # noqa: B023
        if lines < at:
            continue  # it took fewer lines than before
        assert raised
        assert parameters(optimizer) == held, f"line {at}"
        assert shown(model, optimizer) == before, f"line {at}"


def test_a_step_with_an_optimizer_is_done_or_not_begun():
    rule = pruners.Rule(
        "first.*",
        pruner="taylor",
        schedule=pruners.schedule("linear", start=1, stop=2, every=1, final_sparsity=0.5),
    )

    def session() -> tuple[nn.Module, torch.optim.Optimizer, pruners.Pruning]:
        model, optimizer = built()
        return model, optimizer, pruners.attach(model, rule, optimizer, data=BATCHES, loss=loss)

    def everything(model: nn.Module, optimizer: torch.optim.Optimizer, pruning: pruners.Pruning) -> Any:
        return shown(model, optimizer), pruning.state_dict()

    first = session()
    first[2].step()
    before = everything(*first)
    first[2].step()
    after = everything(*first)
    assert before != after

    def begun() -> tuple[nn.Module, torch.optim.Optimizer, pruners.Pruning]:
        found = session()
        found[2].step()
        return found

    total = interrupted(begun()[2].step, 1 << 60)[1]
    seen = set()
    for at in range(1, total, max(1, total // 20)):
        found = begun()
        raised, lines = interrupted(found[2].step, at)
        assert raised and lines >= at
        now = everything(*found)
        assert now in (before, after), f"line {at}"
        seen.add(now == after)
        if now == before:
            found[2].step()
            assert everything(*found) == after
    assert seen == {True, False}


def test_an_interrupt_from_the_data_of_a_step_leaves_the_session():
    passes: list[int] = []

    class Later:
        def __iter__(self) -> Any:
            passes.append(1)
            for number, batch in enumerate(BATCHES):
                if len(passes) == 2 and number == 1:
                    raise KeyboardInterrupt
                yield batch

    model, optimizer = built()
    rule = pruners.Rule(
        "first.*",
        pruner="taylor",
        schedule=pruners.schedule("linear", start=0, stop=2, every=1, final_sparsity=0.5),
    )
    pruning = pruners.attach(model, rule, optimizer, data=Later(), loss=loss)
    before = shown(model, optimizer), pruning.state_dict()
    with pytest.raises(KeyboardInterrupt):
        pruning.step()
    assert (shown(model, optimizer), pruning.state_dict()) == before
    pruning.step()
    assert pruning.time == 1


@pytest.mark.parametrize("smaller", [False, True])
def test_loading_is_done_or_not_begun(tmp_path, smaller):
    path = tmp_path / "m.safetensors"
    saved, optimizer = built()
    if smaller:
        removal(saved, optimizer)
    with torch.no_grad():
        saved.last.weight += 1
    pruners.save(saved, path, sparse=True)

    def other() -> tuple[nn.Module, torch.optim.Optimizer]:
        model = built()[0]
        return model, torch.optim.SGD(model.parameters(), lr=0.1)

    model, optimizer = other()
    before = shown(model, optimizer)
    pruners.load(model, path)
    after = shown(model, optimizer)
    total = interrupted(lambda: pruners.load(other()[0], path), 1 << 60)[1]
    seen = set()
    for at in range(1, total, max(1, total // 25)):
        model, optimizer = other()
        raised, _ = interrupted(lambda: pruners.load(model, path), at)  # noqa: B023
        assert raised
        found = shown(model, optimizer)
        assert found in (before, after), f"line {at}"
        seen.add(found == after)
    assert seen == {True, False}
