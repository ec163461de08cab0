"""Every type in files, both kinds of arrays, and errors that leave a block as it was."""

from __future__ import annotations

import ml_dtypes
import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import Block, SymbolBlock, Trainer, nn
from pruners_mxnet import _storage
from pruners_mxnet._arrays import BFLOAT16, to_host, to_nd
from pruners_mxnet._layers import blocks, named

import pruners
from pruners.storage.tensors import from_array

FLOATS = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]
OTHERS = [np.uint8, np.int8, np.int32, np.int64, np.bool_]
KINDS = [
    (dtype, numpy)
    for dtype in [*FLOATS, *OTHERS]
    for numpy in (False, True)
    if not (numpy and dtype == ml_dtypes.bfloat16)  # mxnet.np has no bfloat16
]
NAN = {"float16": 0x7E55, "bfloat16": 0x7FD5, "float32": 0x7FC12345, "float64": 0x7FF8123456789ABC}


class Holder(Block):
    """Holds one parameter with the values of an array, whatever their type and shape."""

    def __init__(self, array: np.ndarray, *, numpy: bool = False) -> None:
        super().__init__()
        made = to_nd(array)
        with mx.util.np_shape(True), mx.util.np_array(numpy):
            trained = (
                array.dtype in FLOATS and array.dtype != ml_dtypes.bfloat16
            )  # mxnet.np has no zeros of it
            grad_req = "write" if trained else "null"
            value = self.params.get("value", shape=array.shape, dtype=made.dtype, grad_req=grad_req)
            value._init_impl(made.as_np_ndarray() if numpy else made, [mx.cpu()])
        self.value = value


def through(tmp_path, array: np.ndarray, fresh: np.ndarray, *, numpy: bool = False):
    """Return the parameter's array after what one model held was loaded into another."""
    pruners.save(Holder(array), tmp_path / "one.safetensors")
    return pruners.load(Holder(fresh, numpy=numpy), tmp_path / "one.safetensors").value._data[0]


@pytest.mark.parametrize(("dtype", "numpy"), KINDS, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (5,), (2, 3), (2, 3, 4, 5)], ids=str)
@pytest.mark.parametrize("same", [True, False], ids=["in place", "resized"])
def test_every_type_and_shape_comes_back_bit_for_bit(tmp_path, dtype, shape, numpy, same):
    high = 2 if dtype == np.bool_ else 120
    array = np.random.default_rng(0).integers(0, high, shape).astype(dtype)
    fresh = np.zeros(shape if same else [length + 1 for length in shape], dtype)
    found = through(tmp_path, array, fresh, numpy=numpy)
    assert type(found) is (mx.np.ndarray if numpy else mx.nd.NDArray)
    assert to_host(found).dtype == dtype and to_host(found).shape == shape
    assert to_host(found).tobytes() == array.tobytes()


@pytest.mark.parametrize("dtype", FLOATS, ids=lambda dtype: np.dtype(dtype).name)
@pytest.mark.parametrize("length", [6, 4], ids=["in place", "resized"])
def test_the_payload_of_nan_and_the_sign_of_zero_are_kept(tmp_path, dtype, length):
    array = np.array([0.0, -0.0, np.inf, -np.inf, 1.0, 2.0], dtype)
    whole = array.view(f"u{array.itemsize}")
    whole[4] = NAN[array.dtype.name]
    whole[5] = NAN[array.dtype.name] + (1 << 8 * array.itemsize - 1)
    found = through(tmp_path, array, np.ones(length, dtype))
    assert to_host(found).tobytes() == array.tobytes()


def test_the_file_decides_the_type(tmp_path):
    small = nn.Dense(2, in_units=3)
    small.initialize()
    small.cast("float16")
    pruners.save(small, tmp_path / "a.safetensors")
    model = nn.Dense(2, in_units=3)
    model.initialize()
    pruners.load(model, tmp_path / "a.safetensors")
    assert model.weight.dtype == model.weight.data().dtype == model.weight.grad().dtype == np.float16
    bfloat = Holder(np.ones(3, ml_dtypes.bfloat16))
    pruners.save(bfloat, tmp_path / "b.safetensors")
    loaded = pruners.load(Holder(np.ones(3, np.float32)), tmp_path / "b.safetensors")
    assert loaded.value.data().dtype == BFLOAT16


