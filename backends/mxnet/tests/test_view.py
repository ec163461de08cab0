"""Pruners that look at data: activations and gradients are streamed, and nothing is left behind."""

from __future__ import annotations

import mxnet
import numpy as np
import pytest
from attrs import frozen
from mxnet import autograd, gluon
from mxnet.gluon import nn, rnn

import pruners
from pruners.registry import backend_for

entropy = gluon.loss.SoftmaxCrossEntropyLoss()


def network() -> nn.HybridSequential:
    mxnet.random.seed(0)
    net = nn.HybridSequential()
    net.add(
        nn.Conv2D(4, 3, in_channels=2),
        nn.BatchNorm(in_channels=4),
        nn.Activation("relu"),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Dense(3, in_units=64),
    )
    net.initialize(mxnet.init.Xavier())
    return net


def data(count=3) -> list:
    draw = np.random.default_rng(1)
    return [
        (mxnet.nd.array(draw.normal(size=(5, 2, 6, 6))), mxnet.nd.array(draw.integers(3, size=5)))
        for _ in range(count)
    ]


def loss(net, batch):
    return entropy(net(batch[0]), batch[1]).mean()


def view_of(net, names, **options):
    return backend_for(net).open(net).view(names, **options)


@frozen
class FirstOrder:
    """Score a weight by the size of weight times mean gradient."""

    unit: str = "weight"

    def scores(self, view):
        gradients = view.gradients()
        return {name: view.ops.abs(weight * gradients[name]) for name, weight in view.weights.items()}


@frozen
class ByActivation:
    """Score a weight by its magnitude times the mean activation of its output channel."""

    unit: str = "weight"

    def scores(self, view):
        total = {}
        for name, z in view.activations():
            axes = tuple(axis for axis in range(z.ndim) if axis != 1)
            total[name] = total.get(name, 0.0) + view.ops.mean(view.ops.abs(z), axis=axes)
        return {
            name: view.ops.abs(w) * view.ops.reshape(total[name], (-1,) + (1,) * (w.ndim - 1))
            for name, w in view.weights.items()
        }


@frozen
class Taylor:
    """Score a weight by its magnitude times |activation x gradient| of its output channel."""

    unit: str = "weight"

    def scores(self, view):
        total = {}
        for name, z, dz in view.activations(gradients=True):
            assert z.shape == dz.shape
            axes = tuple(axis for axis in range(z.ndim) if axis != 1)
            total[name] = total.get(name, 0.0) + view.ops.abs(view.ops.sum(z * dz, axis=axes))
        return {
            name: view.ops.abs(w) * view.ops.reshape(total[name], (-1,) + (1,) * (w.ndim - 1))
            for name, w in view.weights.items()
        }


def state(net) -> dict:
    found = net._collect_params_with_prefix()
    return {
        name: (each.data().asnumpy(), each.grad().asnumpy() if each._grad else None, each.grad_req)
        for name, each in found.items()
    }


def same(one, two) -> bool:
    return all(
        np.array_equal(one[name][0], two[name][0])
        and (one[name][1] is None) == (two[name][1] is None)
        and (one[name][1] is None or np.array_equal(one[name][1], two[name][1]))
        and one[name][2] == two[name][2]
        for name in one
    )


