"""One format for both frameworks: what MXNet saves, PyTorch's readers read, bit for bit."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest
import torch
from mxnet.gluon import nn
from safetensors.torch import load_file

import pruners
from pruners.storage.models import read_arrays


class Gluon(nn.HybridBlock):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2D(width, 3, in_channels=3, activation="relu")
        self.second = nn.Conv2D(6, 3, in_channels=width)
        self.last = nn.Dense(5, in_units=96)

    def hybrid_forward(self, F, x):
        return self.last(self.second(self.first(x)))


class Torch(torch.nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = torch.nn.Conv2d(3, width, 3)
        self.second = torch.nn.Conv2d(width, 6, 3)
        self.last = torch.nn.Linear(96, 5)

    def forward(self, x):
        return self.last(self.second(self.first(x).relu()).flatten(1))


@pytest.fixture
def smaller(tmp_path):
    """A Gluon net with zeros and with channels removed, and its file."""
    net = Gluon(8)
    net.initialize(mx.init.Xavier())
    x = mx.nd.ones((2, 3, 8, 8))
    pruners.prune(net, "level", sparsity=0.5)
    pruners.remove(net, "filter-norm", sparsity={"first.weight": 0.5}, example_inputs=x)
    pruners.save(net, tmp_path / "small.safetensors")
    return net, tmp_path / "small.safetensors"


def test_a_file_of_mxnet_fits_a_module_of_the_same_names_and_shapes(smaller):
    net, path = smaller
    module = Torch(4)
    module.load_state_dict(load_file(path))
    x = np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)
    with torch.no_grad():
        ours = module(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(net(mx.nd.array(x)).asnumpy(), ours, rtol=1e-4, atol=1e-5)
    assert float((module.second.weight == 0).float().mean()) > 0.3


def test_all_readers_see_the_same_bits(smaller):
    net, path = smaller
    arrays, manifest = read_arrays(path)
    tensors = load_file(path)
    assert manifest.backend == "mxnet"
    assert set(arrays) == set(tensors) == set(dict(Torch(4).named_parameters()))
    for name, array in arrays.items():
        layer, kind = name.split(".")
        own = getattr(getattr(net, layer), kind).data().asnumpy()
        assert array.tobytes() == own.tobytes() == tensors[name].numpy().tobytes()


def test_the_same_network_gives_the_same_tensors_in_both_files(smaller, tmp_path):
    _, path = smaller
    module = Torch(4)
    module.load_state_dict(load_file(path))
    pruners.save(module, tmp_path / "torch.safetensors")
    (ours, manifest), (theirs, other) = read_arrays(path), read_arrays(tmp_path / "torch.safetensors")
    assert {name: array.tobytes() for name, array in ours.items()} == {
        name: array.tobytes() for name, array in theirs.items()
    }
    assert manifest.tensors == other.tensors and manifest.checksums == other.checksums


def test_loading_into_a_model_of_the_other_framework_says_so(smaller):
    with pytest.raises(pruners.StateError, match="was saved from a model of 'mxnet'; this is one of 'torch'"):
        pruners.load(Torch(4), smaller[1])
