"""Plans made by hand, and everything a model holds, for comparison."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import mxnet
import numpy as np
import pytest
from mxnet import autograd, gluon, nd
from mxnet.gluon import nn
from pruners_mxnet import surgery
from pruners_mxnet._layers import blocks, named
from pruners_mxnet.tracing import trace

from pruners.structure.plan import RemovalPlan


def parameters(model):
    return {name: parameter for name, (_, _, parameter) in named(model).items()}


def plan_by_length(model, kept: Mapping[int, Sequence[int]], **more: Any) -> RemovalPlan:
    """Keep these coordinates of every axis of that length: a model's widths must be told apart by it."""
    indices = {length: np.array(keep) for length, keep in kept.items()}
    found: dict[str, dict[int, np.ndarray]] = {}
    for name, parameter in parameters(model).items():
        axes = {axis: indices[n] for axis, n in enumerate(parameter.shape) if n in indices}
        if axes:
            found[name] = axes
    return RemovalPlan(found, **more)


def cut_by_length(
    model,
    kept,
    inputs,
    *,
    plan=None,
    modes=("eval", "train"),
    attributes=None,
    factors=None,
    change=None,
    recording=None,
    **options,
):
    """Record a model, then keep these coordinates of every axis of that length."""
    recording = recording or trace(model, inputs, modes=modes)
    indices = {length: np.array(keep) for length, keep in kept.items()}

    def coordinates(mode, value):
        return tuple(indices.get(length) for length in recording.programs[mode].shapes[value])

    if plan is None:
        plan = plan_by_length(model, kept, attributes=attributes or {}, factors=factors or {})
    if change is not None:
        plan = RemovalPlan({**plan.kept, **change}, plan.attributes, plan.factors)
    removed = surgery.remove(model, inputs, recording, plan, coordinates, **options)
    assert removed.model is model
    return removed.proof


def values(model) -> dict[str, np.ndarray]:
    """Return what every parameter holds, as NumPy."""
    return {name: parameter.data().asnumpy() for name, parameter in parameters(model).items()}


def masked_by_length(model, kept) -> dict[str, np.ndarray]:
    """Return the values in which what leaves is zero (running variances: one)."""
    found = {}
    for name, array in values(model).items():
        array = array.copy()
        for axis, length in enumerate(array.shape):
            if length in kept:
                leaving = [i for i in range(length) if i not in list(kept[length])]
                np.moveaxis(array, axis, 0)[leaving] = 1 if name.endswith("running_var") else 0
        found[name] = array
    return found


def output_with(model, arrays: Mapping[str, np.ndarray], *inputs) -> np.ndarray:
    """Return what a model of full size gives with other values, which it keeps."""
    for name, parameter in parameters(model).items():
        parameter.set_data(like(arrays[name], parameter))
    return model(*inputs).asnumpy()


def like(array, parameter):
    kind = mxnet.np.array if isinstance(parameter.data(), mxnet.np.ndarray) else nd.array
    return kind(array, dtype=array.dtype)


def everything(model, *trainers) -> dict[str, Any]:
    """Return what a model, its trainers and the random state hold: objects, memory and bits."""
    mxnet.nd.waitall()
    return {
        "random": (random.getstate(), str(np.random.get_state())),
        "blocks": [(name, id(block), namespace(vars(block))) for name, block in blocks(model).items()],
        "parameters": [(name, namespace(vars(each))) for name, each in parameters(model).items()],
        "trainers": [trainer_state(each) for each in trainers],
    }


def trainer_state(trainer):
    stored = trainer._kvstore._updater if trainer._kvstore else None
    updaters = [*trainer._updaters, *([stored] if stored else [])]
    return (
        namespace(vars(trainer)),
        namespace(vars(trainer._optimizer)),
        [namespace(vars(updater)) for updater in updaters],
    )


def namespace(held: Mapping[str, Any]) -> Any:
    return {key: (id(value), shown(value)) for key, value in held.items() if key != "_trainer"}


def shown(value: Any) -> Any:
    if isinstance(value, nd.NDArray):
        return id(value), value.dtype, value.shape, value.asnumpy().tobytes(), value._fresh_grad
    if isinstance(value, dict):
        return [(key, id(each), shown(each)) for key, each in value.items()]
    if isinstance(value, (list, tuple)):
        return [(id(each), shown(each)) for each in value]
    return value if isinstance(value, (int, str, float, bool, type(None))) else id(value)


@pytest.fixture
def by_hand() -> SimpleNamespace:
    """Hand-made plans for models whose widths differ from each other and from every other length."""
    return SimpleNamespace(
        cut=cut_by_length,
        plan=plan_by_length,
        masked=masked_by_length,
        output_with=output_with,
        everything=everything,
        values=values,
        parameters=parameters,
        shaken=shaken,
    )


def shaken(model, *inputs, seed=0, contexts=None):
    """Initialise a model, run it once, and leave nothing at its initial value."""
    mxnet.random.seed(seed)
    model.initialize(mxnet.init.Xavier(), ctx=contexts)
    numbers = np.random.default_rng(seed)
    if inputs:
        model(*inputs)
    for parameter in parameters(model).values():
        if np.dtype(parameter.dtype).kind == "f":
            one = len(parameter.shape) == 1
            new = (
                numbers.uniform(0.5, 1.5, parameter.shape) if one else numbers.normal(0, 0.3, parameter.shape)
            )
            parameter.set_data(like(new.astype(parameter.dtype), parameter))
    return model


def make_net():
    """Return two convolutions with batch norms, a pool and a dense layer; 12 and 20 channels."""
    net = nn.HybridSequential()
    net.add(
        nn.Conv2D(12, 3, padding=1),
        nn.BatchNorm(),
        nn.Activation("relu"),
        nn.Conv2D(20, 3, padding=1),
        nn.BatchNorm(),
        nn.Activation("relu"),
        nn.GlobalAvgPool2D(),
        nn.Flatten(),
        nn.Dense(5),
    )
    return net


@pytest.fixture
def images():
    """Four pictures."""
    return nd.array(np.random.default_rng(1).normal(size=(4, 3, 8, 8)))


@pytest.fixture
def net(images):
    """A small network with nothing left at its initial value."""
    return shaken(make_net(), images)


@pytest.fixture
def another():
    """Make one more network like `net`, with other values."""
    return lambda inputs, seed=7, **options: shaken(make_net(), inputs, seed=seed, **options)


@pytest.fixture
def kept() -> dict[int, list[int]]:
    """What stays of the channels of `net`."""
    return {12: [0, 2, 3, 7, 11], 20: [1, 4, 5, 6, 10, 13, 19]}


@pytest.fixture
def train():
    """Take steps on random pictures; return the losses."""

    def steps(model, trainer, count, contexts=None):
        contexts = contexts or [mxnet.cpu()]
        numbers = np.random.default_rng(0)
        x = numbers.normal(size=(16, 3, 8, 8))
        y = numbers.integers(0, 5, 16)
        measure = gluon.loss.SoftmaxCrossEntropyLoss()
        parts = zip(np.split(x, len(contexts)), np.split(y, len(contexts)), contexts, strict=True)
        batches = [(nd.array(a, c), nd.array(b, c)) for a, b, c in parts]
        found = []
        for _ in range(count):
            with autograd.record():
                losses = [measure(model(a), b) for a, b in batches]
            for loss in losses:
                loss.backward()
            trainer.step(16)
            found.append(float(np.mean([loss.mean().asscalar() for loss in losses])))
        return found

    return steps
