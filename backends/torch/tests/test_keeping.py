"""Zeros that stay, whoever writes: other optimizers, hand-made changes, replaced parts, sparse gradients."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import nn

import pruners

torch.set_num_threads(1)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 8))


def sgd(model: nn.Module) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


def train(model: nn.Module, *optimizers: torch.optim.Optimizer) -> None:
    for optimizer in optimizers:
        optimizer.zero_grad()
    model(torch.randn(4, 16)).square().mean().backward()
    for optimizer in optimizers:
        optimizer.step()


def half_zero(model: nn.Module) -> bool:
    return all(int((model[i].weight == 0).sum()) == model[i].weight.numel() // 2 for i in (0, 2))


def test_an_optimizer_of_another_model_is_refused_before_anything_changes():
    model = network()
    before = [p.clone() for p in model.parameters()]
    with pytest.raises(pruners.OptionError, match=r"holds none of the pruned parameters \('0\.weight'"):
        pruners.attach(model, pruners.Rule(sparsity=0.5), sgd(network()))
    assert all(torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))


def test_a_head_that_alone_is_trained_may_have_its_own_optimizer():
    model = network()
    model[0].requires_grad_(False)
    pruners.prune(model, sparsity=0.5)
    pruning = pruners.attach(model, keep="zeros", optimizer=sgd(model[2]))
    train(model, pruning._keeper._optimizers[0])
    pruning.step()
    assert half_zero(model)


def test_step_keeps_the_zeros_of_weights_that_another_optimizer_moves():
    model = network()
    first, second = sgd(model[0]), sgd(model[2])
    pruning = pruners.attach(model, pruners.Rule(sparsity=0.5), first)
    for _ in range(3):
        train(model, first, second)
        pruning.step()
        assert half_zero(model)


@pytest.mark.parametrize(
    "write",
    [
        lambda model, dense: model.load_state_dict(dense),
        lambda model, dense: [p.detach().add_(1) for p in model.parameters()],
        lambda model, dense: nn.utils.vector_to_parameters(
            torch.ones(16 * 32 + 32 + 32 * 8 + 8), model.parameters()
        ),
    ],
    ids=["load_state_dict", "in place", "vector_to_parameters"],
)
def test_step_keeps_the_zeros_of_weights_written_by_hand(write):
    model = network()
    dense = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = sgd(model)
    pruning = pruners.attach(model, pruners.Rule(sparsity=0.5), optimizer)
    train(model, optimizer)
    with torch.no_grad():
        write(model, dense)
    assert not half_zero(model)
    pruning.step()
    assert half_zero(model)


class ByData(torch.optim.Optimizer):
    """Writes through ``.data``, as many optimizers outside PyTorch do: no version is counted."""

    def __init__(self, parameters):
        super().__init__(parameters, {})

    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.data.add_(parameter.grad, alpha=-0.1)


@pytest.mark.parametrize("given", [True, False])
def test_an_optimizer_that_writes_through_data_is_seen(given):
    model = network()
    optimizer = ByData(model.parameters())
    pruning = pruners.attach(model, pruners.Rule(sparsity=0.5), optimizer if given else None)
    for _ in range(3):
        train(model, optimizer)
        pruning.step()
        assert half_zero(model)


def test_an_optimizer_without_its_base_is_named():
    class Wrapper(torch.optim.Optimizer):
        def __init__(self, inner):
            self.param_groups, self.state = inner.param_groups, inner.state

    model = network()
    with pytest.raises(pruners.OptionError, match=r"Wrapper\.__init__ does not call"):
        pruners.attach(model, pruners.Rule(sparsity=0.5), Wrapper(sgd(model)))
    assert int((model[0].weight == 0).sum()) == 0


def test_a_replaced_layer_is_masked_and_a_missing_or_reshaped_one_is_named():
    model = network()
    pruning = pruners.attach(model, pruners.Rule(sparsity=0.5))
    model[2] = nn.Linear(32, 8)
    pruning.step()
    assert half_zero(model)
    model[2] = nn.Linear(32, 4)
    with pytest.raises(
        pruners.StateError, match=r"layer '2\.weight' now has shape \(4, 32\), its mask \(8, 32\)"
    ):
        pruning.step()
    del model[2]
    with pytest.raises(pruners.StateError, match=r"layer '2\.weight' is no longer in the model"):
        pruning.step()


def test_a_session_that_no_longer_fits_can_be_finished_and_another_attached():
    model, x = network(), torch.randn(4, 16)
    optimizer = sgd(model)
    pruning = pruners.attach(model, pruners.Rule(sparsity=0.5), optimizer)
    pruners.remove(model, sparsity=0.5, example_inputs=x, optimizer=optimizer, measure=0)
    model(x).square().mean().backward()
    with pytest.raises(pruners.StateError, match="finish this session and attach a new one"):
        optimizer.step()
    with pytest.raises(pruners.StateError, match="now has shape"):
        pruning.finish()
    optimizer.step()
    pruners.attach(model, pruners.Rule(sparsity=0.75), optimizer)
    optimizer.step()


def pruned_gradients(model, pruning) -> int:
    names = dict(model.named_parameters())
    return sum(int((names[name].grad.to_dense()[~mask] != 0).sum()) for name, mask in pruning.masks.items())


def test_gradients_are_masked_after_unfreezing_and_replacing():
    model = network()
    model[0].requires_grad_(False)
    optimizer = sgd(model)
    pruning = pruners.attach(model, pruners.Rule(sparsity=0.5), optimizer, mask_gradients=True)
    model[0].requires_grad_(True)
    model[2].weight = nn.Parameter(torch.randn(8, 32))
    pruning.step()
    model(torch.randn(4, 16)).square().mean().backward()
    assert pruned_gradients(model, pruning) == 0
    assert model[0].weight.grad.any() and model[2].weight.grad.any()


def test_sparse_gradients_of_embeddings_are_masked_too():
    model = nn.Embedding(10, 4, sparse=True)
    optimizer = torch.optim.SparseAdam(model.parameters(), lr=0.1)
    pruning = pruners.attach(model, pruners.Rule(sparsity=0.5), optimizer, mask_gradients=True)
    for _ in range(2):
        optimizer.zero_grad()
        model(torch.tensor([1, 1, 3])).square().sum().backward()
        assert model.weight.grad.is_sparse and pruned_gradients(model, pruning) == 0
        optimizer.step()
        pruning.step()
    assert int((model.weight == 0).sum()) == 20


class Bad:
    """A pattern whose second layer goes wrong."""

    def __init__(self, mask):
        self.wrong = mask

    def mask(self, ranking, sparsity):
        return np.zeros(ranking.shape, bool) if ranking.name == "0.weight" else self.wrong(ranking)

    def check(self, mask):
        pass


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (
            lambda r: np.zeros(5, bool),
            pruners.PatternError,
            r"'Bad', layer '2\.weight'.*shape \(8, 32\), got bool \(5,\)",
        ),
        (lambda r: np.zeros(r.shape, int), pruners.PatternError, "got int64"),
        (lambda r: None, pruners.PatternError, "got NoneType"),
        (lambda r: 1 / 0, pruners.PrunerFailed, r"'Bad', layer '2\.weight' failed: ZeroDivisionError"),
    ],
)
def test_a_misbehaving_pattern_is_named_and_changes_nothing(wrong, error, message):
    model = network()
    optimizer = sgd(model)
    before = [p.clone() for p in model.parameters()]
    with pytest.raises(error, match=message):
        pruners.attach(model, pruners.Rule(sparsity=0.5, pattern=Bad(wrong)), optimizer)
    assert not optimizer._optimizer_step_post_hooks
    assert all(torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))


class Times:
    """A schedule that does as it is told at step 1."""

    def __init__(self, sparsity=lambda: 0.0, due=lambda: True):
        self._sparsity, self._due = sparsity, due

    def sparsity(self, step):
        return self._sparsity() if step == 1 else 0.0

    def due(self, step):
        return self._due() if step == 1 else False


@pytest.mark.parametrize(
    ("schedule", "error", "message"),
    [
        (Times(lambda: 1 / 0), pruners.PrunerFailed, "schedule 'Times' at step 1 failed: ZeroDivisionError"),
        (Times(lambda: "much"), pruners.PrunerFailed, "schedule 'Times' at step 1 failed: ValueError"),
        (Times(lambda: 1.5), pruners.OptionError, r"schedule 'Times' at step 1 gave sparsity 1\.5"),
        (Times(lambda: float("nan")), pruners.OptionError, "gave sparsity nan"),
        (Times(due=lambda: 1 / 0), pruners.PrunerFailed, "schedule 'Times' at step 1 failed"),
    ],
)
def test_a_misbehaving_schedule_is_named_and_changes_nothing(schedule, error, message):
    model = network()
    pruning = pruners.attach(model, pruners.Rule(schedule=schedule), sgd(model))
    before = pruning.state_dict()
    with pytest.raises(error, match=message):
        pruning.step()
    assert pruning.state_dict() == before


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"pattern": 5}, "pattern must be a name or have the methods mask, check, got 5"),
        ({"schedule": 5}, "schedule must be a name or have the methods sparsity, due, got 5"),
        ({"pattern": Bad}, r"pattern Bad is a class; make one: Bad\(\.\.\.\)"),
        ({"sparsity": 90}, r"got 90\.0: 90 % is 0\.9"),
    ],
)
def test_parts_that_are_none_are_refused(rule, message):
    with pytest.raises(pruners.OptionError, match=message):
        pruners.attach(network(), pruners.Rule(**{"sparsity": 0.5, **rule}))


def test_warnings_as_errors_change_nothing():
    model = nn.Sequential(nn.Linear(4, 32), nn.Linear(32, 64))
    optimizer = sgd(model)
    ramp = pruners.schedule("linear", start=0, stop=4, every=1)
    rule = pruners.Rule(sparsity=0.5, pattern="bank", schedule=ramp)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(pruners.SkippedLayer):
            pruners.attach(model, rule, optimizer)
        assert not optimizer._optimizer_step_post_hooks and bool((model[1].weight != 0).all())


@pytest.mark.parametrize("option", [{"scope": "model"}, {"budget": "erk"}])
def test_layers_pruned_together_are_restored_together(option):
    model = network()
    pruners.prune(model, sparsity=0.5, **option)
    zeros = [p == 0 for p in model.parameters() if p.ndim > 1]
    ramp = pruners.schedule("linear", start=0, stop=4, every=1)
    pruning = pruners.attach(
        model, pruners.Rule(sparsity=0.9, schedule=ramp, **option), sgd(model), restore=True
    )
    reached = [pruning.sparsity().total]
    for _ in range(4):
        pruning.step()
        reached.append(pruning.sparsity().total)
    assert reached == pytest.approx([0.5, 0.6, 0.7, 0.8, 0.9], abs=0.01)
    weights = [p for p in model.parameters() if p.ndim > 1]
    assert all(bool((weight[zero] == 0).all()) for weight, zero in zip(weights, zeros, strict=True))


def test_epochs_left_out_are_made_up_for():
    ramp = pruners.schedule("linear", start=0, stop=4, every=2)
    pruning = pruners.attach(network(), pruners.Rule(sparsity=0.8, schedule=ramp))
    pruning.epoch(1)
    assert pruning.sparsity().total == 0
    pruning.epoch(3)
    assert pruning.sparsity().total == pytest.approx(0.6, abs=0.01)
    pruning.epoch(9)
    assert pruning.sparsity().total == pytest.approx(0.8, abs=0.01)
    with pytest.raises(pruners.StateError, match="whole number, got 9.5"):
        pruning.epoch(9.5)


def test_data_that_can_be_read_once_is_refused():
    with pytest.raises(pruners.NeedsData, match="pass a list or a loader"):
        pruners.attach(network(), pruners.Rule(sparsity=0.5), data=iter([torch.randn(2, 16)]))


class Hoards:
    """Keeps the stream of activations it opened."""

    unit = "weight"

    def scores(self, view):
        self.stream = view.activations()
        next(self.stream)
        return {name: view.ops.abs(weight) for name, weight in view.weights.items()}


def test_a_stream_left_open_is_closed_for_the_pruner():
    model, pruner = network().train(), Hoards()
    pruners.masks(model, pruner, sparsity=0.5, data=[torch.randn(2, 16)])
    assert model.training and not model[0]._forward_hooks and pruner.stream is not None


def test_rules_and_options_together_are_refused():
    with pytest.raises(pruners.RuleError, match="put sparsity into the rule"):
        pruners.prune(network(), pruners.Rule(sparsity=0.2), sparsity=0.9)


def test_a_state_slot_of_another_float_type_is_cleared_too():
    model = network()
    optimizer = sgd(model)
    slot = torch.ones(32, 16).to(torch.float8_e4m3fn)
    optimizer.state[model[0].weight]["small"] = slot
    pruners.attach(model, pruners.Rule(sparsity=0.5), optimizer)
    assert int((slot.float() == 0).sum()) == 256


def test_torch_is_not_made_slower_to_start():
    import subprocess
    import sys

    code = (
        "import sys, torch, pruners; pruners.prune(torch.nn.Linear(4, 4), sparsity=0.5);"
        "print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
