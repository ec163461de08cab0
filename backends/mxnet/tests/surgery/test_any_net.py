"""Any small network: what is left computes what the masked one computes, or nothing is changed."""

from __future__ import annotations

from types import SimpleNamespace

import mxnet
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mxnet import gluon, nd
from mxnet.gluon import HybridBlock, nn
from pruners_mxnet import _traced, surgery

import pruners
from pruners.structure.plan import RemovalPlan

KINDS = ("plain", "residual", "concat", "depthwise", "grouped", "transposed", "excited", "pooled")
NORMS = ("none", "batch", "instance")
ACTIVATIONS = ("softrelu", "relu", "prelu", "gelu")


@st.composite
def designs(draw):
    """Draw what a network is made of."""
    parts = draw(
        st.lists(
            st.tuples(
                st.sampled_from(KINDS),
                st.sampled_from([4, 8, 12]),
                st.sampled_from(NORMS),
                st.sampled_from(ACTIVATIONS),
            ),
            min_size=1,
            max_size=4,
        )
    )
    return tuple(parts), draw(st.sampled_from(["flat", "pooled"]))


def normalised(kind):
    return {"none": [], "batch": [nn.BatchNorm()], "instance": [nn.InstanceNorm()]}[kind]


def active(kind):
    return {"prelu": nn.PReLU, "gelu": nn.GELU}.get(kind, lambda: nn.Activation(kind))()


def convolution(channels, norm, activation, size=3, **options):
    made = nn.HybridSequential()
    bias = norm != "instance"  # which would take it away
    made.add(
        nn.Conv2D(channels, size, padding=size // 2, use_bias=bias, **options),
        *normalised(norm),
        active(activation),
    )
    return made


class Part(HybridBlock):
    """One part of a network."""

    def __init__(self, kind, channels, norm, activation, **options):
        super().__init__(**options)
        self.kind = kind
        self.into = convolution(channels, norm, activation, 1)
        if kind == "depthwise":
            self.body = convolution(channels, norm, activation, groups=channels)
        elif kind == "grouped":
            self.body = convolution(channels, norm, activation, groups=4)
        elif kind == "transposed":
            self.body = nn.Conv2DTranspose(channels, 3, padding=1)
        else:
            self.body = convolution(channels, norm, activation)
        if kind == "excited":
            self.weight = nn.Dense(channels, activation="sigmoid")

    def hybrid_forward(self, F, x):
        x = self.into(x)
        y = self.body(x)
        if self.kind == "residual":
            return x + y
        if self.kind == "concat":
            return F.concat(x, y, dim=1)
        if self.kind == "excited":
            weight = self.weight(F.mean(y, axis=(2, 3)))
            return F.broadcast_mul(y, weight.expand_dims(2).expand_dims(3))
        return F.Pooling(y, kernel=(2, 2), pool_type="avg") if self.kind == "pooled" else y


def build(design):
    parts, end = design
    net = nn.HybridSequential()
    for part in parts:
        net.add(Part(*part))
    if end == "pooled":
        net.add(nn.GlobalAvgPool2D())
    net.add(nn.Dense(3))
    return net


def pictures():
    return nd.array(np.random.default_rng(0).normal(size=(2, 3, 8, 8)))


def masked(plan, by_hand, model, before):
    for name, parameter in by_hand.parameters(model).items():
        array = before[name].copy()
        for axis, kept in plan.kept.get(name, {}).items():
            leaving = np.setdiff1d(np.arange(array.shape[axis]), kept)
            np.moveaxis(array, axis, 0)[leaving] = 1 if name.endswith("running_var") else 0
        parameter.set_data(nd.array(array))


QUIET = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]


@settings(max_examples=8, deadline=None, suppress_health_check=QUIET)
@given(designs(), st.booleans(), st.sampled_from([0.3, 0.5, 0.75]), st.integers(0, 99))
def test_the_smaller_network_computes_what_the_masked_one_computes(by_hand, design, hybrid, sparsity, seed):
    x = pictures()
    net, full = (by_hand.shaken(build(design), x, seed=seed) for _ in range(2))
    if hybrid:
        net.hybridize(static_alloc=True)
        net(x)
    before = by_hand.values(net)
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 1e-4, "momentum": 0.9})
    removal = pruners.remove(net, "random", sparsity=sparsity, example_inputs=x, optimizer=trainer, measure=0)
    masked(removal.plan, by_hand, full, before)
    expected = full(x).asnumpy()
    np.testing.assert_allclose(net(x).asnumpy(), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    with mxnet.autograd.record():
        loss = net(x).square().mean()
    loss.backward()
    trainer.step(1)
    assert np.isfinite(net(x).asnumpy()).all()


@settings(max_examples=8, deadline=None, suppress_health_check=QUIET)
@given(designs(), st.booleans(), st.integers(0, 999))
def test_a_broken_cut_is_refused_and_undone(by_hand, design, hybrid, seed):
    parts, end = design
    # An instance norm takes constants away: a wrong bias before it changes nothing.
    plainer = {"instance": "none"}
    design = tuple((kind, width, plainer.get(norm, norm), "softrelu") for kind, width, norm, _ in parts), end
    x = pictures()
    net = by_hand.shaken(build(design), x)
    if hybrid:
        net.hybridize()
        net(x)
    trainer = gluon.Trainer(net.collect_params(), "adam")

    def broken(block, inputs, recording, plan, coordinates, **options):
        return surgery.remove(
            block,
            inputs,
            recording,
            spoilt(plan, net, by_hand, np.random.default_rng(seed)),
            coordinates,
            **options,
        )

    before = by_hand.everything(net, trainer) | {"random": "drawn from by what is imported late"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_traced, "surgery", SimpleNamespace(remove=broken))
        with pytest.raises((pruners.ProofError, pruners.RemovalError)):
            pruners.remove(net, "level", sparsity=0.5, example_inputs=x, optimizer=trainer, measure=0)
    assert by_hand.everything(net, trainer) | {"random": before["random"]} == before


def spoilt(plan, net, by_hand, numbers):
    """Return a plan that keeps another coordinate somewhere, or forgets a parameter."""
    shapes = {name: parameter.shape for name, parameter in by_hand.parameters(net).items()}
    cuts = [(name, axis) for name, axes in plan.kept.items() for axis in axes]
    name, axis = cuts[numbers.integers(len(cuts))]
    changed = {key: dict(axes) for key, axes in plan.kept.items()}
    if numbers.random() < 0.5:
        del changed[name][axis]
    else:
        kept = changed[name][axis].copy()
        gone = np.setdiff1d(np.arange(shapes[name][axis]), kept)
        kept[numbers.integers(len(kept))] = numbers.choice(gone)
        changed[name][axis] = np.sort(kept)
    return RemovalPlan(changed, plan.attributes, plan.factors)
