"""Which parameters are weights, their names and layout, and reading and writing them bit for bit."""

from __future__ import annotations

import mxnet
import numpy as np
import pytest
from mxnet.gluon import Block, Constant, Parameter, nn, rnn
from pruners_mxnet._arrays import BFLOAT16, memory, to_host, to_nd
from pruners_mxnet._layers import named

import pruners
from pruners.registry import backend_for


def opened(model):
    return backend_for(model).open(model)


def initialised(model):
    model.initialize(mxnet.init.Uniform(1))
    return model


@pytest.mark.parametrize(
    ("block", "weights"),
    [
        (lambda: nn.Dense(2, in_units=3), {"weight": (2, 3)}),
        (lambda: nn.Conv1D(6, 3, groups=2, in_channels=4), {"weight": (6, 2, 3)}),
        (lambda: nn.Conv2D(2, (3, 5), in_channels=3), {"weight": (2, 3, 3, 5)}),
        (lambda: nn.Conv3D(2, 1, in_channels=3), {"weight": (2, 3, 1, 1, 1)}),
        (lambda: nn.Conv2D(2, (3, 5), in_channels=3, layout="NHWC"), {"weight": (2, 3, 3, 5)}),
        (lambda: nn.Conv1DTranspose(6, 3, in_channels=4), {"weight": (6, 4, 3)}),
        (lambda: nn.Conv2DTranspose(6, 3, groups=2, in_channels=4), {"weight": (6, 2, 3, 3)}),
        (
            lambda: nn.Conv2DTranspose(6, (3, 5), groups=2, in_channels=4, layout="NHWC"),
            {"weight": (6, 2, 3, 5)},
        ),
        (lambda: nn.Conv3DTranspose(2, 2, in_channels=4), {"weight": (2, 4, 2, 2, 2)}),
        (lambda: nn.Embedding(7, 3), {"weight": (7, 3)}),
        (lambda: rnn.LSTM(2, input_size=3), {"l0_i2h_weight": (8, 3), "l0_h2h_weight": (8, 2)}),
        (lambda: rnn.GRUCell(2, input_size=3), {"i2h_weight": (6, 3), "h2h_weight": (6, 2)}),
        (lambda: nn.BatchNorm(in_channels=3), {}),
        (lambda: nn.LayerNorm(in_channels=3), {}),
        (lambda: nn.PReLU(), {}),
    ],
)
def test_wildcards_reach_the_weights_of_layers(block, weights):
    block = initialised(block())
    layers = opened(block).layers
    assert {name: layer.shape for name, layer in layers.items() if layer.default} == weights
    trained = {name for name, (_, _, each) in named(block).items() if each._differentiable}
    assert set(layers) == trained


