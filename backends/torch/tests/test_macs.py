"""MACs are those of PyTorch's own counter, before a removal and after it."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import pruners

torch.set_num_threads(1)


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(6, 24)
        self.heads = nn.MultiheadAttention(24, 4, batch_first=True)
        self.out = nn.Linear(24, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embed(x)
        return self.out(x + self.heads(x, x, x, need_weights=False)[0])


class Upward(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.groups = nn.Conv2d(8, 16, 3, padding=1, groups=4)
        self.up = nn.ConvTranspose2d(16, 6, 2, stride=2)
        self.last = nn.Conv2d(6, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.groups(self.depthwise(self.down(x).relu()).relu()).relu()
        return self.last(self.up(x).relu())


def counted(model: nn.Module, x: torch.Tensor) -> int:
    """Return what PyTorch counts: two operations for each multiplication and addition."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # fused operations are not counted
    try:
        with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            model.eval()(x)
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
    return int(counter.get_total_flops()) // 2


@pytest.mark.parametrize(
    ("build", "shape"), [(Attention, (2, 7, 6)), (Upward, (2, 3, 16, 16))], ids=["attention", "pictures"]
)
def test_macs_are_those_of_a_public_counter(build, shape):
    torch.manual_seed(0)
    model, x = build(), torch.randn(shape)
    dense = counted(model, x)
    removal = pruners.remove(model, "filter-norm", sparsity=0.5, example_inputs=x, measure=0)
    assert removal.macs.before == dense
    assert removal.macs.after == counted(model, x) < dense
    assert removal.parameters.after == sum(parameter.numel() for parameter in model.parameters())


def test_a_group_saves_what_leaves_with_it_alone():
    def removal(sparsity: object) -> pruners.Removal:
        torch.manual_seed(0)
        options = {"example_inputs": torch.randn(2, 3, 16, 16), "measure": 0}
        return pruners.remove(Upward(), "filter-norm", sparsity=sparsity, **options)

    rows = {row.layer: row for row in removal(0.5).groups}
    assert len(rows) == 2
    for layer, row in rows.items():
        alone = removal({layer: 0.5})
        assert row.parameters == alone.parameters.before - alone.parameters.after > 0
        assert row.macs == alone.macs.before - alone.macs.after > 0
