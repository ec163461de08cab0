"""Tiny models, each with what it is called with, for every family of operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations


class Calling(nn.Module):
    """Runs a function of the module and its inputs."""

    def __init__(self, function: Callable[..., Any], **members: Any) -> None:
        super().__init__()
        self.function = function
        for name, member in members.items():
            setattr(self, name, member)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(self, *args, **kwargs)


def weight(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(shape))


def picture(channels: int = 3, size: int = 8) -> torch.Tensor:
    return torch.randn(2, channels, size, size)


def assigned(self, x):
    whole = x.new_zeros(x.shape[0], 8, *x.shape[2:])
    whole[:, 2:6] = self.conv(x)
    return self.last(whole)


def written_in_place(self, x):
    y = self.conv(x)
    y[:, :2].mul_(2)
    y.view(y.shape[0], -1).relu_()
    return self.last(y)


def grouped_queries(self, x):
    q = self.q(x).view(2, 5, 4, 3).transpose(1, 2)
    k = self.k(x).view(2, 5, 2, 3).transpose(1, 2)
    return F.scaled_dot_product_attention(q, k, k, is_causal=True, enable_gqa=True)


def put(self, x):
    table = x.new_zeros(3, 4, 5)
    table[torch.tensor([0, 1]), torch.tensor([1, 2])] = x
    return self.last(table)


def indexed(self, x):
    first = x[torch.tensor([0, 1]), :, torch.tensor([1, 2])]
    return first, x[:, torch.tensor([[0, 1], [1, 2]]), torch.tensor([1, 2])], x[x > 0], x[..., None], x[0]


def scattered(self, x):
    table = x.new_zeros(2, 6).scatter_add(1, torch.zeros(2, 4, dtype=torch.long), x)
    return table.index_add(0, torch.tensor([0, 1]), torch.randn(2, 6)).index_fill(1, torch.tensor([0]), 1.0)


def repeated(self, x):
    twice = x.repeat(1, 2, 1) + x.repeat_interleave(2, dim=1) + torch.cat([x, x.flip(1)], 1).roll(1, 1)
    return twice + x.tile(2, 1)


def mixed(self, x):
    y = torch.where(x > 0, x, 2 * x).lerp(x, 0.5).addcmul(x, x).clamp(0)
    return y.softmax(1).cumsum(1) + x.sort(1)[0] + x.tril() + torch.linspace(0, 1, 4) + torch.ones_like(x)


def products(self, x):
    y = x @ self.weight @ x.transpose(-1, -2) @ x[0, 0]
    y = y + torch.linalg.vector_norm(x, dim=2, keepdim=True) + x.var(2, keepdim=True)
    return y + x.max(2, keepdim=True)[0] + torch.max(x, x[:, :, :1]) + x.mean((2, 3))[..., None, None]


def transformed(self, x):
    return torch.fft.irfft2(torch.fft.rfft2(x) * torch.view_as_complex(self.weight))


def sampled(self, x):
    return F.grid_sample(self.conv(x), self.places(x).permute(0, 2, 3, 1), align_corners=False)


def attended(self, x):
    return self.attention(x, x, x, attn_mask=torch.zeros(5, 5))


def under_autocast(self, x):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return self.last(self.conv(x).relu())


def patched(self, x):
    return F.fold(F.unfold(self.conv(x), 3, padding=1), (8, 8), 3, padding=1)


def vectors(self, x):
    return self.weight @ x[0] + x[0].dot(x[1]) + torch.addmv(x[0], self.weight, x[1])


def stacked(self, x):
    return torch.stack(self.lin(x).view(2, 3, 4).unbind(1), 0).mean(0)


def sliced(self, x):
    return torch.slice_scatter(torch.zeros(2, 6), self.lin(x), 1, 1, 5)


def by_data(self, x):
    return F.linear(x, self.lin.weight.data, self.lin.bias.detach())


Case = Callable[[], tuple[nn.Module, Any]]

CASES: dict[str, Case] = {
    "attention with weights": lambda: (nn.MultiheadAttention(12, 3), (torch.randn(5, 2, 12),) * 3),
    "attention with a mask": lambda: (
        Calling(attended, attention=nn.MultiheadAttention(12, 3)),
        (torch.randn(5, 2, 12),),
    ),
    "attention of other widths": lambda: (
        nn.MultiheadAttention(12, 3, kdim=7, vdim=9, add_bias_kv=True, add_zero_attn=True),
        (torch.randn(5, 2, 12), torch.randn(6, 2, 7), torch.randn(6, 2, 9)),
    ),
    "attention of one example": lambda: (nn.MultiheadAttention(12, 3), (torch.randn(5, 12),) * 3),
    "encoder": lambda: (
        nn.TransformerEncoder(nn.TransformerEncoderLayer(12, 3, 24, batch_first=True), 2),
        (torch.randn(2, 5, 12),),
    ),
    "decoder": lambda: (
        nn.TransformerDecoderLayer(12, 3, 24),
        (torch.randn(5, 2, 12), torch.randn(4, 2, 12)),
    ),
    "grouped queries": lambda: (
        Calling(grouped_queries, q=nn.Linear(6, 12), k=nn.Linear(6, 6)),
        (torch.randn(2, 5, 6),),
    ),
    "attention of three axes": lambda: (
        Calling(lambda self, x: F.scaled_dot_product_attention(self.q(x), x, x), q=nn.Linear(6, 6)),
        (torch.randn(2, 5, 6),),
    ),
    "attention of five axes": lambda: (
        Calling(lambda self, x, y: F.scaled_dot_product_attention(x, y, y)),
        (torch.randn(2, 3, 2, 5, 6), torch.randn(2, 3, 2, 4, 6)),
    ),
    "lstm": lambda: (
        Calling(
            lambda self, x: self.last(self.lstm(x)[0]),
            lstm=nn.LSTM(6, 4, 2, bidirectional=True),
            last=nn.Linear(8, 3),
        ),
        (torch.randn(5, 2, 6),),
    ),
    "gru": lambda: (
        Calling(lambda self, x: self.last(self.gru(x)[0]), gru=nn.GRU(6, 4), last=nn.Linear(4, 3)),
        (torch.randn(5, 2, 6),),
    ),
    "lstm cell": lambda: (nn.LSTMCell(6, 4), (torch.randn(2, 6),)),
    "weight norm by hook": lambda: (
        nn.Sequential(nn.utils.weight_norm(nn.Conv1d(3, 4, 3)), nn.Conv1d(4, 2, 1)),
        (torch.randn(2, 3, 8),),
    ),
    "weight norm": lambda: (
        nn.Sequential(parametrizations.weight_norm(nn.Conv2d(3, 4, 3), dim=1), nn.Conv2d(4, 2, 1)),
        (picture(),),
    ),
    "spectral norm": lambda: (
        nn.Sequential(parametrizations.spectral_norm(nn.Conv1d(3, 4, 3)), nn.Conv1d(4, 2, 1)),
        (torch.randn(2, 3, 8),),
    ),
    "rms norm": lambda: (
        nn.Sequential(nn.Linear(3, 6), nn.RMSNorm(6), nn.Linear(6, 2)),
        (torch.randn(2, 3),),
    ),
    "norms": lambda: (
        nn.Sequential(
            nn.Conv2d(3, 6, 1),
            nn.InstanceNorm2d(6, affine=True, track_running_stats=True),
            nn.GroupNorm(2, 6),
            nn.BatchNorm2d(6),
            nn.LayerNorm((6, 8, 8)),
        ),
        (picture(),),
    ),
    "einsum": lambda: (
        Calling(lambda self, x: torch.einsum("bchw,cd->bdhw", x, self.weight), weight=weight(3, 5)),
        (picture(),),
    ),
    "slices assigned": lambda: (
        Calling(assigned, conv=nn.Conv2d(3, 4, 1), last=nn.Conv2d(8, 2, 1)),
        (picture(),),
    ),
    "written in place": lambda: (
        Calling(written_in_place, conv=nn.Conv2d(3, 4, 1), last=nn.Conv2d(4, 2, 1)),
        (picture(),),
    ),
    "put by index": lambda: (Calling(put, last=nn.Linear(5, 2)), (torch.randn(2, 5),)),
    "read by index": lambda: (Calling(indexed), (torch.randn(2, 3, 4),)),
    "scattered": lambda: (Calling(scattered), (torch.randn(2, 4),)),
    "spectrum": lambda: (Calling(transformed, weight=weight(4, 3, 2)), (picture(size=4),)),
    "pixels shuffled": lambda: (
        nn.Sequential(nn.Conv2d(3, 8, 1), nn.PixelShuffle(2), nn.PixelUnshuffle(2), nn.ChannelShuffle(4)),
        (picture(),),
    ),
    "patches": lambda: (
        Calling(
            lambda self, x: F.fold(F.unfold(self.conv(x), 3, padding=1), (8, 8), 3, padding=1),
            conv=nn.Conv2d(3, 4, 1),
        ),
        (picture(),),
    ),
    "sliding": lambda: (Calling(lambda self, x: x.unfold(2, 3, 1)), (picture(),)),
    "transposed convolutions": lambda: (
        nn.Sequential(
            nn.Conv2d(3, 4, 1), nn.ConvTranspose2d(4, 6, 2, 2, groups=2), nn.ConvTranspose2d(6, 3, 3)
        ),
        (picture(),),
    ),
    "grouped convolutions": lambda: (
        nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 12, 1, groups=4)),
        (picture(),),
    ),
    "windows": lambda: (
        nn.Sequential(
            nn.Conv2d(3, 4, 1),
            nn.MaxPool2d(2),
            nn.AvgPool2d(2),
            nn.AdaptiveAvgPool2d(2),
            nn.AdaptiveMaxPool2d(1),
            nn.Upsample(scale_factor=2),
            nn.ReflectionPad2d(1),
            nn.ZeroPad2d(1),
            nn.CircularPad2d(1),
            nn.ConstantPad2d(1, 2.0),
        ),
        (picture(size=16),),
    ),
    "one axis": lambda: (
        nn.Sequential(nn.Conv1d(3, 4, 3), nn.BatchNorm1d(4), nn.MaxPool1d(2), nn.AdaptiveAvgPool1d(3)),
        (torch.randn(2, 3, 16),),
    ),
    "three axes": lambda: (
        nn.Sequential(nn.Conv3d(3, 4, 3), nn.BatchNorm3d(4), nn.MaxPool3d(2), nn.ConvTranspose3d(4, 2, 2)),
        (torch.randn(2, 3, 6, 6, 6),),
    ),
    "places of the largest": lambda: (
        Calling(lambda self, x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2)),
        (picture(),),
    ),
    "grid": lambda: (
        Calling(sampled, conv=nn.Conv2d(3, 4, 1), places=nn.Conv2d(3, 2, 1)),
        (picture(),),
    ),
    "repeated": lambda: (Calling(repeated), (torch.randn(2, 3, 4),)),
    "embedding": lambda: (
        nn.Sequential(nn.Embedding(10, 4), nn.Linear(4, 2)),
        (torch.randint(0, 10, (2, 5)),),
    ),
    "bag": lambda: (nn.Sequential(nn.EmbeddingBag(10, 4), nn.Linear(4, 2)), (torch.randint(0, 10, (2, 5)),)),
    "gate": lambda: (nn.Sequential(nn.Linear(3, 8), nn.GLU(), nn.Linear(4, 2)), (torch.randn(2, 3),)),
    "mixed": lambda: (Calling(mixed), (torch.randn(3, 4),)),
    "products": lambda: (Calling(products, weight=weight(4, 4)), (torch.randn(2, 4, 4, 4),)),
    "vectors": lambda: (
        Calling(
            lambda self, x: (self.weight @ x[0]) + x[0].dot(x[1]) + torch.addmv(x[0], self.weight, x[1]),
            weight=weight(3, 3),
        ),
        (torch.randn(2, 3),),
    ),
    "batched sums": lambda: (
        Calling(lambda self, x: torch.baddbmm(x, x, x) + torch.addmm(x[0], x[0], x[1], beta=0)),
        (torch.randn(2, 3, 3),),
    ),
    "stacked": lambda: (
        Calling(
            lambda self, x: torch.stack(self.lin(x).view(2, 3, 4).unbind(1), 0).mean(0), lin=nn.Linear(3, 12)
        ),
        (torch.randn(2, 3),),
    ),
    "parts": lambda: (
        Calling(lambda self, x: torch.cat([*x.chunk(2, 1), *x.split([1, 2, 1], 1), x.narrow(1, 1, 2)], 1)),
        (torch.randn(2, 4),),
    ),
    "slices scattered": lambda: (
        Calling(
            lambda self, x: torch.slice_scatter(torch.zeros(2, 6), self.lin(x), 1, 1, 5), lin=nn.Linear(3, 4)
        ),
        (torch.randn(2, 3),),
    ),
    "data of weights": lambda: (
        Calling(
            lambda self, x: F.linear(x, self.lin.weight.data, self.lin.bias.detach()), lin=nn.Linear(3, 4)
        ),
        (torch.randn(2, 3),),
    ),
    "autocast": lambda: (
        Calling(under_autocast, conv=nn.Conv2d(3, 4, 1), last=nn.Conv2d(4, 2, 1)),
        (picture(),),
    ),
    "without a rule": lambda: (
        Calling(lambda self, x: torch.cdist(x, x) + x.diagonal(dim1=1, dim2=2).sum()),
        (torch.randn(2, 4, 4),),
    ),
}
