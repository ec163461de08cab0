"""Sparse files of PyTorch modules: every bit, type and tie comes back, of smaller and exported ones, too."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

import pruners
from pruners.storage.models import read_arrays

TYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.complex64, torch.bool]
TYPES += [
    torch.int8,
    torch.uint8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
]


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def contents(model: nn.Module) -> dict:
    return {name: (t.dtype, tuple(t.shape), bits(t)) for name, t in model.state_dict(keep_vars=True).items()}


def packed_in(path) -> dict:
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["pruners"]).get("packed", {})


def build() -> nn.Module:
    first, second = nn.Conv2d(3, 32, 3), nn.Conv2d(32, 64, 3)
    return nn.Sequential(
        first, nn.BatchNorm2d(32), nn.ReLU(), second, nn.Flatten(), nn.Linear(9216, 10)
    ).eval()


X = torch.linspace(-1, 1, 3 * 16 * 16).reshape(1, 3, 16, 16)


def test_a_masked_module_comes_back(tmp_path):
    path, dense = tmp_path / "sparse.safetensors", tmp_path / "dense.safetensors"
    model = pruners.prune(build(), "level", sparsity=0.9)
    pruners.save(model, path, sparse=True)
    pruners.save(model, dense)
    fresh = pruners.load(build(), path)
    assert contents(fresh) == contents(model) and torch.equal(fresh(X), model(X))
    assert {"3.weight", "5.weight"} <= set(packed_in(path))
    assert path.stat().st_size < 0.15 * dense.stat().st_size
    assert {name: array.tobytes() for name, array in read_arrays(path)[0].items()} == {
        name: bits(tensor) for name, tensor in model.state_dict().items()
    }


@pytest.mark.parametrize(
    ("pattern", "sparsity", "size"),
    [(("nm", {"block": 4, "keep": 2}), 0.5, 4), (("bank", {"size": 16}), 0.9, 16)],
    ids=["nm", "bank"],
)
def test_patterns_along_the_inputs_of_a_convolution_are_packed_as_groups(tmp_path, pattern, sparsity, size):
    path = tmp_path / "m.safetensors"
    name, options = pattern
    model = nn.Sequential(nn.Conv2d(64, 64, 3))
    pruners.prune(model, "level", sparsity=sparsity, pattern=pruners.pattern(name, **options))
    pruners.save(model, path, sparse=True)
    found = packed_in(path)["0.weight"]
    assert (found["pattern"], found["size"], found["length"], found["step"]) == ("groups", size, 64, 9)
    assert contents(pruners.load(nn.Sequential(nn.Conv2d(64, 64, 3)), path)) == contents(model)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_buffers_of_every_type_come_back(tmp_path, dtype):
    class Model(nn.Module):
        def __init__(self, filled: bool) -> None:
            super().__init__()
            raw = torch.zeros(64, 64, 8, dtype=torch.uint8)
            if filled:
                values = torch.randint(0, 256, raw[::7, ::5].shape, dtype=torch.uint8)
                raw[::7, ::5] = 1 if dtype == torch.bool else values
            width = torch.empty((), dtype=dtype).element_size()
            self.register_buffer("kept", raw[..., :width].contiguous().view(dtype)[..., 0])

    path, model = tmp_path / "m.safetensors", Model(True)
    pruners.save(model, path, sparse=True)
    assert set(packed_in(path)) == {"kept"}
    assert contents(pruners.load(Model(False), path)) == contents(model)


def test_negative_zero_and_nan_are_values(tmp_path):
    path, model = tmp_path / "m.safetensors", nn.Linear(64, 64)
    patterns = torch.tensor([-(1 << 31), 0x7FC00001, -0x3EDCBB, 0x7F800001, 1], dtype=torch.int32)
    with torch.no_grad():
        model.weight.zero_()
        model.weight.view(torch.int32)[0, :5] = patterns
    pruners.save(model, path, sparse=True)
    assert torch.equal(load_file(path)["weight:values"].view(torch.int32)[:5], patterns)
    assert contents(pruners.load(nn.Linear(64, 64), path)) == contents(model)


def test_tied_weights_stay_tied(tmp_path):
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.head = nn.Embedding(64, 32), nn.Linear(32, 64, bias=False)
            self.head.weight = self.embed.weight

    path, model = tmp_path / "m.safetensors", Tied()
    with torch.no_grad():
        model.embed.weight[:, 1:] = 0
    pruners.save(model, path, sparse=True)
    fresh = pruners.load(Tied(), path)
    assert fresh.head.weight is fresh.embed.weight and contents(fresh) == contents(model)
    assert set(packed_in(path)) == {"embed.weight"}
    untied = Tied()
    untied.head.weight = nn.Parameter(untied.head.weight.detach().clone())
    with pytest.raises(pruners.StateError, match="as one tensor, the model two"):
        pruners.load(untied, path)


def test_the_memory_format_is_the_models_own(tmp_path):
    path = tmp_path / "m.safetensors"
    model = pruners.prune(build(), "level", sparsity=0.9).to(memory_format=torch.channels_last)
    pruners.save(model, path, sparse=True)
    fresh = pruners.load(build().to(memory_format=torch.channels_last), path)
    assert fresh[3].weight.is_contiguous(memory_format=torch.channels_last)
    assert contents(fresh) == contents(model)


@pytest.mark.parametrize("form", ["module", "graph"])
def test_a_smaller_module_and_a_graph_come_back(tmp_path, form):
    path, model = tmp_path / "m.safetensors", pruners.prune(build(), "level", sparsity=0.8)
    removal = pruners.remove(model, "filter-norm", sparsity=0.5, example_inputs=X, form=form)
    pruners.save(removal.model, path, sparse=True)
    assert packed_in(path)
    fresh = pruners.load(build() if form == "module" else None, path)
    assert torch.equal(fresh(X), removal.model(X))


def test_training_goes_on_from_a_sparse_file(tmp_path):
    path, model = tmp_path / "m.safetensors", pruners.prune(build(), "level", sparsity=0.9)
    pruners.save(model, path, sparse=True)
    fresh = pruners.load(build(), path)
    optimizer = torch.optim.SGD(fresh.parameters(), lr=0.1)
    fresh(X).square().sum().backward()
    optimizer.step()
    assert not np.array_equal(fresh[5].weight.detach().numpy(), model[5].weight.detach().numpy())
