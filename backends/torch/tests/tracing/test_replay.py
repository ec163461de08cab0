"""Recorded values are met again on other batches."""

from __future__ import annotations

import pytest
import torch
from pruners_torch.tracing import replay, trace
from torch import nn

from pruners import NeedsData, TraceError

from .models import Calling, picture, weight

pytestmark = pytest.mark.filterwarnings("ignore")


def network():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, 5, 1),
        nn.ReLU(inplace=True),
        nn.Flatten(),
        nn.Linear(320, 2),
    )


def calls(recording):
    return {call.module: call for call in recording.programs["eval"].calls}


def hooked(model, batch):
    """Return what each layer read and gave, copied at once."""
    seen = {}

    def keep(name):
        return lambda module, args, output: seen.update({name: (args[0].clone(), output.clone())})

    hooks = [module.register_forward_hook(keep(name)) for name, module in model.named_children()]
    with torch.no_grad():
        model(batch)
    for hook in hooks:
        hook.remove()
    return seen


def test_layers_read_and_give_what_hooks_see():
    model = network().eval()
    recording = trace(model, (picture(),))
    batches = [torch.randn(size, 3, 8, 8) for size in (2, 1, 5)]
    names = ["0", "1", "3", "6"]
    wanted = {
        f"{name} {side}": getattr(calls(recording)[name], side)
        for name in names
        for side in ("input", "output")
    }
    stream = list(replay(model, recording, wanted, batches))
    assert [name for name, _ in stream] == list(wanted) * 3
    for number, batch in enumerate(batches):
        seen = hooked(model, batch)
        for name, tensor in stream[number * len(wanted) : (number + 1) * len(wanted)]:
            module, side = name.split()
            assert torch.equal(tensor, seen[module][side == "output"]), name


def test_a_value_written_over_later_is_as_it_was():
    model = Calling(lambda self, x: (x + 1).mul_(2).add_(3))
    recording = trace(model, (torch.zeros(2, 3),))
    wanted = {str(index): op.outputs[0] for index, op in enumerate(recording.programs["eval"].ops)}
    found = dict(replay(model, recording, wanted, [torch.zeros(1, 3)]))
    assert [float(found[name][0, 0]) for name in wanted] == [1.0, 2.0, 5.0]


def test_inputs_parameters_and_masks_of_activations():
    model = network()
    recording = trace(model, (picture(),))
    program = recording.programs["eval"]
    wanted = {"input": calls(recording)["0"].input, "weight": program.parameters["0.weight"]}
    batch = picture()
    found = dict(replay(model, recording, wanted, [batch]))
    assert torch.equal(found["input"], batch)
    assert torch.equal(found["weight"], model[0].weight)


def test_batches_are_mappings_pairs_or_tensors():
    model = Calling(lambda self, x, scale=1.0: self.lin(x * scale), lin=nn.Linear(3, 4))
    recording = trace(model, (torch.randn(2, 3),))
    x = torch.randn(2, 3)
    wanted = {"z": recording.programs["eval"].results[0]}
    batches = [x, (x, "label"), [x, 3], {"x": x}]
    found = [tensor for _, tensor in replay(model, recording, wanted, batches)]
    assert all(torch.equal(tensor, model(x)) for tensor in found)


def test_a_loss_runs_the_model_and_only_the_model_is_followed():
    model = network()
    recording = trace(model, (picture(),))
    ran = []

    def loss(model, batch):
        ran.append((model(batch * 2).softmax(1) ** 2).sum())
        return ran[-1]

    batch = picture()
    ((_, tensor),) = replay(model, recording, {"z": calls(recording)["6"].output}, [batch], loss)
    assert ran and torch.equal(tensor, model.eval()(batch * 2))


def test_the_model_is_as_before_between_batches_and_afterwards():
    model = network().train()
    recording = trace(model, (picture(),))
    running = model[1].running_mean.clone()
    for _ in replay(model, recording, {"z": calls(recording)["6"].output}, [picture(), picture()]):
        assert model.training and torch.is_grad_enabled() and not model._forward_hooks
    assert torch.equal(model[1].running_mean, running)
    assert not model._forward_hooks and not model._forward_pre_hooks


