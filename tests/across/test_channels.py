"""Every pruner, PyTorch beside MXNet: the same numbers give the same channels, the same smaller network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mxnet
import numpy as np
import pytest
import torch

import pruners

from . import twins

torch.set_num_threads(1)

OPTIONS: dict[str, tuple[Mapping[str, Any], ...]] = {
    "apoz": ({}, {"measure": "mean-activation"}),
    "filter-norm": ({}, {"p": 1}),
    "random": ({"seed": 4, "unit": "channel"},),
    "taylor": ({}, {"form": "gate", "macs": 0.1}, {"form": "weight-joint"}, {"form": "weight-squares"}),
}


def ranking() -> list[tuple[str, Mapping[str, Any]]]:
    """Return every installed pruner that a removal can rank by, with the options it is run with."""
    names = pruners.installed().names("pruner")
    return [(name, options) for name in names for options in OPTIONS.get(name, ({},))]


def removed(model: Any, framework: str, name: str, options: Mapping[str, Any]) -> pruners.Removal:
    x, _ = twins.batches()[0]
    own = framework == "torch"
    return pruners.remove(
        model,
        pruners.pruner(name, **options),
        sparsity=0.5,
        example_inputs=torch.from_numpy(x[:2]) if own else mxnet.nd.array(x[:2], dtype=x.dtype),
        data=twins.torch_data() if own else twins.mxnet_data(),
        loss=twins.torch_loss if own else twins.mxnet_loss,
        measure=0,
    )


def kept(removal: pruners.Removal) -> dict[tuple[str, int], list[int]]:
    """Return the kept indices of every cut axis, by PyTorch's names."""
    return {
        (twins.common(name), axis): indices.tolist()
        for name, axes in removal.plan.kept.items()
        for axis, indices in axes.items()
    }


@pytest.mark.parametrize("network", twins.NETWORKS)
@pytest.mark.parametrize(("name", "options"), ranking(), ids=str)
def test_the_same_channels_leave(network, name, options):
    if name == "bn-scale" and network != "normalised":
        pytest.skip("some of its layers have no batch norm, whose scale would be their score")
    pair = twins.NETWORKS[network]()
    np.testing.assert_allclose(*pair.outputs(), rtol=1e-9, atol=1e-11)
    one = removed(pair.torch, "torch", name, options)
    other = removed(pair.mxnet, "mxnet", name, options)
    assert kept(one) == kept(other)
    assert (one.parameters, one.macs) == (other.parameters, other.macs)
    assert [row.units for row in one.groups] == [row.units for row in other.groups]
    np.testing.assert_allclose(*pair.outputs(), rtol=1e-7, atol=1e-9)


def test_other_numbers_give_other_channels():
    """The test above can fail: one changed filter on one framework is seen."""
    pair = twins.plain()
    with torch.no_grad():
        pair.torch[0].weight[torch.linalg.vector_norm(pair.torch[0].weight, dim=(1, 2, 3)).argmax()] *= 1e-3
    one = removed(pair.torch, "torch", "filter-norm", {})
    other = removed(pair.mxnet, "mxnet", "filter-norm", {})
    assert kept(one) != kept(other)