def test_arrays_stay_where_shape_and_type_stay(tmp_path):
    saved, model = nn.Dense(3, in_units=4), nn.Dense(3, in_units=4)
    for each in (saved, model):
        each.initialize(mx.init.Normal())
    seen, gradient = model.weight.data(), model.weight.grad()
    pruners.save(saved, tmp_path / "a.safetensors")
    pruners.load(model, tmp_path / "a.safetensors")
    assert model.weight.data() is seen and model.weight.grad() is gradient
    assert np.array_equal(seen.asnumpy(), saved.weight.data().asnumpy())


def test_a_model_of_numpy_arrays_stays_one(tmp_path):
    with mx.util.np_shape(True), mx.util.np_array(True):
        small, model = nn.Dense(2, in_units=3), nn.Dense(5, in_units=4)
        for each in (small, model):
            each.initialize()
        pruners.save(small, tmp_path / "a.safetensors")
        pruners.load(model, tmp_path / "a.safetensors")
        x = mx.np.ones((1, 3))
        assert type(model.weight.data()) is type(model.weight.grad()) is mx.np.ndarray
        assert np.array_equal(model(x).asnumpy(), small(x).asnumpy())


def test_bfloat16_in_a_model_of_numpy_arrays_is_refused(tmp_path):
    model = Holder(np.ones(3, np.float32), numpy=True)
    before = everything(model)
    pruners.save(Holder(np.ones(3, ml_dtypes.bfloat16)), tmp_path / "a.safetensors")
    with pytest.raises(pruners.StateError, match=r"'value' is of type BF16, which arrays of mxnet\.np"):
        pruners.load(model, tmp_path / "a.safetensors")
    assert everything(model) == before


def network(width: int) -> Block:
    model = nn.HybridSequential()
    model.add(nn.Conv2D(width, 3, in_channels=3), nn.BatchNorm(), nn.Flatten(), nn.Dense(5))
    model.initialize()
    model.hybridize()
    with mx.autograd.record():
        loss = model(mx.nd.ones((1, 3, 8, 8))).sum()
    loss.backward()
    return model


def everything(model: Block) -> list:
    """Objects, bits, gradients and integers: all that a failed load must not change."""
    found = []
    for name, (_, _, parameter) in named(model).items():
        arrays = [(id(each), to_host(each).tobytes()) for each in parameter._data or ()]
        gradients = [(id(each), to_host(each).tobytes()) for each in parameter._grad or ()]
        found.append((name, id(parameter), parameter.shape, str(parameter.dtype), arrays, gradients))
    integers = [(name, str(_storage.sizes_of(block))) for name, block in blocks(model).items()]
    return [*found, *integers]


def test_a_damaged_tensor_changes_nothing(tmp_path):
    path = tmp_path / "a.safetensors"
    pruners.save(network(4), path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    model = network(6)
    before = everything(model)
    with pytest.raises(pruners.StateError, match="does not match its checksum"):
        pruners.load(model, path)
    assert everything(model) == before


@pytest.mark.parametrize("width", [6, 4], ids=["resized", "in place"])
@pytest.mark.parametrize("function", ["put", "set_sizes", "clear_caches"])
@pytest.mark.parametrize("calls", [0, 1, 2])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_half_way_changes_nothing(tmp_path, monkeypatch, width, function, calls, error):
    path = tmp_path / "a.safetensors"
    saved = network(4)
    saved[2].extra = 7  # an integer that differs whatever the width
    pruners.save(saved, path)
    model = network(width)
    model[2].extra = 8
    before = everything(model)
    calls = {"put": calls, "set_sizes": 0, "clear_caches": 0}[function]
    real, left = getattr(_storage, function), [calls]

    def fail(*arguments):
        left[0] -= 1
        if left[0] < 0:
            raise error("half way")
        return real(*arguments)

    monkeypatch.setattr(_storage, function, fail)
    with pytest.raises(error, match="half way"):
        pruners.load(model, path)
    assert everything(model) == before
    model(mx.nd.ones((1, 3, 8, 8))).wait_to_read()


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: nn.Conv2D(6, 3, in_channels=3), "the file has tensors '0.bias', '0.weight', '1.beta' and"),
        (lambda: [nn.Conv1D(6, 3, in_channels=3), 1], r"tensor '0.weight' is F32 \(4, 3, 3, 3\) there"),
    ],
)
def test_another_model_is_refused(tmp_path, other, message):
    pruners.save(network(4), tmp_path / "a.safetensors")
    made = other()
    model = network(6) if isinstance(made, list) else made
    if isinstance(made, list):
        made[0].initialize()
        model._children["0"] = made[0]
    else:
        model.initialize()
    before = everything(model)
    with pytest.raises(pruners.StateError, match=message):
        pruners.load(model, tmp_path / "a.safetensors")
    assert everything(model) == before


