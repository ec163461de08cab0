"""Programs as large as real networks', with shapes only."""

from __future__ import annotations

from attrs import define, field

from pruners.structure.program import NONE, Place, Program

SIDE = 8
"""Rows and columns of every picture: they are not what costs time."""


@define(eq=False)
class Writer:
    """A program in the making and the layers that can be scored."""

    program: Program = field(factory=Program)
    weights: dict[str, int] = field(factory=dict)

    def shape(self, value: int) -> tuple[int, ...]:
        return self.program.shapes[value]

    def one(self, kind: str, inputs: list[int], shape: tuple[int, ...], module: str = "", **options) -> int:
        return self.program.op(kind, inputs, [shape], Place(module, kind), **options)[0]

    def vector(self, name: str, length: int) -> int:
        return self.program.parameter(name, (length,))

    def conv(self, x: int, out: int, kernel: int, name: str) -> int:
        """Add a convolution, a batch norm and a ReLU."""
        weight = self.program.parameter(f"{name}.weight", (out, self.shape(x)[1], kernel, kernel))
        self.weights[f"{name}.weight"] = 0
        shape = (self.shape(x)[0], out, SIDE, SIDE)
        ones = {"stride": (1, 1), "padding": (kernel // 2,) * 2, "dilation": (1, 1)}
        y = self.one("conv", [x, weight, NONE], shape, name, groups=1, transposed=False, **ones)
        given = [
            self.vector(f"{name}.bn.{each}", out)
            for each in ("weight", "bias", "running_mean", "running_var")
        ]
        y = self.one("batch_norm", [y, *given], shape, f"{name}.bn", batch_statistics=False)
        return self.one("elementwise", [y], shape, function="relu")

    def add(self, left: int, right: int) -> int:
        return self.one("elementwise", [left, right], self.shape(left), function="add")

    def linear(self, x: int, out: int, name: str) -> int:
        into = self.shape(x)[-1]
        weight = self.program.parameter(f"{name}.weight", (out, into))
        self.weights[f"{name}.weight"] = 0
        turned = self.one("transpose", [weight], (into, out), name, axes=(1, 0))
        shape = (*self.shape(x)[:-1], out)
        spec = {2: "bi,io->bo", 3: "bli,io->blo"}[len(shape)]
        y = self.one("contract", [x, turned], shape, name, spec=spec)
        return self.add(y, self.vector(f"{name}.bias", out))

    def layer_norm(self, x: int, name: str) -> int:
        width = self.shape(x)[-1]
        given = [self.vector(f"{name}.{each}", width) for each in ("weight", "bias")]
        return self.one("layer_norm", [x, *given], self.shape(x), name, axes=(2,))

    def attention(self, x: int, heads: int, name: str) -> int:
        batch, length, width = self.shape(x)
        each = width // heads
        packed = self.linear(x, 3 * width, f"{name}.qkv")
        parted = self.one("reshape", [packed], (batch, length, 3, heads, each), name)
        shape = (batch, heads, length, each)
        turned = self.one("transpose", [parted], (3, *shape), name, axes=(2, 0, 3, 1, 4))
        parts = self.program.op("select", [turned], [shape] * 3, Place(name, "select"), axis=0)
        y = self.one("attention", [*parts, NONE], shape, name, scale=None)
        y = self.one("transpose", [y], (batch, length, heads, each), name, axes=(0, 2, 1, 3))
        return self.linear(self.one("reshape", [y], (batch, length, width), name), width, f"{name}.proj")


def resnet(blocks: tuple[int, ...] = (3, 4, 6, 3)) -> Writer:
    """Return a ResNet-50 of bottlenecks: about 170 operations, 160 thousand labels."""
    writer = Writer()
    x = writer.conv(writer.program.source((2, 3, SIDE, SIDE)), 64, 7, "stem")
    for stage, count in enumerate(blocks):
        width = 64 * 2**stage
        for number in range(count):
            name = f"layer{stage}.{number}"
            y = writer.conv(x, width, 1, f"{name}.conv1")
            y = writer.conv(y, width, 3, f"{name}.conv2")
            y = writer.conv(y, 4 * width, 1, f"{name}.conv3")
            x = writer.conv(x, 4 * width, 1, f"{name}.down") if number == 0 else x
            x = writer.one("elementwise", [writer.add(x, y)], writer.shape(x), function="relu")
    x = writer.one("reduce", [x], writer.shape(x)[:2], axes=(2, 3), keepdims=False, function="mean")
    writer.program.result(writer.linear(x, 1000, "fc"))
    return writer


def transformer(blocks: int = 24, width: int = 1024, heads: int = 16) -> Writer:
    """Return a transformer with packed attention."""
    writer = Writer()
    x = writer.linear(writer.program.source((2, 16, 48)), width, "embed")
    for number in range(blocks):
        name = f"blocks.{number}"
        y = writer.layer_norm(x, f"{name}.norm1")
        x = writer.add(x, writer.attention(y, heads, f"{name}.attn"))
        y = writer.linear(writer.layer_norm(x, f"{name}.norm2"), 4 * width, f"{name}.fc1")
        y = writer.one("elementwise", [y], writer.shape(y), function="gelu")
        x = writer.add(x, writer.linear(y, width, f"{name}.fc2"))
    writer.program.result(writer.linear(x, 1000, "head"))
    return writer
