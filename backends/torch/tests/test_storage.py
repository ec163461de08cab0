"""Smaller modules in files: loaded into a fresh build they compute the same, bit for bit."""

from __future__ import annotations

import copy
from collections import namedtuple

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, load_model
from torch import nn

import pruners
from pruners.storage.models import read_arrays
from pruners.structure import history
from pruners.structure.plan import RemovalPlan


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def contents(model: nn.Module) -> dict:
    """Every tensor of a module by name: its type, shape and bits."""
    named = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    return {name: (tensor.dtype, tuple(tensor.shape), bits(tensor)) for name, tensor in named}


def cut(module: nn.Module, name: str, **kept: list[int]) -> None:
    """Keep some coordinates of one tensor: ``cut(conv, "weight", axis0=[0, 2])``."""
    tensor = getattr(module, name)
    for axis, indices in kept.items():
        tensor.data = tensor.data.index_select(int(axis[-1]), torch.tensor(indices)).clone()


def seeded(build):
    """Return a build whose values differ each time, batch norm statistics included."""

    def call(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        model = build()
        with torch.no_grad():
            for buffer in model.buffers():
                if buffer.is_floating_point():
                    buffer.uniform_(0.5, 1.5)
        return model

    return call


# Each case: how a model is built, how some of it is cut by hand, what it is called with.


def build_convolutions() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 4, 3, bias=False),
        nn.GroupNorm(2, 4),
        nn.Flatten(),
        nn.Linear(64, 5),
    )


def cut_convolutions(model: nn.Module) -> None:
    kept = [1, 4, 6]
    cut(model[0], "weight", axis0=kept)
    cut(model[0], "bias", axis0=kept)
    for name in ("weight", "bias", "running_mean", "running_var"):
        cut(model[1], name, axis0=kept)
    cut(model[3], "weight", axis1=kept)
    model[0].out_channels = model[1].num_features = model[3].in_channels = 3


def build_groups() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(4, 8, 1),
        nn.Conv2d(8, 8, 3, groups=8),
        nn.Conv2d(8, 8, 3, groups=4),
        nn.LayerNorm([8, 4, 4]),
    )


def cut_groups(model: nn.Module) -> None:
    kept = [0, 1, 4, 5]
    for layer in model[:2]:
        cut(layer, "weight", axis0=kept)
        cut(layer, "bias", axis0=kept)
    cut(model[2], "weight", axis0=kept)
    cut(model[2], "bias", axis0=kept)
    cut(model[3], "weight", axis0=kept)
    cut(model[3], "bias", axis0=kept)
    model[0].out_channels = model[1].in_channels = model[1].out_channels = model[1].groups = 4
    model[2].in_channels, model[2].out_channels, model[2].groups = 4, 4, 2
    model[3].normalized_shape = (4, 4, 4)


def build_old_weight_norm() -> nn.Module:
    with pytest.warns(FutureWarning):
        return nn.Sequential(nn.utils.weight_norm(nn.Linear(6, 8)), nn.Tanh(), nn.Linear(8, 2))


def cut_old_weight_norm(model: nn.Module) -> None:
    for name in ("weight_g", "weight_v", "bias"):
        cut(model[0], name, axis0=[0, 3, 7])
    cut(model[2], "weight", axis1=[0, 3, 7])
    model[0].out_features = model[2].in_features = 3


def build_weight_norm() -> nn.Module:
    first = nn.utils.parametrizations.weight_norm(nn.Linear(6, 8))
    return nn.Sequential(first, nn.Tanh(), nn.Linear(8, 2))


def cut_weight_norm(model: nn.Module) -> None:
    originals = model[0].parametrizations.weight
    cut(originals, "original0", axis0=[0, 3, 7])
    cut(originals, "original1", axis0=[0, 3, 7])
    cut(model[0], "bias", axis0=[0, 3, 7])
    cut(model[2], "weight", axis1=[0, 3, 7])
    model[0].out_features = model[2].in_features = 3


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.block = nn.Linear(8, 8)
        self.head = nn.Linear(8, 11, bias=False)
        self.head.weight = self.embed.weight
        self.blocks = nn.ModuleList([self.block, self.block])

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embed(tokens)
        for block in self.blocks:
            x = x + block(x)
        return self.head(x)