def test_a_type_that_mxnet_lacks_is_refused():
    model = Holder(np.ones(3, np.int32))
    before = everything(model)
    with pytest.raises(pruners.StateError, match=r"tensor 'value' is of type U16, which MXNet 1\.9\.1 lacks"):
        _storage.restore(model, {"value": from_array("value", np.ones(3, np.uint16))}, {})
    assert everything(model) == before


@pytest.mark.parametrize("initialise", [False, True], ids=["made", "initialised"])
def test_a_model_without_values_cannot_be_saved(tmp_path, initialise):
    model = nn.Dense(3)
    if initialise:
        model.initialize()
    with pytest.raises(pruners.StateError, match=r"'\w+' has no values yet: call model\.initialize"):
        pruners.save(model, tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_sparse_parameter_is_refused(tmp_path):
    model = nn.HybridBlock()
    model.table = model.params.get("table", shape=(4, 3), stype="row_sparse")
    model.initialize()
    with pytest.raises(pruners.StateError, match="'table' is row_sparse; only dense parameters"):
        pruners.save(model, tmp_path / "a.safetensors")


def imported(tmp_path, model: Block) -> SymbolBlock:
    """Return a block as it is read back from what `export` wrote."""
    model.export(str(tmp_path / "model"))
    return SymbolBlock.imports(
        str(tmp_path / "model-symbol.json"), ["data"], str(tmp_path / "model-0000.params")
    )


@pytest.mark.filterwarnings("ignore:Cannot decide type:UserWarning")  # of MXNet's, on every import
def test_the_sizes_of_an_imported_graph_stay(tmp_path):
    small, full = imported(tmp_path, network(4)), imported(tmp_path, network(6))
    pruners.save(small, tmp_path / "a.safetensors")
    with pytest.raises(pruners.StateError, match="belongs to another model"):
        pruners.load(full, tmp_path / "a.safetensors")
    names = dict(zip(named(full), named(small), strict=True))
    state = _storage.state(small).tensors
    before = everything(full)
    with pytest.raises(pruners.StateError, match="in a SymbolBlock, whose graph has its sizes written in it"):
        _storage.restore(full, {name: state[there] for name, there in names.items()}, {})
    assert everything(full) == before
    again = imported(tmp_path, network(6))
    pruners.save(again, tmp_path / "b.safetensors")
    pruners.load(again, tmp_path / "b.safetensors")


def test_an_optimizer_made_afterwards_trains_what_was_loaded(tmp_path):
    pruners.save(network(4), tmp_path / "a.safetensors")
    model = pruners.load(network(6), tmp_path / "a.safetensors")
    trainer = Trainer(model.collect_params(), "adam", {"learning_rate": 0.01})
    before = model[0].weight.data().asnumpy()
    with mx.autograd.record():
        loss = model(mx.nd.random.uniform(shape=(2, 3, 8, 8))).square().sum()
    loss.backward()
    trainer.step(2)
    assert not np.array_equal(before, model[0].weight.data().asnumpy())
