"""Blocks in files: loaded into a fresh build of the user's code they compute the same, bit for bit."""

from __future__ import annotations

import subprocess
import sys
from collections import namedtuple

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import Block, Trainer, nn, rnn
from pruners_mxnet._arrays import to_host
from pruners_mxnet._layers import named

import pruners
from pruners.storage.models import read_arrays
from pruners.structure import history
from pruners.structure.plan import RemovalPlan


def contents(model: Block) -> dict:
    """Every parameter by its structural name: its type, shape and bits on each device."""
    return {
        name: [(array.dtype, array.shape, to_host(array).tobytes()) for array in parameter.list_data()]
        for name, (_, _, parameter) in named(model).items()
    }


def seeded(model: Block, seed: int) -> Block:
    """Return a block with values that differ with the seed, running statistics included."""
    draw = np.random.default_rng(seed)
    for parameter in model.collect_params().values():
        if parameter._data is not None:
            parameter.set_data(mx.nd.array(draw.uniform(0.5, 1.5, parameter.shape), dtype=parameter.dtype))
    return model


def convolutions(width: int) -> Block:
    model = nn.HybridSequential()
    model.add(
        nn.Conv2D(width, 3, in_channels=3, activation="relu"),
        nn.BatchNorm(in_channels=width),
        nn.Conv2D(4, 3, use_bias=False),
        nn.GroupNorm(2),
        nn.Flatten(),
        nn.Dense(5),
    )
    return model


def groups(width: int) -> Block:
    model = nn.HybridSequential()
    model.add(
        nn.Conv2D(width, 1, in_channels=3),
        nn.Conv2D(width, 3, groups=width),
        nn.Conv2DTranspose(width, 3, groups=2, in_channels=width),
        nn.LayerNorm(axis=1),
    )
    return model


class Tied(nn.HybridBlock):
    """One parameter under two names, and one block under two."""

    def __init__(self, width: int) -> None:
        super().__init__()
        with self.name_scope():
            self.embed = nn.Embedding(11, width)
            self.block = nn.Dense(width, flatten=False, in_units=width)
            self.again = self.block
            self.head = nn.Dense(11, flatten=False, use_bias=False, in_units=width, params=self.embed.params)

    def hybrid_forward(self, F, tokens):
        x = self.embed(tokens)
        return self.head(self.again(x + self.block(x)))


class Recurrent(Block):
    """A recurrent layer, and control flow of Python's own."""

    def __init__(self, width: int) -> None:
        super().__init__()
        with self.name_scope():
            self.cell = rnn.LSTM(width, layout="NTC", bidirectional=True)
            self.out = nn.Dense(2, flatten=False)

    def forward(self, x):
        return self.out(self.cell(x)) if x.ndim == 3 else None


