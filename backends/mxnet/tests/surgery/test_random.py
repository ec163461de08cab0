"""Any plan for any widths: either exactly the kept part of every parameter, or nothing at all."""

from __future__ import annotations

import mxnet
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mxnet import autograd, gluon, nd
from mxnet.gluon import nn
from pruners_mxnet import surgery
from pruners_mxnet._layers import named
from pruners_mxnet.tracing import trace

import pruners
from pruners.structure.plan import RemovalPlan

NORMS = {
    "none": None,
    "batch": lambda width: nn.BatchNorm(in_channels=width),
    "layer": lambda width: nn.LayerNorm(in_channels=width),
}


@st.composite
def cases(draw):
    """Draw a chain of dense layers and norms, what is kept of it, and how it is held."""
    widths = draw(st.lists(st.integers(2, 9), min_size=1, max_size=3))
    kept = [sorted(draw(st.sets(st.integers(0, width - 1), min_size=1, max_size=width))) for width in widths]
    norms = [draw(st.sampled_from(sorted(NORMS))) for _ in widths]
    dtype = draw(st.sampled_from(["float32", "float64"]))
    return widths, kept, norms, dtype, draw(st.booleans()), draw(st.integers(0, 99))


def build(widths, norms):
    net, plan, into = nn.HybridSequential(), [], 5
    for number, (width, norm) in enumerate(zip(widths, norms, strict=True)):
        plan += [(len(net), "weight", 0, number), (len(net), "bias", 0, number)]
        if number:
            plan.append((len(net), "weight", 1, number - 1))
        net.add(nn.Dense(width, in_units=into))
        if NORMS[norm] is not None:
            running = ("running_mean", "running_var") if norm == "batch" else ()
            plan += [(len(net), name, 0, number) for name in ("gamma", "beta", *running)]
            net.add(NORMS[norm](width))
        net.add(nn.Activation("tanh"))
        into = width
    plan.append((len(net), "weight", 1, len(widths) - 1))
    net.add(nn.Dense(3, in_units=into))
    return net, plan


def parameters(model):
    return {name: parameter for name, (_, _, parameter) in named(model).items()}


def values(model):
    return {name: parameter.data().asnumpy() for name, parameter in parameters(model).items()}


def held(model, trainer):
    return [
        (id(array), array.asnumpy().tobytes())
        for parameter in parameters(model).values()
        for array in (*parameter._data, *(parameter._grad or ()))
    ] + [
        (id(array), array.asnumpy().tobytes())
        for state in trainer._updaters[0].states.values()
        for array in state or ()
    ]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases(), st.data())
def test_all_or_nothing(case, data):
    widths, kept, norms, dtype, hybrid, seed = case
    model, entries = build(widths, norms)
    model.initialize()
    model.cast(dtype)
    numbers = np.random.default_rng(seed)
    for parameter in parameters(model).values():
        parameter.set_data(nd.array(numbers.uniform(0.5, 1.5, parameter.shape), dtype=dtype))
    if hybrid:
        model.hybridize()
    trainer = gluon.Trainer(model.collect_params(), "adam", {"learning_rate": 1e-2})
    x = nd.array(numbers.normal(size=(6, 5)), dtype=dtype)
    with autograd.record():
        loss = model(x).square().mean()
    loss.backward()
    trainer.step(1)
    plan: dict[str, dict[int, np.ndarray]] = {}
    for layer, name, axis, group in entries:
        if len(kept[group]) < widths[group]:
            plan.setdefault(f"{layer}.{name}", {})[axis] = np.array(kept[group])
    recording = trace(model, x, modes=("eval",))
    groups = follow(recording, model, len(widths))

    def coordinates(mode, value):
        whole = [None] * len(recording.programs[mode].shapes[value])
        group = groups.get(value)
        if group is not None and len(kept[group]) < widths[group]:
            whole[-1] = np.array(kept[group])
        return tuple(whole)

    before, numbered = values(model), {id(each): i for i, each in enumerate(trainer._params)}
    states = {
        number: [each.asnumpy() for each in state] for number, state in trainer._updaters[0].states.items()
    }
    spoilt = data.draw(st.booleans()) and bool(plan)
    if spoilt:
        name = data.draw(st.sampled_from([name for name in plan if name.endswith("weight")]))
        wrong = {key: axes for key, axes in plan.items() if key != name}
        state = held(model, trainer)
        with pytest.raises(pruners.ProofError):
            surgery.remove(model, x, recording, RemovalPlan(wrong), coordinates, optimizer=trainer)
        assert held(model, trainer) == state
        return
    proof = surgery.remove(model, x, recording, RemovalPlan(plan), coordinates, optimizer=trainer).proof
    assert proof.error < 1e-9
    for name, array in values(model).items():
        assert np.array_equal(array, part(before[name], plan.get(name, {}))) and array.dtype == dtype
        number = numbered[id(parameters(model)[name])]
        for was, now in zip(states.get(number, []), trainer._updaters[0].states.get(number, []), strict=True):
            assert np.array_equal(now.asnumpy(), part(was, plan.get(name, {})))
    mxnet.nd.waitall()
    with autograd.record():
        loss = model(x).square().mean()
    loss.backward()
    trainer.step(1)


def follow(recording, model, count):
    """Return {recorded value: the group of its last axis}: every dense layer starts a group."""
    graph = recording.graphs["eval"]
    groups, group = {}, -1
    for index, node in enumerate(graph.nodes):
        group += node.op == "FullyConnected"
        for (maker, _), value in graph.values.items():
            if maker == index and node.op and 0 <= group < count:
                groups[value] = group
    return groups


def part(array, axes):
    for axis, indices in axes.items():
        array = array.take(indices, axis)
    return array