@pytest.mark.parametrize("pruner", [FirstOrder(), ByActivation(), Taylor()], ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("hybridized", [True, False])
def test_a_pruner_with_data_works_and_leaves_everything_as_it_was(pruner, hybridized):
    net = network()
    net[0].weight.grad_req = "null"
    if hybridized:
        net.hybridize()
    with autograd.record():
        value = loss(net, data()[0])
    value.backward()
    arrays = {name: each.data() for name, each in net._collect_params_with_prefix().items()}
    before, graph = state(net), net._cached_graph
    mxnet.random.seed(7)
    expected = mxnet.nd.random.uniform(shape=3).asnumpy()
    mxnet.random.seed(7)
    masks = pruners.masks(net, pruner, sparsity=0.5, data=data(), loss=loss)
    assert np.array_equal(mxnet.nd.random.uniform(shape=3).asnumpy(), expected), "random numbers were drawn"
    assert all(int((~mask.asnumpy()).sum()) == mask.size // 2 for mask in masks.values())
    assert same(state(net), before)
    assert all(net._collect_params_with_prefix()[name].data() is array for name, array in arrays.items())
    assert net._active is hybridized and net._cached_graph is graph
    assert not any("forward" in vars(block) for block in net)
    again = pruners.masks(net, pruner, sparsity=0.5, data=data(), loss=loss)
    assert all(np.array_equal(mask.asnumpy(), again[name].asnumpy()) for name, mask in masks.items())


def test_gradients_are_the_mean_over_batches_in_prediction_mode():
    net = network()
    found = view_of(net, ["0.weight", "5.weight"], data=data(), loss=loss).gradients()
    expected = {"0.weight": 0.0, "5.weight": 0.0}
    for batch in data():
        with autograd.record(train_mode=False):
            value = loss(net, batch)
        value.backward(train_mode=False)
        for name in expected:
            expected[name] = expected[name] + net._collect_params_with_prefix()[name].grad().asnumpy() / 3
    for name, gradient in expected.items():
        np.testing.assert_allclose(found[name].asnumpy(), gradient, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("pool", [nn.MaxPool2D(2), nn.GlobalMaxPool2D()], ids=["windows", "global"])
@pytest.mark.parametrize("hybridized", [True, False])
def test_gradients_through_max_pooling_are_those_of_training(pool, hybridized):
    mxnet.random.seed(0)
    net = nn.HybridSequential()
    net.add(nn.Conv2D(4, 3, in_channels=2, use_bias=False), pool, nn.Flatten(), nn.Dense(3))
    net.initialize(mxnet.init.Xavier())
    if hybridized:
        net.hybridize()
    (batch,) = data(1)
    with autograd.record():  # in evaluation mode MXNet's own gradient is wrong
        value = loss(net, batch)
    value.backward()
    expected = net[0].weight.grad().asnumpy()
    view = view_of(net, ["0.weight"], data=[batch], loss=loss)
    np.testing.assert_allclose(view.gradients()["0.weight"].asnumpy(), expected, rtol=1e-4, atol=1e-7)
    ((_, _, slope),) = view.activations(gradients=True)
    rows = slope.asnumpy().transpose(1, 0, 2, 3).reshape(4, -1)
    x = batch[0].asnumpy()
    parts = np.stack(
        [x[:, :, i : i + 4, j : j + 4].transpose(1, 0, 2, 3).ravel() for i in range(3) for j in range(3)]
    )
    found = np.stack([parts.reshape(9, 2, -1)[:, channel] @ rows.T for channel in range(2)])
    np.testing.assert_allclose(found.transpose(2, 0, 1).reshape(4, 2, 3, 3), expected, rtol=1e-4, atol=1e-6)


def test_gradients_of_several_devices_are_added_up():
    net = nn.Dense(2, in_units=3, use_bias=False)
    net.initialize(ctx=[mxnet.cpu(0), mxnet.cpu(1)])
    x = mxnet.nd.array([[1.0, 2, 3], [4, 5, 6]])

    def both(model, batch):
        parts = gluon.utils.split_and_load(batch, [mxnet.cpu(0), mxnet.cpu(1)])
        return sum(model(part).sum().as_in_context(mxnet.cpu(0)) for part in parts)

    found = view_of(net, ["weight"], data=[x], loss=both).gradients()["weight"]
    assert found.asnumpy().tolist() == [[5, 7, 9], [5, 7, 9]]


def test_activations_are_streamed_one_batch_at_a_time_channels_second():
    net = nn.HybridSequential()
    net.add(nn.Embedding(9, 8), nn.Dense(6, in_units=8, flatten=False))
    net.initialize()
    batches = [mxnet.nd.arange(6).reshape((2, 3)), mxnet.nd.arange(8).reshape((2, 4))]
    seen = [(name, z.shape) for name, z in view_of(net, ["0.weight", "1.weight"], data=batches).activations()]
    assert seen == [
        ("0.weight", (2, 8, 3)),
        ("1.weight", (2, 6, 3)),
        ("0.weight", (2, 8, 4)),
        ("1.weight", (2, 6, 4)),
    ]


def test_a_layer_called_twice_is_yielded_twice_with_gradients_of_each_call():
    layer = nn.Dense(3, in_units=3, use_bias=False)
    layer.initialize(mxnet.init.Uniform(1))

    def twice(model, batch):
        return model(model(batch)).sum()

    net = layer
    x = mxnet.nd.array([[1.0, 2, 3]])
    first, second = view_of(net, ["weight"], data=[x], loss=twice).activations(gradients=True)
    weight = layer.weight.data().asnumpy()
    np.testing.assert_allclose(first[1].asnumpy(), x.asnumpy() @ weight.T, rtol=1e-5)
    np.testing.assert_allclose(second[1].asnumpy(), x.asnumpy() @ weight.T @ weight.T, rtol=1e-5)
    np.testing.assert_allclose(second[2].asnumpy(), np.ones((1, 3)))
    np.testing.assert_allclose(first[2].asnumpy(), np.ones((1, 3)) @ weight, rtol=1e-5)


@pytest.mark.parametrize("kind", ["convolution", "dense"])
def test_a_layer_with_an_activation_of_its_own_gives_what_goes_into_it(kind):
    made = nn.Conv2D(4, 3, in_channels=2, activation="relu"), nn.Dense(4, in_units=72, activation="relu")
    layer = made[kind == "dense"]
    layer.initialize(mxnet.init.Uniform(1))
    x = data()[0][0]
    ((name, z, dz),) = view_of(
        layer, ["weight"], data=[x], loss=lambda model, batch: model(batch).sum()
    ).activations(gradients=True)
    act = vars(layer).pop("act")
    vars(layer)["act"] = None
    plain = layer(x).asnumpy()
    assert (plain < 0).any()
    np.testing.assert_allclose(z.asnumpy(), plain, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(dz.asnumpy(), plain > 0)
    assert "forward" not in vars(act) and name == "weight"


def test_recurrent_layers_give_their_outputs_channels_second():
    net = nn.HybridSequential()
    net.add(rnn.LSTM(5, input_size=3))
    net.initialize()
    cell = rnn.LSTMCell(4, input_size=3)
    cell.initialize()
    seen = list(view_of(net, ["0.l0_i2h_weight"], data=[mxnet.nd.ones((7, 2, 3))]).activations())
    assert [z.shape for _, z in seen] == [(7, 5, 2)]

    def unrolled(model, batch):
        return model.unroll(3, batch, merge_outputs=True)[0].sum()

    seen = list(
        view_of(
            cell, ["i2h_weight", "h2h_weight"], data=[mxnet.nd.ones((2, 3, 3))], loss=unrolled
        ).activations(gradients=True)
    )
    assert [name for name, *_ in seen] == ["i2h_weight", "h2h_weight"] * 3
    assert all(z.shape == dz.shape == (2, 4) for _, z, dz in seen)


def test_an_iteration_that_is_broken_off_leaves_nothing_behind():
    net = network()
    net.hybridize()
    stream = view_of(net, ["0.weight"], data=data()).activations()
    next(stream)
    assert net._active and not any("forward" in vars(block) for block in net)
    stream.close()


def test_the_loss_gradient_of_activations_is_right():
    net = nn.Dense(2, in_units=3, use_bias=False)
    net.initialize(mxnet.init.Uniform(1))
    x = mxnet.nd.random.normal(shape=(4, 3))
    ((_, z, dz),) = view_of(
        net, ["weight"], data=[x], loss=lambda model, batch: model(batch).square().sum()
    ).activations(gradients=True)
    np.testing.assert_allclose(z.asnumpy(), net(x).asnumpy(), rtol=1e-6)
    np.testing.assert_allclose(dz.asnumpy(), 2 * z.asnumpy(), rtol=1e-6)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "pass data=batches|needs loss="),
        ({"data": data()}, "needs loss="),
        ({"data": [], "loss": loss}, "data gave no batch"),
        ({"data": data(), "loss": lambda m, b: m(b[0])}, r"one number as an array, got \(5, 3\)"),
        ({"data": data(), "loss": lambda m, b: 3.0}, "one number as an array, got float"),
        ({"data": data(), "loss": lambda m, b: mxnet.nd.array([1.0])}, "has no gradient"),
        (
            {"data": data(), "loss": lambda m, b: m[5].weight.data().sum()},
            r"no gradient of the loss reaches layer '0\.weight'",
        ),
    ],
)
def test_missing_or_wrong_data_says_what_to_pass(given, message):
    with pytest.raises(pruners.NeedsData, match=message):
        pruners.masks(network(), FirstOrder(), sparsity=0.5, **given)


def test_an_output_that_the_loss_does_not_reach_is_named():
    with pytest.raises(pruners.NeedsData, match=r"reaches the output of '0\.weight'"):
        pruners.masks(
            network(),
            Taylor(),
            sparsity=0.5,
            data=data(),
            loss=lambda m, b: (m(b[0]), m[5](b[0][:, 0, :, :2].reshape((5, -1)).tile((1, 6))[:, :64]).sum())[
                1
            ],
        )


def test_an_error_in_the_users_loss_names_the_pruner_and_restores_the_model():
    net = network()
    net.hybridize()
    before = state(net)
    with pytest.raises(pruners.PrunerFailed, match=r"'FirstOrder'.*KeyError"):
        pruners.masks(net, FirstOrder(), sparsity=0.5, data=data(), loss=lambda m, b: {}["x"])
    assert net._active and same(state(net), before)


def test_statistics_that_a_loss_updates_are_put_back():
    net = network()

    def training(model, batch):
        with autograd.record(train_mode=True):
            return loss(model, batch)

    before = state(net)
    pruners.masks(net, FirstOrder(), sparsity=0.5, data=data(), loss=training)
    assert same(state(net), before)


@pytest.mark.parametrize(
    "write",
    [
        lambda ops, w: mxnet.np.abs(w, out=w),
        lambda ops, w: mxnet.nd.zeros_like(w.as_nd_ndarray(), out=w.as_nd_ndarray()),
        lambda ops, w: w.as_nd_ndarray()[0:1].__setitem__(slice(None), 0.0),
        lambda ops, w: w.as_nd_ndarray().reshape((-1,)).__setitem__(slice(0, 2), np.zeros(2)),
        lambda ops, w: mxnet.nd.ones(w.shape).copyto(w.as_nd_ndarray()),
    ],
    ids=["out", "nd out", "a view", "a copy from NumPy", "copyto"],
)
def test_a_view_is_read_only(write):
    class Writer:
        unit = "weight"

        def scores(self, view):
            for weight in view.weights.values():
                write(view.ops, weight)
            return dict(view.weights)

    net = network()
    before = state(net)
    with pytest.raises(pruners.ReadOnlyError, match=r"'0\.weight'; a view is read-only"):
        pruners.masks(net, Writer(), sparsity=0.5)
    assert same(state(net), before)


@pytest.mark.parametrize(
    "write", [lambda w: w.__setitem__(0, 0.0), lambda w: w.__iadd__(1), lambda w: w.__imul__(2)]
)
def test_weights_refuse_to_be_assigned_to(write):
    net = network()
    before = state(net)
    opened = backend_for(net).open(net)
    for guard in (opened.guard(["0.weight"]), opened.guard([])):
        with guard, pytest.raises((ValueError, pruners.ReadOnlyError), match="read-?only"):
            write(opened.view(["0.weight"]).weights["0.weight"])
        assert same(state(net), before)


def test_a_pruner_may_write_to_its_own_copies():
    class Copies:
        unit = "weight"

        def scores(self, view):
            found = {}
            for name, weight in view.weights.items():
                own = weight.copy()
                own += 1
                own[0] = 3.0
                found[name] = mxnet.np.abs(own, out=own)
            return found

    pruners.masks(network(), Copies(), sparsity=0.5)


def test_the_guard_takes_itself_off_and_leaves_the_users_shapes():
    from mxnet.ndarray import register

    net = network()
    invoke, copy = register._imperative_invoke, mxnet.nd.NDArray._sync_copyfrom
    opened = backend_for(net).open(net)
    with opened.guard(["0.weight"]), opened.guard(["5.weight"]):
        assert mxnet.util.is_np_shape() and register._imperative_invoke is not invoke
    assert not mxnet.util.is_np_shape()
    assert register._imperative_invoke is invoke and mxnet.nd.NDArray._sync_copyfrom is copy


@pytest.mark.parametrize("numpy", [True, False])
def test_the_users_code_runs_with_the_users_shapes(numpy, request):
    net = nn.Dense(2, in_units=3)
    seen = []
    if numpy:
        request.getfixturevalue("numpy_semantics")
    net.initialize()
    x = (mxnet.np if numpy else mxnet.nd).ones((4, 3))

    def noting(model, batch):
        seen.append((mxnet.util.is_np_shape(), mxnet.util.is_np_array(), type(batch)))
        return model(batch).sum()

    for pruner in (FirstOrder(), Taylor(), ByActivation()):
        pruners.masks(net, pruner, sparsity=0.5, data=[x], loss=noting)
    assert set(seen) == {(numpy, numpy, type(x))} and len(seen) == 3
    assert mxnet.util.is_np_shape() is numpy


def test_calls_inside_the_users_recording_leave_it_alone():
    net = network()
    with autograd.record():
        value = loss(net, data()[0])
        pruners.masks(net, Taylor(), sparsity=0.5, data=data(), loss=loss)
        assert autograd.is_recording() and autograd.is_training()
    value.backward()
    assert net[0].weight.grad().asnumpy().any()


@pytest.mark.parametrize("name", ["taylor", "apoz", "fpgm", "filter-norm", "bn-scale", "thinet"])
def test_the_criteria_of_the_plugins_run(name):
    if name not in pruners.installed().names("pruner"):
        pytest.skip(f"pruners-{name} is not installed")
    net = network()
    found = pruners.scores(net, name, match="0", data=data(), loss=loss, example_inputs=data()[0][0])
    assert found["0.weight"].shape == (4,)


def test_thinet_reads_a_dense_layer_that_flattens_its_input():
    if "thinet" not in pruners.installed().names("pruner"):
        pytest.skip("pruners-thinet is not installed")

    def small(*between):
        mxnet.random.seed(0)
        net = nn.HybridSequential()
        net.add(nn.Conv2D(4, 3, in_channels=2), *between, nn.Dense(3, in_units=64))
        net.initialize(mxnet.init.Xavier())
        return net

    x = data(1)[0][0]
    nets = small(), small(nn.Flatten())
    for net in nets:
        pruners.remove(net, "thinet", sparsity=0.5, data=data(), example_inputs=x, measure=0)
    one, two = (net(x).asnumpy() for net in nets)
    np.testing.assert_array_equal(one, two)


def test_numpy_reads_what_a_view_gives_without_a_copy():
    net = network()
    view = view_of(net, ["0.weight"], data=data(1))
    weight = view.weights["0.weight"]
    array = np.asarray(weight)
    assert array.dtype == np.float32 and not array.flags.writeable
    assert np.shares_memory(array, backend_for(net).open(net).read("0.weight"))
    assert np.asarray(weight, dtype=np.float64).dtype == np.float64
    ((_, z),) = view.activations()
    assert np.asarray(z).shape == (5, 4, 4, 4) and type(weight * 2) is mxnet.np.ndarray
