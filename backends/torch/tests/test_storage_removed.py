"""Models whose channels `pruners.remove` took: saved, loaded into fresh builds, computing the same bits."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import pruners
from pruners.structure import history


class Residual(nn.Module):
    """Convolutions with batch norm, a shortcut, a concatenation and a depthwise layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 12, 3, padding=1, bias=False), nn.BatchNorm2d(12), nn.ReLU())
        self.deep = nn.Sequential(nn.Conv2d(12, 12, 3, padding=1, groups=12), nn.Conv2d(12, 12, 1))
        self.side = nn.Conv2d(12, 8, 1)
        self.head = nn.Linear(20, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = torch.cat([x + self.deep(x), self.side(x).relu()], 1)
        return self.head(x.mean((2, 3)))


class Positions(nn.Module):
    """An encoding over channels that is outside the state, as sinusoidal ones are."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(6, 8)
        self.register_buffer("encoding", torch.sin(torch.arange(40.0).reshape(5, 8)), persistent=False)
        self.first, self.second = nn.Linear(8, 16), nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(self.embed(x) + self.encoding).relu())


def sequential() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.GroupNorm(2, 8),
        nn.ReLU(),
        nn.Flatten(),
        nn.utils.parametrizations.weight_norm(nn.Linear(288, 10)),
        nn.Linear(10, 4),
    )


CASES = {
    "residual": (Residual, torch.linspace(-1, 1, 384).reshape(2, 3, 8, 8)),
    "sequential": (sequential, torch.linspace(-1, 1, 384).reshape(2, 3, 8, 8)),
    "positions": (Positions, torch.linspace(-1, 1, 60).reshape(2, 5, 6)),
}


def removed(name: str) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(1)
    build, x = CASES[name]
    model = build().eval()
    removal = pruners.remove(model, "level", sparsity=0.5, example_inputs=(x,), measure=0)
    if not history.kept_of(model):
        history.record(model, removal.plan)
    return model, x


@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_what_was_removed_stays_removed(tmp_path, name):
    small, x = removed(name)
    pruners.save(small, tmp_path / "small.safetensors")
    torch.manual_seed(2)
    fresh = CASES[name][0]().eval()
    size = sum(parameter.numel() for parameter in fresh.parameters())
    pruners.load(fresh, tmp_path / "small.safetensors")
    assert sum(parameter.numel() for parameter in fresh.parameters()) < 0.6 * size
    assert torch.equal(fresh(x), small(x))
    assert str(fresh) == str(small)
    kept = history.kept_of(small)
    found = history.kept_of(fresh)
    assert kept and {name: sorted(axes) for name, axes in found.items()} == {
        name: sorted(axes) for name, axes in kept.items()
    }


def test_a_buffer_outside_the_state_is_cut_saved_and_loaded(tmp_path):
    small, x = removed("positions")
    assert small.encoding.shape == (5, 4)
    pruners.save(small, tmp_path / "small.safetensors")
    fresh = pruners.load(Positions().eval(), tmp_path / "small.safetensors")
    pruners.save(copy.deepcopy(fresh), tmp_path / "again.safetensors")
    again = pruners.load(Positions().eval(), tmp_path / "again.safetensors")
    assert torch.equal(again(x), small(x))


def test_removing_again_after_loading_composes(tmp_path):
    small, x = removed("residual")
    pruners.save(small, tmp_path / "once.safetensors")
    loaded = pruners.load(Residual().eval(), tmp_path / "once.safetensors")
    before = history.kept_of(loaded)["side.weight"][0].tolist()
    removal = pruners.remove(loaded, "level", sparsity=0.5, example_inputs=(x,), measure=0)
    if history.kept_of(loaded)["side.weight"][0].tolist() == before:
        history.record(loaded, removal.plan)
    pruners.save(loaded, tmp_path / "twice.safetensors")
    fresh = pruners.load(Residual().eval(), tmp_path / "twice.safetensors")
    found = history.kept_of(fresh)["side.weight"][0].tolist()
    assert len(found) == 2 and set(found) < set(before)
    assert torch.equal(fresh(x), loaded(x))
