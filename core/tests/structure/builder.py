"""Writes networks down as programs, one layer at a time, with numbers in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import define, field

from pruners.structure.program import NONE, Op, Place, Program

from . import operations  # noqa: F401  (enters its kernels in the table)
from .interpreter import KERNELS, Network, Run, Whole

LINEAR = {2: "bi,io->bo", 3: "bli,io->blo"}


@define(eq=False)
class Builder:
    """A network in the making; every operation is run as it is written down."""

    seed: int = 0
    program: Program = field(factory=Program)
    parameters: dict[str, np.ndarray] = field(factory=dict)
    sources: dict[int, np.ndarray] = field(factory=dict)
    fills: dict[int, float] = field(factory=dict)
    weights: dict[str, int] = field(factory=dict)
    run: Run = field(init=False)
    random: np.random.Generator = field(init=False)
    layers: int = 0

    def __attrs_post_init__(self) -> None:
        self.run = Run(self.program, Whole(self.program))
        self.random = np.random.default_rng(self.seed)

    def network(self, *results: int, **others: Program) -> Network:
        """Return the network that gives `results`; others are programs of the same values by mode."""
        for value in results:
            self.program.result(value)
        programs = {"eval": self.program, **others}
        return Network(programs, self.parameters, self.sources, self.fills, self.weights)

    def shape(self, value: int) -> tuple[int, ...]:
        return self.program.shapes[value]

    def name(self, kind: str) -> str:
        """Return the name of a new layer."""
        self.layers += 1
        return f"{kind}{self.layers}"

    # What a network starts from

    def source(self, array: np.ndarray) -> int:
        value = self.program.source(array.shape)
        self.sources[value] = self.run.values[value] = array
        return value

    def picture(self, channels: int, side: int = 2, batch: int = 2) -> int:
        return self.source(self.random.standard_normal((batch, channels, side, side)))

    def vector(self, *shape: int) -> int:
        return self.source(self.random.standard_normal(shape))

    def indices(self, limit: int, *shape: int) -> int:
        return self.source(self.random.integers(0, limit, shape))

    def constant(self, shape: Sequence[int], fill: float = 0.0) -> int:
        value = self.program.constant(shape)
        self.fills[value] = fill
        self.run.values[value] = np.full(shape, fill)
        return value

    def parameter(self, name: str, *shape: int, positive: bool = False) -> int:
        if name not in self.parameters:
            array = self.random.standard_normal(shape)
            self.parameters[name] = np.abs(array) + 0.5 if positive else array + 0.1 * np.sign(array)
        value = self.program.parameter(name, self.parameters[name].shape)
        self.run.values[value] = self.parameters[name]
        return value

    def weight(self, name: str, *shape: int, axis: int = 0) -> int:
        """Return a parameter that is a layer's weight."""
        self.weights[name] = axis
        value = self.parameter(name, *shape)
        self.parameters[name] /= np.sqrt(np.prod(shape) / shape[axis])
        return value

    # Operations

    def op(
        self,
        kind: str,
        *inputs: int,
        shapes: Sequence[Sequence[int]] | None = None,
        module: str = "",
        line: str = "",
        **options: Any,
    ) -> int:
        """Write an operation of one output down; return it."""
        return self.ops(kind, *inputs, shapes=shapes, module=module, line=line, **options)[0]

    def ops(
        self,
        kind: str,
        *inputs: int,
        shapes: Sequence[Sequence[int]] | None = None,
        module: str = "",
        line: str = "",
        **options: Any,
    ) -> tuple[int, ...]:
        """Write an operation down; return its outputs. Shapes must be given where they are literals."""
        if shapes is None:
            given = [np.zeros(0) if value == NONE else self.run.values[value] for value in inputs]
            with np.errstate(all="ignore"):
                computed = KERNELS[kind](self.run, Op(kind, inputs, (), options), given)
            shapes = [array.shape for array in computed]
        values = self.program.op(kind, inputs, shapes, Place(module, kind, line), **options)
        self.run.go(self.program.ops[-1:])
        return values

    def unary(self, x: int, function: str, **options: Any) -> int:
        return self.op("elementwise", x, function=function, **options)

    def binary(self, left: int, right: int, function: str = "add") -> int:
        return self.op("elementwise", left, right, function=function)

    def reshape(self, x: int, *shape: int, module: str = "", line: str = "") -> int:
        return self.op("reshape", x, shapes=[shape], module=module, line=line)

    def transpose(self, x: int, *axes: int) -> int:
        return self.op("transpose", x, axes=axes)

    def reduce(self, x: int, *axes: int, function: str = "mean", keepdims: bool = False) -> int:
        return self.op("reduce", x, axes=axes, keepdims=keepdims, function=function)

    def split(self, x: int, axis: int, *sizes: int) -> tuple[int, ...]:
        shape = self.shape(x)
        shapes = [(*shape[:axis], size, *shape[axis + 1 :]) for size in sizes]
        return self.ops("split", x, shapes=shapes, axis=axis, sizes=sizes)

    def slice(self, x: int, axis: int, start: int, stop: int, step: int = 1) -> int:
        return self.op("slice", x, axis=axis, start=start, stop=stop, step=step)

    def pad(self, x: int, axis: int, before: int, after: int) -> int:
        shape = self.shape(x)
        widths = [
            tuple(amount if each == axis else 0 for each in range(len(shape))) for amount in (before, after)
        ]
        padded = tuple(map(sum, zip(shape, *widths, strict=True)))
        return self.op("pad", x, shapes=[padded], before=widths[0], after=widths[1])

    # Layers

    def conv(
        self,
        x: int,
        out: int,
        kernel: int = 1,
        groups: int = 1,
        bias: bool = True,
        stride: int = 1,
        transposed: bool = False,
        name: str = "",
        weight: int | None = None,
    ) -> int:
        """Add a convolution over all axes but the first two; an odd kernel keeps the size."""
        name = name or self.name("conv")
        extent, channels = len(self.shape(x)) - 2, self.shape(x)[1]
        if weight is None:
            shape = (channels, out // groups) if transposed else (out, channels // groups)
            weight = self.weight(f"{name}.weight", *shape, *[kernel] * extent, axis=int(transposed))
        padding = 0 if transposed else kernel // 2
        return self.op(
            "conv",
            x,
            weight,
            self.parameter(f"{name}.bias", out) if bias else NONE,
            module=name,
            groups=groups,
            transposed=transposed,
            stride=(stride,) * extent,
            padding=(padding,) * extent,
            dilation=(1,) * extent,
        )

    def linear(self, x: int, out: int, bias: bool = True, name: str = "", weight: int | None = None) -> int:
        """Add a linear layer over the last axis, as frameworks record it."""
        name = name or self.name("linear")
        if weight is None:
            weight = self.weight(f"{name}.weight", out, self.shape(x)[-1])
        rank = len(self.shape(x))
        spec = LINEAR.get(rank, f"{'uvwxyz'[: rank - 1]}i,io->{'uvwxyz'[: rank - 1]}o")
        result = self.op("contract", x, self.transpose(weight, 1, 0), module=name, spec=spec)
        return self.binary(result, self.parameter(f"{name}.bias", out)) if bias else result

    def batch_norm(self, x: int, affine: bool = True, statistics: str = "running", name: str = "") -> int:
        """Add a batch norm; statistics are "running" or of the "batch"."""
        name = name or self.name("bn")
        names = ["weight", "bias"] if affine else []
        names += ["running_mean", "running_var"] if statistics == "running" else []
        channels = self.shape(x)[1]
        given = [self.parameter(f"{name}.{each}", channels, positive=each == "running_var") for each in names]
        batch = statistics == "batch"
        return self.op("batch_norm", x, *given, module=name, names=tuple(names), batch_statistics=batch)

    def layer_norm(
        self, x: int, axes: Sequence[int] = (-1,), affine: bool = True, function: str = "layer_norm"
    ) -> int:
        """Add a layer norm or a root-mean-square norm over the last axes."""
        name = self.name("norm")
        shape = self.shape(x)
        axes = tuple(axis % len(shape) for axis in axes)
        names = (["weight"] if function == "rms_norm" else ["weight", "bias"]) if affine else []
        given = [self.parameter(f"{name}.{each}", *(shape[axis] for axis in axes)) for each in names]
        return self.op("layer_norm", x, *given, module=name, names=tuple(names), axes=axes, function=function)

    def group_norm(self, x: int, groups: int, affine: bool = True) -> int:
        name = self.name("norm")
        names = ["weight", "bias"] if affine else []
        given = [self.parameter(f"{name}.{each}", self.shape(x)[1]) for each in names]
        return self.op("group_norm", x, *given, module=name, names=tuple(names), groups=groups)

    def embedding(self, indices: int, rows: int, width: int) -> int:
        table = self.parameter(f"{self.name('embedding')}.weight", rows, width)
        return self.op("embedding", indices, table)

    def attention(self, q: int, k: int, v: int, mask: int = NONE, scale: float | None = None) -> int:
        """Add scaled dot-product attention of (batch, heads, length, width)."""
        return self.op("attention", q, k, v, mask, scale=scale)

    def heads(self, x: int, heads: int, module: str = "") -> int:
        """Part the last axis of (batch, length, channel) into heads: (batch, heads, length, width)."""
        batch, length, channels = self.shape(x)
        parted = self.reshape(x, batch, length, heads, channels // heads, module=module, line="heads")
        return self.transpose(parted, 0, 2, 1, 3)

    def merge(self, x: int) -> int:
        """Undo `heads`."""
        batch, heads, length, width = self.shape(x)
        return self.reshape(self.transpose(x, 0, 2, 1, 3), batch, length, heads * width)