def test_another_path_is_an_error_that_names_the_place():
    def forward(self, x):
        return self.lin(x).relu() if x.sum() > 0 else self.lin(x).sigmoid()

    model = Calling(forward, lin=nn.Linear(3, 4))
    recording = trace(model, (torch.ones(2, 3),))
    wanted = {"z": recording.programs["eval"].results[0]}
    list(replay(model, recording, wanted, [torch.ones(2, 3)]))
    with pytest.raises(TraceError, match=r"aten.sigmoid where aten.relu was recorded in 'the model'.*data"):
        list(replay(model, recording, wanted, [-torch.ones(2, 3)]))
    assert not model._forward_hooks


def test_a_shorter_path_is_an_error():
    def forward(self, x):
        y = self.lin(x)
        return y.relu().mul(2) if x.sum() > 0 else y

    model = Calling(forward, lin=nn.Linear(3, 4))
    recording = trace(model, (torch.ones(2, 3),))
    wanted = {"z": recording.programs["eval"].results[0]}
    with pytest.raises(TraceError, match="did not reach every recorded operation"):
        list(replay(model, recording, wanted, [-torch.ones(2, 3)]))


def test_a_longer_path_is_an_error():
    def forward(self, x):
        y = self.lin(x)
        return y if x.sum() > 0 else y.relu()

    model = Calling(forward, lin=nn.Linear(3, 4))
    recording = trace(model, (torch.ones(2, 3),))
    with pytest.raises(TraceError, match="ran aten.relu after the end"):
        list(replay(model, recording, {"z": recording.programs["eval"].results[0]}, [-torch.ones(2, 3)]))


def test_no_batch_is_an_error():
    model = network()
    recording = trace(model, (picture(),))
    with pytest.raises(NeedsData, match="data gave no batch"):
        list(replay(model, recording, {"z": calls(recording)["6"].output}, []))


def test_a_loss_that_runs_nothing_is_an_error():
    model = network()
    recording = trace(model, (picture(),))
    wanted = {"z": calls(recording)["6"].output}
    with pytest.raises(TraceError, match="did not run the model"):
        list(replay(model, recording, wanted, [picture()], lambda model, batch: 0))


def test_a_value_that_no_tensor_holds_is_refused():
    model = nn.Linear(3, 4)
    recording = trace(model, (torch.randn(2, 3),))
    (product,) = [op for op in recording.programs["eval"].ops if op.kind == "contract"]
    with pytest.raises(TraceError, match="'z' is never held by a tensor"):
        list(replay(model, recording, {"z": product.outputs[0]}, [torch.randn(2, 3)]))


def test_batches_of_another_size_may_move_numbers_differently():
    def forward(self, x):
        y = self.lin(x).transpose(0, 1).reshape(4, -1)
        return (self.weight @ y).contiguous().relu()

    model = Calling(forward, lin=nn.Linear(3, 4), weight=weight(2, 4))
    recording = trace(model, (torch.randn(3, 3),))
    wanted = {"z": recording.programs["eval"].results[0]}
    for size in (1, 2, 7):
        x = torch.randn(size, 3)
        ((_, tensor),) = replay(model, recording, wanted, [x])
        assert torch.equal(tensor, model(x))


def test_what_a_written_slice_looks_into_is_met_after_the_writing():
    def forward(self, x):
        whole = torch.zeros(x.shape[0], 4)
        whole[:, 1:] = x
        return self.lin(whole)

    model = Calling(forward, lin=nn.Linear(4, 2))
    recording = trace(model, (torch.ones(2, 3),))
    ((_, tensor),) = replay(model, recording, {"x": calls(recording)["lin"].input}, [torch.ones(2, 3)])
    assert tensor.tolist() == [[0, 1, 1, 1]] * 2