def cut_tied(model: Tied) -> None:
    kept = [0, 1, 5, 6]
    cut(model.embed, "weight", axis1=kept)
    cut(model.block, "weight", axis0=kept, axis1=kept)
    cut(model.block, "bias", axis0=kept)
    model.embed.embedding_dim = model.block.in_features = model.block.out_features = (
        model.head.in_features
    ) = 4


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 4, batch_first=True)
        self.norm = nn.LayerNorm(8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x[..., : self.norm.normalized_shape[0]]
        return self.norm(x + self.attention(x, x, x)[0])


def cut_attention(model: Attention) -> None:
    kept, layer = [0, 1, 6, 7], model.attention
    cut(layer, "in_proj_weight", axis0=[8 * part + each for part in range(3) for each in kept], axis1=kept)
    cut(layer, "in_proj_bias", axis0=[8 * part + each for part in range(3) for each in kept])
    cut(layer.out_proj, "weight", axis0=kept, axis1=kept)
    cut(layer.out_proj, "bias", axis0=kept)
    cut(model.norm, "weight", axis0=kept)
    cut(model.norm, "bias", axis0=kept)
    layer.embed_dim = layer.kdim = layer.vdim = layer.out_proj.in_features = layer.out_proj.out_features = 4
    layer.num_heads = 2
    model.norm.normalized_shape = (4,)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTM(5, 6, num_layers=1, batch_first=True, bidirectional=True)
        self.out = nn.Linear(12, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.cell(x)[0])


def cut_recurrent(model: Recurrent) -> None:
    gates = [6 * gate + each for gate in range(4) for each in (0, 2, 5)]
    for end in ("l0", "l0_reverse"):
        cut(model.cell, f"weight_ih_{end}", axis0=gates)
        cut(model.cell, f"weight_hh_{end}", axis0=gates, axis1=[0, 2, 5])
        cut(model.cell, f"bias_ih_{end}", axis0=gates)
        cut(model.cell, f"bias_hh_{end}", axis0=gates)
    cut(model.out, "weight", axis1=[0, 2, 5, 6, 8, 11])
    model.cell.hidden_size, model.out.in_features = 3, 6


class Loose(nn.Module):
    """Parameters in containers and on the model itself; sizes as attributes, lists and tuples of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 1, 6))
        self.scales = nn.ParameterList([nn.Parameter(torch.randn(6)) for _ in range(2)])
        self.named = nn.ModuleDict({"a b": nn.Linear(6, 6), "ü": nn.Identity()})
        self.parts = [2, 4]
        self.view = (1, -1, 6)
        self._half = 3

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x[..., : self._half * 2].reshape(self.view) * self.scales[0] + self.scales[1] + self.token
        left, right = self.named["a b"](x).split(self.parts, -1)
        return torch.cat([right, left], -1)


def cut_loose(model: Loose) -> None:
    kept = [0, 2, 3, 4]
    cut(model, "token", axis2=kept)
    for scale in model.scales:
        scale.data = scale.data[kept].clone()
    cut(model.named["a b"], "weight", axis0=kept, axis1=kept)
    cut(model.named["a b"], "bias", axis0=kept)
    model.named["a b"].in_features = model.named["a b"].out_features = 4
    model.parts, model.view, model._half = [1, 3], (1, -1, 4), 2


CASES = {
    "convolutions": (build_convolutions, cut_convolutions, torch.ones(2, 3, 8, 8)),
    "groups": (build_groups, cut_groups, torch.ones(2, 4, 8, 8)),
    "old-weight-norm": (build_old_weight_norm, cut_old_weight_norm, torch.ones(2, 6)),
    "weight-norm": (build_weight_norm, cut_weight_norm, torch.ones(2, 6)),
    "tied": (Tied, cut_tied, torch.arange(11)),
    "attention": (Attention, cut_attention, torch.linspace(-1, 1, 80).reshape(2, 5, 8)),
    "recurrent": (Recurrent, cut_recurrent, torch.ones(2, 7, 5)),
    "loose": (Loose, cut_loose, torch.ones(3, 5, 6)),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("training", [False, True])
@torch.no_grad()
def test_a_fresh_build_computes_what_the_smaller_model_did(tmp_path, name, training):
    build, shrink, x = CASES[name]
    small, fresh = seeded(build)(1), seeded(build)(2)
    shrink(small)
    small(x)
    pruners.save(small, tmp_path / "small.safetensors")
    before = [*fresh.parameters(), *fresh.buffers()]
    assert pruners.load(fresh, tmp_path / "small.safetensors") is fresh
    assert contents(fresh) == contents(small)
    assert all(old is now for old, now in zip(before, [*fresh.parameters(), *fresh.buffers()], strict=True))
    assert list(fresh.state_dict()) == list(small.state_dict())
    results = [model.train(training)(x) for model in (small, fresh)]
    assert bits(results[0]) == bits(results[1])


@pytest.mark.parametrize("name", CASES)
def test_what_was_loaded_trains(tmp_path, name):
    build, shrink, x = CASES[name]
    small, fresh = seeded(build)(1), seeded(build)(2)
    shrink(small)
    fresh(x).square().mean().backward()
    pruners.save(small, tmp_path / "small.safetensors")
    pruners.load(fresh, tmp_path / "small.safetensors")
    optimizer = torch.optim.SGD(fresh.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = fresh(x).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", CASES)
def test_the_file_is_read_by_safetensors_alone(tmp_path, name):
    build, shrink, _ = CASES[name]
    small, other = seeded(build)(1), seeded(build)(2)
    shrink(small)
    shrink(other)
    pruners.save(small, tmp_path / "small.safetensors")
    load_model(other, tmp_path / "small.safetensors")
    assert contents(other) == contents(small)
    arrays, manifest = read_arrays(tmp_path / "small.safetensors")
    found = load_file(tmp_path / "small.safetensors")
    assert set(found) | set(manifest.aliases) == set(small.state_dict())
    assert {each: array.tobytes() for each, array in arrays.items()} == {
        each: bits(tensor) for each, tensor in found.items()
    }


def test_tied_weights_are_stored_once_and_stay_tied(tmp_path):
    small, fresh = seeded(Tied)(1), seeded(Tied)(2)
    cut_tied(small)
    pruners.save(small, tmp_path / "small.safetensors")
    assert set(load_file(tmp_path / "small.safetensors")) == {"embed.weight", "block.weight", "block.bias"}
    pruners.load(fresh, tmp_path / "small.safetensors")
    assert fresh.head.weight is fresh.embed.weight and fresh.blocks[1] is fresh.block
    untied = seeded(Tied)(3)
    untied.head.weight = nn.Parameter(torch.zeros(11, 8))
    with pytest.raises(pruners.StateError, match="'embed.weight' and 'head.weight' as one tensor"):
        pruners.load(untied, tmp_path / "small.safetensors")
    pruners.load(untied, tmp_path / "small.safetensors", strict=False)
    assert bits(untied.head.weight) == bits(small.head.weight)
    assert untied.head.weight.data_ptr() != untied.embed.weight.data_ptr()


def test_masked_models_keep_their_zeros_and_load_everywhere(tmp_path):
    model, x = seeded(build_convolutions)(1), torch.ones(2, 3, 8, 8)
    pruners.prune(model, "level", sparsity=0.7)
    pruners.save(model.eval(), tmp_path / "masked.safetensors")
    ours, theirs = seeded(build_convolutions)(2).eval(), seeded(build_convolutions)(3).eval()
    pruners.load(ours, tmp_path / "masked.safetensors")
    theirs.load_state_dict(load_file(tmp_path / "masked.safetensors"))
    assert bits(ours(x)) == bits(theirs(x)) == bits(model(x))
    assert (
        int((ours[0].weight == 0).sum()) == 151
        and not torch.signbit(ours[0].weight[ours[0].weight == 0]).any()
    )


class Table(nn.Module):
    """A table looked up by an integer buffer that the state leaves out, as windowed attention has."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(width, 3))
        self.register_buffer("index", torch.arange(width).flip(0), persistent=False)
        self.register_buffer("causal", torch.ones(4, 4).tril(), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.table[self.index] * x


def small_table() -> Table:
    model = Table()
    cut(model, "table", axis0=[0, 1, 2, 3])
    model.index.data = torch.tensor([2, 0, 3, 1])
    return model


def test_a_buffer_outside_the_state_that_a_removal_cut_is_stored_and_becomes_state(tmp_path):
    small, fresh = small_table(), Table()
    history.record(small, RemovalPlan(kept={"table": {0: np.arange(4)}, "index": {0: np.arange(4)}}))
    pruners.save(small, tmp_path / "small.safetensors")
    assert set(load_file(tmp_path / "small.safetensors")) == {"table", "index"}
    pruners.load(fresh, tmp_path / "small.safetensors")
    assert bits(fresh(torch.ones(3))) == bits(small(torch.ones(3))) and fresh.index.dtype == torch.int64
    assert set(fresh.state_dict()) == {"table", "index"}
    assert history.kept_of(fresh)["index"][0].tolist() == [0, 1, 2, 3]
    again = Table()
    pruners.save(copy.deepcopy(fresh), tmp_path / "again.safetensors")
    pruners.load(again, tmp_path / "again.safetensors")
    assert contents(again) == contents(small)


def test_a_buffer_outside_the_state_that_does_not_fit_is_refused(tmp_path):
    pruners.save(small_table(), tmp_path / "small.safetensors")
    fresh = Table()
    before = contents(fresh)
    with pytest.raises(pruners.StateError, match=r"buffer 'index' was \(4,\) and is \(8,\).*persistent"):
        pruners.load(fresh, tmp_path / "small.safetensors")
    assert contents(fresh) == before
    pruners.load(fresh, tmp_path / "small.safetensors", strict=False)
    assert fresh.table.shape == (4, 3) and fresh.index.shape == (8,)
    pruners.save(Table(), tmp_path / "whole.safetensors")
    pruners.load(Table(), tmp_path / "whole.safetensors")


def test_history_survives_the_file_and_composes(tmp_path):
    small = seeded(build_convolutions)(1)
    cut_convolutions(small)
    history.record(small, RemovalPlan(kept={"0.weight": {0: np.array([1, 4, 6])}}))
    pruners.save(small, tmp_path / "small.safetensors")
    fresh = pruners.load(seeded(build_convolutions)(2), tmp_path / "small.safetensors")
    history.record(fresh, RemovalPlan(kept={"0.weight": {0: np.array([0, 2])}}))
    assert history.kept_of(fresh)["0.weight"][0].tolist() == [1, 6]


def test_weights_that_are_made_from_others_are_made_anew(tmp_path):
    small, fresh = seeded(build_old_weight_norm)(1), seeded(build_old_weight_norm)(2)
    cut_old_weight_norm(small)
    pruners.save(small, tmp_path / "small.safetensors")
    pruners.load(fresh, tmp_path / "small.safetensors")
    small(torch.ones(1, 6))
    assert torch.equal(fresh[0].weight, small[0].weight)


Grid = namedtuple("Grid", ["rows", "columns"])


class Base(nn.Module):
    factor = 2
    parts = [1, 2]
    _version = 3


class Unusual(Base):
    """Integers of the class, of NumPy, in a named tuple; a cache that evaluation fills."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.width = np.int64(width)
        self.grid = Grid(width, 3)
        self.shape = torch.Size([width, 3])
        self.mixed, self.name, self.share, self.flag = (width, "x"), "x", 0.5 * width, True
        self.cache: dict[str, int] = {}

    def forward(self) -> int:
        return self.cache.setdefault("width", len(self.weight)) if not self.training else len(self.weight)

    def train(self, mode: bool = True) -> Unusual:
        if mode:
            self.cache = {}
        return super().train(mode)


def test_integers_are_set_as_what_they_were(tmp_path):
    small, fresh = Unusual(4), Unusual(8)
    small.factor, small.parts, small.later, small._version = 5, [1, 3], 6, 4
    pruners.save(small, tmp_path / "small.safetensors")
    pruners.load(fresh, tmp_path / "small.safetensors")
    assert (fresh.width, type(fresh.width)) == (4, np.int64)
    assert fresh.grid == Grid(4, 3) and type(fresh.grid) is Grid
    assert fresh.shape == (4, 3) and type(fresh.shape) is torch.Size
    assert (fresh.factor, fresh.parts) == (5, [1, 3])
    assert (Unusual.factor, Unusual.parts) == (2, [1, 2])
    assert (fresh.mixed, fresh.share, fresh.flag, fresh._version) == ((8, "x"), 4.0, True, 3)
    assert "later" not in vars(fresh) and "_version" not in vars(fresh)


def test_what_was_kept_for_evaluation_is_dropped(tmp_path):
    small, fresh = Unusual(4), Unusual(8).eval()
    assert fresh() == 8
    pruners.save(small, tmp_path / "small.safetensors")
    pruners.load(fresh, tmp_path / "small.safetensors")
    assert fresh() == 4 and not fresh.training