class Loose(nn.HybridBlock):
    """Parameters and a constant on the model itself; sizes in attributes, lists and tuples of its own."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.parts, self.view, self._half = [1, width - 1], (0, -1, width), width // 2
        with self.name_scope():
            self.token = self.params.get("token", shape=(1, 1, width))
            self.scale = self.params.get_constant("scale", np.linspace(1, 2, width, dtype="float32"))
            self.inner = nn.Dense(width, flatten=False, in_units=width)

    def hybrid_forward(self, F, x, token, scale):
        x = F.slice_axis(x, axis=-1, begin=0, end=self._half * 2).reshape(self.view)
        x = self.inner(F.broadcast_mul(F.broadcast_add(x, token), scale))
        left = F.slice_axis(x, axis=-1, begin=0, end=self.parts[0])
        return F.concat(x, left, dim=-1)


CASES = {
    "convolutions": (convolutions, mx.nd.ones((2, 3, 8, 8))),
    "groups": (groups, mx.nd.ones((2, 3, 8, 8))),
    "tied": (Tied, mx.nd.arange(11)),
    "recurrent": (Recurrent, mx.nd.ones((2, 7, 5))),
    "loose": (Loose, mx.nd.ones((3, 5, 12))),
}
SMALL, FULL = 6, 10


def small(name: str) -> Block:
    build, x = CASES[name]
    model = build(SMALL)
    model.initialize()
    model(x)
    return seeded(model, 1)


def fresh(name: str, state: str) -> Block:
    """Return the full-size model as a user may have it: made, initialised, run, or hybridized and run."""
    build, x = CASES[name]
    model = build(FULL)
    if state != "made":
        model.initialize()
    if state == "hybridized":
        model.hybridize()
    if state in {"run", "hybridized"}:
        model(x)
        seeded(model, 2)
    return model


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("state", ["made", "initialised", "run", "hybridized"])
def test_a_fresh_build_computes_what_the_smaller_model_did(tmp_path, name, state):
    x, saved, model = CASES[name][1], small(name), fresh(name, state)
    pruners.save(saved, tmp_path / "small.safetensors")
    before = {name: parameter for name, (_, _, parameter) in named(model).items()}
    assert pruners.load(model, tmp_path / "small.safetensors") is model
    assert contents(model) == contents(saved)
    assert all(before[name] is parameter for name, (_, _, parameter) in named(model).items())
    assert model(x).asnumpy().tobytes() == saved(x).asnumpy().tobytes()
    model.hybridize()
    np.testing.assert_allclose(model(x).asnumpy(), saved(x).asnumpy(), rtol=1e-5)
    assert repr(model) == repr(saved)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("state", ["made", "hybridized"])
def test_what_was_loaded_trains(tmp_path, name, state):
    x, model = CASES[name][1], fresh(name, state)
    pruners.save(small(name), tmp_path / "small.safetensors")
    pruners.load(model, tmp_path / "small.safetensors")
    trainer = Trainer(model.collect_params(), "sgd", {"learning_rate": 1e-4, "momentum": 0.9})
    losses = []
    for _ in range(3):
        with mx.autograd.record():
            loss = model(x).square().mean()
        loss.backward()
        trainer.step(1)
        losses.append(float(loss.asscalar()))
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", CASES)
def test_the_file_is_read_with_numpy_alone(tmp_path, name):
    saved = small(name)
    pruners.save(saved, tmp_path / "small.safetensors")
    arrays, manifest = read_arrays(tmp_path / "small.safetensors")
    assert manifest.backend == "mxnet"
    assert {*arrays, *manifest.aliases} == set(contents(saved))
    for each, array in arrays.items():
        assert array.tobytes() == contents(saved)[each][0][2]
    code = (
        "import sys; sys.modules['mxnet'] = None; from pruners.storage.models import read_arrays; "
        f"print(len(read_arrays({str(tmp_path / 'small.safetensors')!r})[0]))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(run.stdout) == len(arrays)


def test_names_are_those_of_save_parameters(tmp_path):
    saved = small("convolutions")
    pruners.save(saved, tmp_path / "a.safetensors")
    saved.save_parameters(str(tmp_path / "a.params"))
    assert set(read_arrays(tmp_path / "a.safetensors")[0]) == set(mx.nd.load(str(tmp_path / "a.params")))


def test_shared_parameters_are_stored_once_and_stay_shared(tmp_path):
    saved, model = small("tied"), fresh("tied", "run")
    pruners.save(saved, tmp_path / "a.safetensors")
    arrays, manifest = read_arrays(tmp_path / "a.safetensors")
    assert set(arrays) == {"embed.weight", "block.weight", "block.bias"}
    assert manifest.aliases["head.weight"] == "embed.weight"
    pruners.load(model, tmp_path / "a.safetensors")
    assert model.head.weight is model.embed.weight and model.again is model.block


def test_a_model_that_does_not_share_is_refused(tmp_path):
    class Untied(Tied):
        def __init__(self, width: int) -> None:
            super().__init__(width)
            self.head = nn.Dense(11, flatten=False, use_bias=False, in_units=width)

    pruners.save(small("tied"), tmp_path / "a.safetensors")
    model = Untied(SMALL)
    model.initialize()
    with pytest.raises(pruners.StateError, match="'embed.weight' and 'head.weight' as one tensor"):
        pruners.load(model, tmp_path / "a.safetensors")
    pruners.load(model, tmp_path / "a.safetensors", strict=False)
    assert contents(model)["head.weight"] == contents(model)["embed.weight"]


def test_masked_models_keep_their_zeros(tmp_path):
    model = pruners.prune(small("convolutions"), "level", sparsity=0.7)
    pruners.save(model, tmp_path / "a.safetensors")
    loaded = pruners.load(fresh("convolutions", "hybridized"), tmp_path / "a.safetensors")
    assert int((loaded[0].weight.data() == 0).sum().asscalar()) == 113  # floor(0.7 * 162)
    assert contents(loaded) == contents(model)


def test_gluon_reads_what_was_loaded(tmp_path):
    pruners.save(small("convolutions"), tmp_path / "a.safetensors")
    model = pruners.load(fresh("convolutions", "hybridized"), tmp_path / "a.safetensors")
    model.save_parameters(str(tmp_path / "a.params"))
    other = convolutions(SMALL)
    other.load_parameters(str(tmp_path / "a.params"))
    assert contents(other) == contents(model)


def test_history_survives_the_file(tmp_path):
    saved = small("convolutions")
    kept = np.array([1, 4, 6, 7, 8, 9])
    history.record(saved, RemovalPlan(kept={"0.weight": {0: kept}}))
    pruners.save(saved, tmp_path / "a.safetensors")
    model = pruners.load(fresh("convolutions", "made"), tmp_path / "a.safetensors")
    assert history.kept_of(model)["0.weight"][0].tolist() == kept.tolist()


def test_devices_and_gradients_stay(tmp_path):
    devices = [mx.cpu(0), mx.cpu(1)]
    model = convolutions(FULL)
    model.initialize(ctx=devices)
    for device in devices:
        model(mx.nd.ones((2, 3, 8, 8), ctx=device))
    model[2].weight.grad_req = "null"
    model[5].weight.grad_req = "add"
    pruners.save(small("convolutions"), tmp_path / "a.safetensors")
    pruners.load(model, tmp_path / "a.safetensors")
    assert all(parameter.list_ctx() == devices for parameter in model.collect_params().values())
    assert [array.context for array in model[0].weight.list_grad()] == devices
    assert model[2].weight._grad is None and model[5].weight.grad_req == "add"
    results = [model(mx.nd.ones((2, 3, 8, 8), ctx=device)).asnumpy() for device in devices]
    assert np.array_equal(*results)


def test_an_initialised_model_that_never_ran_keeps_its_devices(tmp_path):
    model = convolutions(FULL)
    model.initialize(ctx=mx.cpu(3))
    pruners.save(small("convolutions"), tmp_path / "a.safetensors")
    pruners.load(model, tmp_path / "a.safetensors")
    assert all(parameter.list_ctx() == [mx.cpu(3)] for parameter in model.collect_params().values())


def test_where_devices_differ_their_mean_is_stored(tmp_path):
    model = nn.BatchNorm(in_channels=2)
    model.initialize(ctx=[mx.cpu(0), mx.cpu(1)])
    model.running_mean.list_data()[0][:] = 2
    pruners.save(model, tmp_path / "a.safetensors")
    arrays = read_arrays(tmp_path / "a.safetensors")[0]
    assert arrays["running_mean"].tolist() == [1, 1] and arrays["gamma"].tolist() == [1, 1]


def test_a_trainer_that_keeps_its_own_copy_goes_on_from_what_was_loaded(tmp_path):
    devices = [mx.cpu(0), mx.cpu(1)]
    model = nn.Dense(3, in_units=4)
    model.initialize(ctx=devices)
    pruners.save(model, tmp_path / "a.safetensors")
    saved = model.weight.list_data()[0].asnumpy()
    trainer = Trainer(model.collect_params(), "sgd", {"learning_rate": 0.1}, update_on_kvstore=True)

    def step() -> None:
        with mx.autograd.record():
            losses = [model(mx.nd.ones((1, 4), ctx=device)).sum() for device in devices]
        mx.autograd.backward(losses)
        trainer.step(1)

    step()
    pruners.load(model, tmp_path / "a.safetensors")
    step()
    np.testing.assert_allclose(model.weight.list_data()[1].asnumpy(), saved - 0.2, rtol=1e-5)


Grid = namedtuple("Grid", ["rows", "columns"])


class Unusual(nn.HybridBlock):
    """Integers of the class, of NumPy, in a named tuple."""

    factor = 2
    parts = [1, 2]
    _version = 3

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width, self.grid = np.int64(width), Grid(width, 3)
        self.mixed, self.text, self.share, self.flag = (width, "x"), "x", 0.5 * width, True
        with self.name_scope():
            self.weight = self.params.get("weight", shape=(width,))


def test_integers_are_set_as_what_they_were(tmp_path):
    saved, model = Unusual(4), Unusual(8)
    saved.initialize()
    saved.factor, saved.parts, saved.later, saved._version = 5, [1, 3], 6, 4
    pruners.save(saved, tmp_path / "a.safetensors")
    pruners.load(model, tmp_path / "a.safetensors")
    assert (model.width, type(model.width)) == (4, np.int64)
    assert model.grid == Grid(4, 3) and type(model.grid) is Grid
    assert (model.factor, model.parts) == (5, [1, 3])
    assert (Unusual.factor, Unusual.parts) == (2, [1, 2])
    assert (model.mixed, model.share, model.flag, model._version) == ((8, "x"), 4.0, True, 3)
    assert "later" not in vars(model) and "_version" not in vars(model)


def test_what_the_last_call_left_behind_is_no_size(tmp_path):
    saved = small("convolutions")
    saved.hybridize()
    saved(CASES["convolutions"][1])
    pruners.save(saved, tmp_path / "a.safetensors")
    sizes = read_arrays(tmp_path / "a.safetensors")[1].sizes
    assert "" not in sizes and sizes["0"]["_kwargs.num_filter"] == sizes["0"]["_channels"] == SMALL
