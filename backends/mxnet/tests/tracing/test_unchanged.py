"""Recording leaves the model, its gradients, its hooks and the random generators as they were."""

from __future__ import annotations

import random as python_random

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, nd
from mxnet.gluon import nn
from pruners_mxnet.lending import parameters
from pruners_mxnet.tracing import run, trace

from pruners import OptionError, TraceError

from .checking import check, random
from .models import Calling, made, small


def state(model):
    return {
        name: (id(each.list_data()[0]), each.list_data()[0].asnumpy().tobytes())
        for name, each in parameters(model).items()
    }


@pytest.mark.parametrize("hybrid", [False, True])
def test_parameters_gradients_and_hybridization(hybrid):
    model, x = small(), random(2, 3, 8, 8)
    if hybrid:
        model.hybridize(static_alloc=True)
    with autograd.record():
        loss = model(x).sum()
    loss.backward()
    gradients = {name: each.grad().asnumpy() for name, each in parameters(model).items() if each._grad}
    before, cached, hooks = state(model), model._cached_op, dict(model[0]._forward_hooks)
    trace(model, x)
    run(model, x)
    assert state(model) == before
    assert model._cached_op is cached and model._active == hybrid
    assert dict(model[0]._forward_hooks) == hooks and not model[0]._forward_pre_hooks
    for name, gradient in gradients.items():
        np.testing.assert_array_equal(parameters(model)[name].grad().asnumpy(), gradient)
    assert x.grad is None


def test_mxnets_functions_are_put_back():
    before = (
        nd.NDArray.reshape,
        nd.NDArray.shape,
        mx.ndarray.register._imperative_invoke,
        autograd.set_recording,
    )
    with pytest.raises(TraceError):
        trace(Calling(lambda self, x: x.nothing()), random(2, 3))
    trace(small(), random(2, 3, 8, 8))
    after = (
        nd.NDArray.reshape,
        nd.NDArray.shape,
        mx.ndarray.register._imperative_invoke,
        autograd.set_recording,
    )
    assert before == after
    assert type(random(2).shape[0]) is int
    assert not autograd.is_recording() and not autograd.is_training()


def drawn():
    return mx.nd.random.uniform(shape=(5,)).asnumpy().tolist(), np.random.rand(), python_random.random()


def test_dropout_draws_nothing():
    model, x = small(), random(2, 3, 8, 8)
    numbers = []
    for tried in (False, True):
        mx.random.seed(3)
        np.random.seed(3)
        python_random.seed(3)
        if tried:
            assert trace(model, x).programs["eval"]
        numbers.append(drawn())
    assert numbers[0] == numbers[1]


def test_dropout_is_in_the_graph_with_its_rate():
    graph = trace(small(), random(2, 3, 8, 8)).graphs["eval"]
    (dropout,) = [node for node in graph.nodes if node.op == "Dropout"]
    assert dropout.attrs["p"] == "0.5"
    model = made(nn.Dropout(0.5))
    with_train = trace(model, random(50, 50), modes=("train",)).graphs["train"]
    (out,) = with_train.run({0: mx.nd.ones((50, 50))}, train=True)
    assert 0.3 < float((out == 0).mean().asscalar()) < 0.7


def test_other_draws_are_made_up_for_by_a_seed():
    model = Calling(lambda self, x: x + mx.nd.random.uniform(shape=(2, 3)))
    numbers = []
    for _ in range(2):
        mx.random.seed(3)
        trace(model, random(2, 3))
        numbers.append(drawn()[0])
    assert numbers[0] == numbers[1]


def test_a_statistic_that_a_block_updates_itself():
    class Counting(mx.gluon.Block):
        def __init__(self):
            super().__init__()
            self.seen = self.params.get("seen", shape=(3,), init="zeros", differentiable=False)

        def forward(self, x):
            with autograd.pause():
                self.seen.data()[:] = self.seen.data() + x.mean(axis=0)
            return x - self.seen.data()

    model = made(Counting())
    trace(model, random(2, 3))
    np.testing.assert_array_equal(model.seen.data().asnumpy(), np.zeros(3))


def test_what_is_computed_without_a_gradient_is_recorded():
    def forward(self, x):
        with autograd.pause():
            y = self.dense(x)
        return y.detach() + 1

    model = made(Calling(forward, dense=nn.Dense(4, in_units=3)))
    recording = check(model, random(2, 3))
    assert "dense.weight" in recording.programs["eval"].parameters


