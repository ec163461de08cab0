"""Random networks of operations with sizes in them: whatever leaves, the graph equals the masked module."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn


class Block(nn.Module):
    """Takes pictures (batch, channel, 4, 4) and gives pictures."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.out = width
        self.make()

    def make(self) -> None:
        self.conv = nn.Conv2d(self.width, self.width, 3, padding=1)


class Residual(Block):
    def forward(self, x):
        return x + F.relu(self.conv(x))


class Grouped(Block):
    def make(self):
        self.conv = nn.Conv2d(self.width, 2 * self.width, 1, groups=4)
        self.out = 2 * self.width

    def forward(self, x):
        return F.relu(self.conv(x))


class Shuffled(Block):
    def forward(self, x):
        x = self.conv(x)
        return x.view(-1, 2, self.width // 2, 4, 4).transpose(1, 2).reshape(x.shape[0], self.width, 4, 4)


class Halves(Block):
    def forward(self, x):
        a, b = torch.split(self.conv(x), self.width // 2, 1)
        return torch.cat([b, x, a.sigmoid()], 1)[:, self.width // 4 : self.width + self.width // 4]


class Chunks(Block):
    def make(self):
        self.conv = nn.Conv2d(self.width, 2 * self.width, 1)

    def forward(self, x):
        a, b = self.conv(x).chunk(2, 1)
        return a * b.tanh()


class Padded(Block):
    def make(self):
        super().make()
        self.out = self.width + 8

    def forward(self, x):
        return F.pad(x, (0, 0, 0, 0, 4, 4)) + F.pad(self.conv(x), (0, 0, 0, 0, 0, 8))


class Written(Block):
    def forward(self, x):
        y = x.new_zeros(x.shape[0], 2 * self.width, 4, 4)
        y[:, self.width // 2 : self.width // 2 + self.width] = F.relu(self.conv(x))
        return y.narrow(1, self.width // 2, self.width) + x


class Squeezed(Block):
    def forward(self, x):
        gate = F.adaptive_avg_pool2d(x, 1)
        return x * torch.sigmoid(F.conv2d(gate, self.conv.weight[:, :, 1:2, 1:2])).expand(-1, -1, 4, 4)


class Folded(Block):
    def make(self):
        self.conv = nn.Conv2d(self.width, 4 * self.width, 1)

    def forward(self, x):
        x = F.pixel_shuffle(self.conv(x), 2)
        return F.avg_pool2d(x, 2)


class Attended(Block):
    def make(self):
        self.conv = nn.Linear(self.width, 3 * self.width)
        self.project = nn.Linear(self.width, self.width)

    def forward(self, x):
        y = x.flatten(2).transpose(1, 2)
        q, k, v = self.conv(y).unflatten(2, (3, 2, self.width // 2)).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape[0], 16, self.width)
        return x + self.project(y).transpose(1, 2).unflatten(2, (4, 4))


class Repeated(Block):
    def forward(self, x):
        y = self.conv(x).repeat(1, 2, 1, 1)
        return y.view(x.shape[0], 2, self.width, 16).sum(1).view(x.shape)


BLOCKS = Block.__subclasses__()


class Net(nn.Module):
    def __init__(self, kinds) -> None:
        super().__init__()
        width = 8
        self.stem = nn.Conv2d(3, width, 1)
        self.blocks = nn.ModuleList()
        for kind in kinds:
            self.blocks.append(kind(width))
            width = self.blocks[-1].out
        self.head = nn.Linear(width, 3)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((2, 3)))


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.sampled_from(BLOCKS), min_size=1, max_size=3), st.floats(0.2, 0.8), st.integers(0, 3))
def test_a_smaller_graph_equals_the_masked_module(graphs, kinds, share, seed):
    torch.manual_seed(seed)
    model, x = Net(kinds).eval(), torch.randn(3, 3, 4, 4)
    found = graphs.shrink(model, x, share, modes=("eval",))
    assert found.proof.error <= 1e-9
    reference = graphs.masked(model, found.kept).double()
    other = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    with torch.no_grad():
        expected, given_ = reference(other), copy.deepcopy(found.model).double()(other)
    torch.testing.assert_close(given_, expected, rtol=1e-8, atol=1e-8)
    assert found.left < 1
