"""Recorded values are met again on other batches."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest
from mxnet import nd
from mxnet.gluon import nn
from pruners_mxnet.tracing import replay, trace

from pruners import NeedsData, TraceError

from .models import Calling, made, small


def batch(size=2, seed=0):
    return mx.nd.array(np.random.default_rng(seed).normal(size=(size, 3, 8, 8)))


def calls(recording):
    return {call.module: call for call in recording.programs["eval"].calls}


def hooked(model, x):
    seen = {}

    def keep(name):
        return lambda block, args, output: seen.update({name: (args[0].copy(), output.copy())})

    hooks = [child.register_forward_hook(keep(name)) for name, child in model._children.items()]
    model(x)
    for hook in hooks:
        hook.detach()
    return seen


def same(one, other):
    np.testing.assert_array_equal(one.asnumpy(), other.asnumpy())


def test_layers_read_and_give_what_hooks_see():
    model = small()
    recording = trace(model, batch())
    batches = [batch(size, size) for size in (2, 1, 5)]
    names = ["0", "1", "3", "8"]
    wanted = {
        f"{n} {side}": getattr(calls(recording)[n], side) for n in names for side in ("input", "output")
    }
    stream = list(replay(model, recording, wanted, batches))
    assert [name for name, _ in stream] == list(wanted) * 3
    for number, x in enumerate(batches):
        seen = hooked(model, x)
        for name, array in stream[number * len(wanted) : (number + 1) * len(wanted)]:
            module, side = name.split()
            same(array, seen[module][side == "output"])


def test_a_layer_that_flattens_its_input_reads_rows():
    model = nn.HybridSequential()
    model.add(nn.Conv2D(4, 3), nn.Dense(5))
    model.initialize()
    model(batch())
    recording = trace(model, batch())
    (product,) = [op for op in recording.programs["eval"].ops if op.kind == "contract"]
    batches = [batch(size, size) for size in (2, 5)]
    stream = replay(model, recording, {"x": product.inputs[0]}, batches)
    for x, (_, array) in zip(batches, stream, strict=True):
        same(array, model[0](x).reshape((len(x), -1)))


def test_arrays_are_of_numpys_kind_and_not_the_models_own():
    model, x = small(), batch()
    recording = trace(model, x)
    wanted = {"weight": recording.programs["eval"].parameters["0.weight"], "x": calls(recording)["0"].input}
    before = model[0].weight.data().asnumpy(), x.asnumpy()
    for _, array in replay(model, recording, wanted, [x]):
        assert isinstance(array, mx.np.ndarray)
        array[...] = 0
        with pytest.raises(ValueError, match="readonly"):
            array += 1
    np.testing.assert_array_equal(model[0].weight.data().asnumpy(), before[0])
    np.testing.assert_array_equal(x.asnumpy(), before[1])


def test_inputs_and_parameters():
    model = small()
    recording = trace(model, batch())
    wanted = {
        "input": calls(recording)["0"].input,
        "weight": recording.programs["eval"].parameters["0.weight"],
    }
    found = dict(replay(model, recording, wanted, [batch(seed=4)]))
    same(found["input"], batch(seed=4))
    same(found["weight"], model[0].weight.data())


def test_batches_are_mappings_pairs_or_arrays():
    model = made(Calling(lambda self, x: self.dense(x), dense=nn.Dense(4, in_units=192)))
    recording = trace(model, batch())
    wanted = {"z": recording.programs["eval"].results[0]}
    found = [
        array for _, array in replay(model, recording, wanted, [batch(), (batch(), "label"), [batch(), 3]])
    ]
    for array in found:
        same(array, model(batch()))


def test_a_loss_runs_the_model_and_only_the_model_is_followed():
    model = small()
    recording = trace(model, batch())
    ran = []

    def loss(model, x):
        ran.append(nd.square(model(x * 2).softmax()).sum())
        return ran[-1]

    ((_, array),) = replay(model, recording, {"z": calls(recording)["8"].output}, [batch()], loss)
    assert len(ran) == 1
    same(array, model(batch() * 2))
    assert "forward" not in vars(model)


def test_statistics_stay_as_they_were():
    model = small()
    before = model[1].running_mean.data().asnumpy()
    recording = trace(model, batch())
    for _ in replay(model, recording, {"z": calls(recording)["8"].output}, [batch(), batch()]):
        np.testing.assert_array_equal(model[1].running_mean.data().asnumpy(), before)


def test_another_path_is_an_error_that_names_the_place():
    model = made(
        Calling(
            lambda self, x: self.a(x) if x.sum().asscalar() > 0 else self.b(x).tanh(),
            a=nn.Dense(3),
            b=nn.Dense(3),
        ),
        mx.nd.ones((2, 4)),
    )
    model(-mx.nd.ones((2, 4)))
    recording = trace(model, mx.nd.ones((2, 4)))
    wanted = {"z": recording.programs["eval"].results[0]}
    with pytest.raises(TraceError, match="depend on the data"):
        list(replay(model, recording, wanted, [-mx.nd.ones((2, 4))]))


def test_a_loss_that_does_not_run_the_model():
    model = small()
    recording = trace(model, batch())
    wanted = {"z": calls(recording)["8"].output}
    with pytest.raises(TraceError, match="did not run the model"):
        list(replay(model, recording, wanted, [batch()], lambda model, x: x.sum()))


def test_no_batch_at_all():
    model = small()
    recording = trace(model, batch())
    with pytest.raises(NeedsData, match="no batch"):
        list(replay(model, recording, {"z": calls(recording)["8"].output}, []))