def test_inputs_of_every_form():
    model = made(Calling(lambda self, x, y: {"a": self.dense(x), "b": [y, x]}, dense=nn.Dense(4, in_units=3)))
    recording = check(model, (random(2, 3), mx.nd.array([1, 2], dtype="int32")))
    assert len(recording.programs["eval"].results) == 3
    states = made(mx.gluon.rnn.LSTMCell(4, input_size=3))
    check(states, (random(2, 3), states.begin_state(batch_size=2)))


def test_a_hook_of_the_users_is_called():
    model = small()
    seen = []
    handle = model[0].register_forward_hook(lambda *_: seen.append(1))
    trace(model, random(2, 3, 8, 8), modes=("eval",))
    assert seen == [1] and len(model[0]._forward_hooks) == 1
    handle.detach()


@pytest.mark.parametrize(
    ("make", "inputs", "message"),
    [
        (
            small,
            lambda: random(2, 4, 8, 8),
            "HybridSequential does not run on the example inputs in evaluation mode",
        ),
        (small, lambda: "text", "example_inputs must hold arrays of MXNet for HybridSequential, got str"),
        (lambda: nn.Dense(3), lambda: random(2, 4), "'weight' is not initialised"),
        (lambda: made(nn.Dense(3)), lambda: random(2, 4), "'weight' has no shape yet; run the model once"),
        (
            lambda: Calling(lambda self, x: 3),
            lambda: random(2),
            "the model returned int, which holds no array",
        ),
    ],
)
def test_errors_name_what_is_wrong(make, inputs, message):
    with pytest.raises(TraceError, match=message):
        trace(make(), inputs())


@pytest.mark.filterwarnings("ignore:Cannot decide type")
def test_a_symbol_block_is_refused_by_name():
    model = nn.HybridSequential()
    data = mx.sym.var("data")
    model.add(nn.Dense(3), mx.gluon.SymbolBlock(mx.sym.Flatten(data), [data]))
    made(model, random(2, 3))
    run(model, random(2, 3))
    with pytest.raises(TraceError, match="'1' is a SymbolBlock"):
        trace(model, random(2, 3))


def test_an_unknown_mode():
    with pytest.raises(OptionError, match="modes must be among eval, train, got 'test'"):
        trace(small(), random(2, 3, 8, 8), modes=("test",))


def test_a_training_pass_that_tells_nothing_new_is_left_out():
    assert list(trace(small(), random(2, 3, 8, 8)).programs) == ["eval"]

    def forward(self, x):
        return self.dense(x) if autograd.is_training() else x

    two = trace(made(Calling(forward, dense=nn.Dense(3, in_units=3))), random(2, 3))
    assert list(two.programs) == ["eval", "train"]


def test_a_training_pass_that_fails_is_left_out_with_a_note():
    def forward(self, x):
        if autograd.is_training():
            raise ValueError("no training here")
        return x + 1

    recording = trace(Calling(forward), random(2, 3))
    assert recording.notes == ("the training pass was left out: ValueError: no training here",)


def test_recording_within_the_users_own_recording():
    model, x = small(), random(2, 3, 8, 8)
    with autograd.record():
        trace(model, x)
        assert autograd.is_recording() and autograd.is_training()
        loss = model(x).sum()
    loss.backward()
    assert float(model[0].weight.grad().abs().sum().asscalar()) > 0


def test_a_function_with_its_own_gradient_is_recorded_operator_by_operator():
    class Doubled(autograd.Function):
        def forward(self, x):
            return x * 2

        def backward(self, grad):
            return grad * 2

    recording = check(Calling(lambda self, x: Doubled()(x) + 1), random(2, 3))
    assert [op.place.operation for op in recording.programs["eval"].ops] == ["_mul_scalar", "_plus_scalar"]


def test_an_operator_written_in_python_is_opaque():
    class Doubled(mx.operator.CustomOp):
        def forward(self, is_train, req, in_data, out_data, aux):
            self.assign(out_data[0], req[0], in_data[0] * 2)

    @mx.operator.register("doubled_for_the_tests")
    class Described(mx.operator.CustomOpProp):
        def create_operator(self, ctx, shapes, dtypes):
            return Doubled()

    recording = check(Calling(lambda self, x: nd.Custom(x, op_type="doubled_for_the_tests")), random(2, 3))
    assert [op.kind for op in recording.programs["eval"].ops] == ["opaque"]
