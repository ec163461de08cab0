"""Blocks whose channels `pruners.remove` took: saved, loaded into fresh builds, computing the same bits."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import Block, Constant, Trainer, nn

import pruners
from pruners.structure import history


class Residual(nn.HybridBlock):
    """Convolutions with batch norm, a shortcut, a concatenation and a depthwise layer; no sizes given."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.HybridSequential()
        self.stem.add(nn.Conv2D(12, 3, padding=1, use_bias=False), nn.BatchNorm(), nn.Activation("relu"))
        self.deep = nn.HybridSequential()
        self.deep.add(nn.Conv2D(12, 3, padding=1, groups=12), nn.Conv2D(12, 1))
        self.side = nn.Conv2D(8, 1, activation="relu")
        self.pool = nn.GlobalAvgPool2D()
        self.head = nn.Dense(4)

    def hybrid_forward(self, F, x):
        x = self.stem(x)
        return self.head(self.pool(F.concat(x + self.deep(x), self.side(x), dim=1)))


class Positions(nn.HybridBlock):
    """A constant over channels, and a width of the block's own."""

    def __init__(self) -> None:
        super().__init__()
        self.width = 8
        table = np.sin(np.arange(40, dtype=np.float32).reshape(5, 8))
        with self.name_scope():
            self.embed = nn.Dense(8, flatten=False, in_units=6)
            self.encoding = self.params.get_constant("encoding", table)
            self.first = nn.Dense(16, flatten=False, in_units=8, activation="relu")
            self.second = nn.Dense(3, flatten=False, in_units=16)

    def hybrid_forward(self, F, x, encoding):
        x = F.broadcast_add(self.embed(x), F.expand_dims(encoding, 0))
        return self.second(self.first(x.reshape((-1, 5, self.width))))


class Shared(Block):
    """One layer called twice, in a loop of Python's own."""

    def __init__(self) -> None:
        super().__init__()
        self.read = nn.Dense(8)
        self.step = nn.Dense(8, in_units=8, activation="tanh")
        self.again = self.step
        self.write = nn.Dense(3)

    def forward(self, x):
        x = self.read(x)
        for layer in (self.step, self.again):
            x = x + layer(x)
        return self.write(x)


def line(*shape: int) -> mx.nd.NDArray:
    return mx.nd.array(np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape))


CASES = {
    "residual": (Residual, line(2, 3, 8, 8)),
    "positions": (Positions, line(2, 5, 6)),
    "shared": (Shared, line(2, 6)),
}


def built(name: str, seed: int) -> Block:
    mx.random.seed(seed)
    model = CASES[name][0]()
    model.initialize(mx.init.Xavier())
    return model


def count(model: Block) -> int:
    return sum(int(np.prod(each.shape)) for each in model.collect_params().values())


def removed(name: str, hybridize: bool = False) -> tuple[Block, mx.nd.NDArray]:
    model, x = built(name, 1), CASES[name][1]
    if hybridize:
        model.hybridize()
    model(x)
    pruners.remove(model, "level", sparsity=0.5, example_inputs=x, measure=0)
    return model, x


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("state", ["initialised", "run", "hybridized"])
def test_what_was_removed_stays_removed(tmp_path, name, state):
    small, x = removed(name, hybridize=state == "hybridized")
    pruners.save(small, tmp_path / "small.safetensors")
    model = built(name, 2)
    if state == "hybridized":
        model.hybridize()
    if state != "initialised":
        model(x)
        assert count(small) < 0.6 * count(model)
    pruners.load(model, tmp_path / "small.safetensors")
    assert count(model) == count(small)
    assert model(x).asnumpy().tobytes() == small(x).asnumpy().tobytes()
    assert repr(model) == repr(small)
    kept, found = history.kept_of(small), history.kept_of(model)
    assert kept and {name: sorted(axes) for name, axes in found.items()} == {
        name: sorted(axes) for name, axes in kept.items()
    }


def test_a_constant_is_cut_saved_and_loaded(tmp_path):
    small, x = removed("positions")
    assert small.encoding.shape == (5, 4) and small.width == 4
    pruners.save(small, tmp_path / "small.safetensors")
    model = pruners.load(Positions(), tmp_path / "small.safetensors")
    assert isinstance(model.encoding, Constant) and model.encoding.value.shape == (5, 4)
    assert model.width == 4 and model.encoding.grad_req == "null"
    model.collect_params().reset_ctx(mx.cpu(1))
    moved = model(x.as_in_context(mx.cpu(1)))
    assert np.array_equal(moved.asnumpy(), small(x).asnumpy())


def test_a_loaded_model_trains_as_the_saved_one_does(tmp_path):
    small, x = removed("residual")
    pruners.save(small, tmp_path / "small.safetensors")
    model = pruners.load(Residual(), tmp_path / "small.safetensors")
    results = []
    for each in (small, model):
        trainer = Trainer(each.collect_params(), "adam", {"learning_rate": 0.01})
        for _ in range(3):
            with mx.autograd.record():
                loss = each(x).square().sum()
            loss.backward()
            trainer.step(2)
        results.append(each(x).asnumpy())
    np.testing.assert_allclose(*results, rtol=1e-5)


def test_removing_again_after_loading_composes(tmp_path):
    small, x = removed("residual")
    pruners.save(small, tmp_path / "once.safetensors")
    loaded = pruners.load(Residual(), tmp_path / "once.safetensors")
    before = history.kept_of(loaded)["side.weight"][0].tolist()
    pruners.remove(loaded, "level", sparsity=0.5, example_inputs=x, measure=0)
    pruners.save(loaded, tmp_path / "twice.safetensors")
    model = pruners.load(Residual(), tmp_path / "twice.safetensors")
    found = history.kept_of(model)["side.weight"][0].tolist()
    assert len(found) == 2 and set(found) < set(before)
    assert np.array_equal(model(x).asnumpy(), loaded(x).asnumpy())


def test_zeros_of_a_session_are_kept_in_the_file(tmp_path):
    model, x = removed("residual")
    trainer = Trainer(model.collect_params(), "sgd", {"learning_rate": 0.1, "momentum": 0.9})
    pruning = pruners.attach(model, pruners.Rule("*", sparsity=0.5), trainer)
    with mx.autograd.record():
        loss = model(x).square().sum()
    loss.backward()
    trainer.step(2)
    pruning.step()
    zeros = pruners.report(pruning.finish()).zeros
    pruners.save(model, tmp_path / "a.safetensors")
    assert zeros and pruners.report(pruners.load(Residual(), tmp_path / "a.safetensors")).zeros == zeros
