"""Any plan for any widths: either exactly the kept part of every tensor, or nothing at all."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pruners_torch import surgery
from pruners_torch.tracing import trace
from torch import nn

import pruners
from pruners.structure.plan import RemovalPlan

torch.set_num_threads(1)


@st.composite
def cases(draw):
    """Draw a chain of dense layers and norms, what is kept of it, and how it is held."""
    widths = draw(st.lists(st.integers(2, 9), min_size=1, max_size=3))
    kept = [sorted(draw(st.sets(st.integers(0, width - 1), min_size=1, max_size=width))) for width in widths]
    norms = [draw(st.sampled_from([None, nn.BatchNorm1d, nn.LayerNorm])) for _ in widths]
    dtype = draw(st.sampled_from([torch.float32, torch.float64, torch.bfloat16]))
    return widths, kept, norms, dtype, draw(st.integers(0, 99))


def build(widths, norms, dtype):
    layers, plan, into = [], [], 5
    for number, (width, norm) in enumerate(zip(widths, norms, strict=True)):
        plan += [(len(layers), "weight", 0, number), (len(layers), "bias", 0, number)]
        if number:
            plan.append((len(layers), "weight", 1, number - 1))
        layers.append(nn.Linear(into, width))
        if norm is not None:
            names = (
                ("weight", "bias", "running_mean", "running_var")
                if norm is nn.BatchNorm1d
                else ("weight", "bias")
            )
            plan += [(len(layers), name, 0, number) for name in names]
            layers.append(norm(width))
        layers.append(nn.Tanh())
        into = width
    plan.append((len(layers), "weight", 1, len(widths) - 1))
    layers.append(nn.Linear(into, 3))
    return nn.Sequential(*layers).to(dtype), plan


def shaken(model, seed):
    torch.manual_seed(seed)
    for tensor in [*model.parameters(), *model.buffers()]:
        if tensor.is_floating_point():
            tensor.data.uniform_(0.5, 1.5)
    return model


def held(model, optimizer):
    return [
        (id(tensor), tensor.data_ptr(), tensor.detach().clone())
        for tensor in [*model.parameters(), *model.buffers()]
    ] + [
        (id(value), value.data_ptr(), value.clone())
        for state in optimizer.state.values()
        for value in state.values()
    ]


def equal(left, right):
    return len(left) == len(right) and all(
        a[:2] == b[:2] and torch.equal(a[2], b[2]) for a, b in zip(left, right, strict=True)
    )


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases(), st.data())
def test_all_or_nothing(case, data):
    widths, kept, norms, dtype, seed = case
    model, entries = build(widths, norms, dtype)
    shaken(model, seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    x = torch.randn(6, 5, dtype=dtype)
    model(x).square().mean().backward()
    optimizer.step()
    plan: dict[str, dict[int, np.ndarray]] = {}
    for layer, name, axis, group in entries:
        if len(kept[group]) < widths[group]:
            plan.setdefault(f"{layer}.{name}", {})[axis] = np.array(kept[group])
    programs = trace(model, x, modes=("eval",), literals=False).programs
    groups = follow(programs["eval"], len(widths))

    def coordinates(mode, value):
        shape = programs[mode].shapes[value]
        group = groups.get(value)
        whole = [None] * len(shape)
        if group is not None and len(kept[group]) < widths[group]:
            whole[-1] = np.array(kept[group])
        return tuple(whole)

    before = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    momenta = {n: optimizer.state[p]["exp_avg"].clone() for n, p in model.named_parameters()}
    spoilt = data.draw(st.booleans()) and bool(plan)
    if spoilt:
        name = data.draw(st.sampled_from([name for name in plan if name.endswith("weight")]))
        wrong = {key: axes for key, axes in plan.items() if key != name}
        state = held(model, optimizer)
        with pytest.raises(pruners.ProofError):
            surgery.remove(model, x, programs, RemovalPlan(wrong), coordinates, optimizer=optimizer)
        assert equal(held(model, optimizer), state)
        return
    surgery.remove(model, x, programs, RemovalPlan(plan), coordinates, optimizer=optimizer)
    for name, tensor in model.state_dict().items():
        assert (
            torch.equal(tensor, part(before[name], plan.get(name, {}))) and tensor.dtype == before[name].dtype
        )
    for name, parameter in model.named_parameters():
        assert torch.equal(optimizer.state[parameter]["exp_avg"], part(momenta[name], plan.get(name, {})))


def follow(program, count):
    """Return {recorded value: the group of its last axis}: every dense layer starts a group."""
    groups, group = {}, -1
    for op in program.ops:
        group += op.kind == "contract"
        if 0 <= group < count:
            groups.update(dict.fromkeys(op.outputs, group))
    return groups


def part(tensor, axes):
    for axis, indices in axes.items():
        tensor = tensor.index_select(axis, torch.from_numpy(indices))
    return tensor