def test_a_grouped_transposed_convolution_is_out_in_per_group():
    layer = initialised(nn.Conv1DTranspose(6, 2, groups=2, in_channels=4, use_bias=False))
    canonical = opened(layer).read("weight")
    stored = layer.weight.data().asnumpy()
    for out in range(6):
        for into in range(2):
            np.testing.assert_array_equal(canonical[out, into], stored[out // 3 * 2 + into, out % 3])


def test_a_layout_that_ends_in_channels_is_read_channels_second():
    layer = initialised(nn.Conv2D(4, (2, 3), in_channels=5, layout="NHWC"))
    stored = layer.weight.data().asnumpy()
    assert stored.shape == (4, 2, 3, 5)
    np.testing.assert_array_equal(opened(layer).read("weight"), stored.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("options", [{"groups": 1}, {"groups": 2}, {"groups": 2, "layout": "NHWC"}])
def test_scores_and_masks_of_a_transposed_convolution_have_the_parameters_shape(options):
    layer = initialised(nn.Conv2DTranspose(6, 3, in_channels=4, **options))
    weight = layer.weight.data().asnumpy()
    np.testing.assert_array_equal(to_host(pruners.scores(layer, "level")["weight"]), np.abs(weight))
    mask = to_host(pruners.masks(layer, "level", sparsity=0.5)["weight"])
    assert mask.shape == weight.shape and mask.dtype == bool
    assert np.abs(weight)[mask].min() >= np.abs(weight)[~mask].max()
    pruners.prune(layer, "level", sparsity=0.5)
    np.testing.assert_array_equal(layer.weight.data().asnumpy() != 0, mask)


def test_masks_equal_those_of_the_same_weights_in_a_dense_layer():
    weight = np.random.default_rng(0).normal(size=(6, 4)).round(1).astype(np.float32)
    dense = initialised(nn.Dense(6, in_units=4))
    transposed = initialised(nn.Conv1DTranspose(6, 1, in_channels=4))
    dense.weight.set_data(mxnet.nd.array(weight))
    transposed.weight.set_data(mxnet.nd.array(weight.T[:, :, None]))
    one = to_host(pruners.masks(dense, "level", sparsity=0.4)["weight"])
    two = to_host(pruners.masks(transposed, "level", sparsity=0.4)["weight"])
    assert np.array_equal(one, two[:, :, 0].T), "ties must fall by canonical index"


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_reading_and_writing_keep_every_bit(dtype):
    layer = nn.Conv1DTranspose(6, 2, groups=2, in_channels=4, use_bias=False)
    layer.cast(BFLOAT16 if dtype == "bfloat16" else dtype)
    layer.initialize(mxnet.init.Zero())
    bits = {2: np.uint16, 4: np.uint32, 8: np.uint64}[np.dtype(layer.weight.dtype).itemsize]
    odd = np.random.default_rng(0).integers(0, np.iinfo(bits).max, layer.weight.shape, dtype=bits)
    np.copyto(memory(layer.weight.data()).view(bits), odd)
    parameter, data = layer.weight, layer.weight.data()
    model = opened(layer)
    array = np.array(model.read("weight"))
    np.copyto(memory(data).view(bits), 3)
    model.write({"weight": array})
    assert np.array_equal(memory(data).view(bits), odd)
    assert layer.weight is parameter and parameter.data() is data


def test_every_device_is_written_to_and_masked():
    layer = nn.Dense(4, in_units=4)
    layer.initialize(ctx=[mxnet.cpu(0), mxnet.cpu(1)])
    opened(layer).write({"weight": np.arange(16, dtype=np.float32).reshape(4, 4)})
    pruners.prune(layer, "level", sparsity=0.5)
    for array in layer.weight.list_data():
        assert array.asnumpy().ravel().tolist() == [0] * 8 + list(range(8, 16))


def test_names_of_collect_params_reach_the_same_layers():
    net = nn.HybridSequential(prefix="net_")
    with net.name_scope():
        net.add(nn.Dense(4, in_units=4), nn.Dense(4, in_units=4))
    initialised(net)
    assert set(net.collect_params()) >= {"net_dense0_weight", "net_dense1_weight"}
    for match in ("1.weight", "net_dense1_weight"):
        assert list(pruners.masks(net, "level", sparsity=0.5, match=match)) == ["1.weight"]
    assert list(pruners.masks(net, "level", sparsity={"net_dense0_weight": 0.5})) == ["0.weight"]


class Loose(Block):
    """A parameter of its own, and constants that are not trained."""

    def __init__(self, **options):
        super().__init__(**options)
        self.token = Parameter("token", shape=(1, 8))
        self.codes = Parameter("codes", shape=(4,), dtype="int32", differentiable=False)
        self.table = Constant("table", mxnet.nd.ones((2, 2)))
        self.fc = nn.Dense(4, in_units=8)


def test_loose_parameters_are_reached_by_their_full_name_only():
    model = Loose()
    model.token.initialize()
    model.codes.initialize(mxnet.init.Zero())
    model.table.initialize()
    model.fc.initialize(mxnet.init.Uniform(1))
    assert set(opened(model).layers) == {"token", "fc.weight", "fc.bias"}
    assert list(pruners.masks(model, "level", sparsity=0.5)) == ["fc.weight"]
    assert list(pruners.masks(model, "level", sparsity=0.5, match="token")) == ["token"]
    assert list(pruners.masks(model, "level", sparsity={"token": 0.5, "fc.bias": 0.25})) == [
        "token",
        "fc.bias",
    ]


def test_a_parameter_that_no_block_holds_as_an_attribute_has_its_own_name():
    class Old(Block):
        def __init__(self, **options):
            super().__init__(**options)
            with self.name_scope():
                self.params.get("scale", shape=(4, 4), init="ones")

    model = initialised(Old(prefix="old_"))
    assert list(opened(model).layers) == ["old_scale"]
    pruners.prune(model, "level", match="old_scale", sparsity=0.5)
    assert int(model.params.get("scale").data().sum().asscalar()) == 8


def test_shared_parameters_are_one_layer_under_either_name():
    embedding = nn.Embedding(12, 8)
    model = nn.HybridSequential()
    model.add(embedding, nn.Dense(12, in_units=8, use_bias=False, params=embedding.params))
    initialised(model)
    assert list(opened(model).layers) == ["0.weight"]
    for name in ("0.weight", "1.weight"):
        assert list(pruners.masks(model, "level", sparsity=0.5, match=name)) == ["0.weight"]
    pruners.prune(model, "level", sparsity=0.5)
    assert int((model[1].weight.data() == 0).sum().asscalar()) == 48


def test_a_third_partys_dense_subclass_is_matched_by_its_base_type():
    class Fancy(nn.Dense):
        pass

    model = nn.HybridSequential()
    model.add(Fancy(4, in_units=4), nn.Conv1D(4, 1, in_channels=4))
    pruning = pruners.attach(initialised(model), pruners.Rule(types="Dense", sparsity=0.5))
    assert list(pruning.masks) == ["0.weight"]


def test_saving_writes_a_file_that_a_fresh_block_loads(tmp_path):
    model = initialised(nn.Dense(4, in_units=4))
    pruners.prune(model, "level", sparsity=0.5)
    path = str(tmp_path / "weights.safetensors")
    opened(model).save(path)
    fresh = initialised(nn.Dense(4, in_units=4))
    pruners.load(fresh, path)
    assert np.array_equal(fresh.weight.data().asnumpy(), model.weight.data().asnumpy())


def test_scales_are_the_batch_norms_own_arrays():
    model = nn.HybridSequential()
    model.add(nn.Conv2D(4, 3, in_channels=2), nn.BatchNorm(in_channels=4), nn.LayerNorm(in_channels=3))
    initialised(model)
    found = pruners.scales(model)
    assert list(found) == ["1.gamma"] and found["1.gamma"] is model[1].gamma.data()


def test_arrays_cross_over_bit_for_bit_and_can_be_empty():
    for array in (np.zeros((0, 3), np.float32), np.asarray(2.5), np.array([[True, False]])):
        with mxnet.util.np_shape(True):
            back = to_host(to_nd(array))
        assert back.dtype == array.dtype and back.shape == array.shape and np.array_equal(back, array)
