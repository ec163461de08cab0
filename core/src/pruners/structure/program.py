"""One forward pass as neutral operations: what a backend records and the engine reads.

A backend *translates*; it decides nothing. Values are numbered; an operation has a kind, the values it
reads and writes, and options. The rules that give each kind a meaning are in `rules`.

==================  ======================================================  ===============================
kind                inputs (-1: absent)                                     options
==================  ======================================================  ===============================
``elementwise``     any number, broadcast together from the last axis       ``function`` (a name)
``conv``            x (batch, in, ...), weight, bias or -1                  ``groups``, ``transposed``,
                                                                            ``stride``, ``padding``,
                                                                            ``dilation`` (tuples)
``contract``        two operands                                            ``spec``: "bi,oi->bo"
``attention``       q, k, v (batch..., heads, length, width), mask or -1    ``scale`` (float or None)
``batch_norm``      x (batch, channel, ...), then its parameters (channel,) ``batch_statistics`` (bool)
``layer_norm``      x, then its parameters (features...)                    ``axes`` normalised over
``group_norm``      x (batch, channel, ...), then its parameters (channel,) ``groups``
``reduce``          x                                                       ``axes``, ``keepdims``
``along``           x: softmax, sort, cumsum, roll                          ``axes`` it mixes
``window``          x: pooling, resizing                                    ``axes`` it mixes
``reshape``         x
``transpose``       x                                                       ``axes``: the permutation
``squeeze``         x                                                       ``axes`` dropped
``unsqueeze``       x                                                       ``axes`` of the result, new
``expand``          x
``tile``            x                                                       ``repeats`` per result axis
``concat``          any number                                              ``axis``
``stack``           any number                                              ``axis`` of the result
``split``           x; one output per part                                  ``axis``, ``sizes``
``slice``           x                                                       ``axis``, ``start``, ``stop``,
                                                                            ``step``
``flip``            x                                                       ``axes``
``select``          x; unbind has several outputs                           ``axis``
``pad``             x, filled with zeros                                    ``before``, ``after`` per axis
``gather``          x, indexed with constants or data; then the indices     ``axes`` indexed, ``result``:
                                                                            source axis per result axis or
                                                                            None
``embedding``       indices, weight (rows, width)
``write``           destination, source: the source is copied over (a part
                    of) the destination, broadcast; output: destination
``scatter``         destination, source, indices...                         ``axes`` indexed
``pixel_shuffle``   x (batch, channel * factor**2, ...)                     ``factor`` (negative: unshuffle)
``unfold``          x (batch, channel, ...) -> (batch, channel * k, ...)    im2col
``fold``            x (batch, channel * k, ...) -> (batch, channel, ...)    col2im
``like``            x: a new array of x's shape that holds no label's data
``opaque``          anything without a rule: its inputs are kept whole
``whole``           known, and kept whole on purpose (recurrent cells)      ``reason``
==================  ======================================================  ===============================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field, frozen

NONE = -1
"""Stands for an input that is absent."""

KINDS = frozenset(
    [
        "elementwise",
        "conv",
        "contract",
        "attention",
        "batch_norm",
        "layer_norm",
        "group_norm",
        "reduce",
        "along",
        "window",
        "reshape",
        "transpose",
        "squeeze",
        "unsqueeze",
        "expand",
        "tile",
        "concat",
        "stack",
        "split",
        "slice",
        "flip",
        "select",
        "pad",
        "gather",
        "embedding",
        "write",
        "scatter",
        "pixel_shuffle",
        "unfold",
        "fold",
        "like",
        "opaque",
        "whole",
    ]
)


@frozen
class Place:
    """Where in the user's model an operation was met."""

    module: str = ""
    """Name of the module that was running, ``"layer1.0.conv1"``; empty for the model itself."""
    operation: str = ""
    """The framework's own name of the operation, ``"aten.view"``."""
    line: str = ""
    """``"file.py:12"`` of the user's code, where known."""

    def __str__(self) -> str:
        at = f" at {self.line}" if self.line else ""
        return f"{self.operation or 'operation'} in {self.module or 'the model'}{at}"


NOWHERE = Place()
"""A place that is not known."""


@frozen(eq=False)
class Op:
    """One operation."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any] = field(factory=dict)
    place: Place = NOWHERE


@frozen(eq=False)
class Call:
    """One call of a module that owns parameters: what it read first and what it gave first."""

    module: str
    input: int
    output: int


@define(eq=False)
class Program:
    """
    One recorded forward pass: values, parameters, operations, results.

    A backend fills it in the order of execution. The axes of a value carry one label per
    coordinate; values made by `source` are outside the network and are kept whole.
    """

    shapes: list[tuple[int, ...]] = field(factory=list)
    """Shape of each value; a value is its index here."""
    parameters: dict[str, int] = field(factory=dict)
    """Parameter or buffer name -> value; a tied parameter has its first name."""
    constants: list[int] = field(factory=list)
    """Values made inside the forward pass from sizes alone (zeros, arange)."""
    ops: list[Op] = field(factory=list)
    results: list[int] = field(factory=list)
    """Values the model returned: kept whole."""
    calls: list[Call] = field(factory=list)

    def parameter(self, name: str, shape: Sequence[int]) -> int:
        """Add a parameter or buffer, laid out as stored."""
        if name in self.parameters:
            return self.parameters[name]
        self.parameters[name] = self._value(shape)
        return self.parameters[name]

    def source(self, shape: Sequence[int]) -> int:
        """Add a value from outside: a model input, a tensor nobody registered."""
        return self._value(shape)

    def constant(self, shape: Sequence[int]) -> int:
        """Add a value that the forward pass made from sizes alone: it can be made smaller."""
        self.constants.append(self._value(shape))
        return self.constants[-1]

    def op(
        self,
        kind: str,
        inputs: Sequence[int],
        shapes: Sequence[Sequence[int]],
        place: Place | None = None,
        **options: Any,
    ) -> tuple[int, ...]:
        """Add an operation; return its output values, one for each of `shapes`."""
        if kind not in KINDS:
            raise ValueError(f"unknown operation kind {kind!r}; known: {', '.join(sorted(KINDS))}")
        outputs = tuple(self._value(shape) for shape in shapes)
        self.ops.append(Op(kind, tuple(inputs), outputs, options, place or NOWHERE))
        return outputs

    def call(self, module: str, input: int, output: int) -> None:
        """Note that a module that owns parameters read one value and gave another."""
        self.calls.append(Call(module, input, output))

    def result(self, value: int) -> None:
        """Mark a value as returned by the model."""
        self.results.append(value)

    def _value(self, shape: Sequence[int]) -> int:
        self.shapes.append(tuple(int(length) for length in shape))
        return len(self.shapes) - 1


@frozen
class Attribute:
    """An integer in the user's model that mirrors a size: ``module.name`` or ``module.name[index]``."""

    module: str
    name: str
    index: int | None = None

    def __str__(self) -> str:
        owner = f"{self.module}.{self.name}" if self.module else self.name
        return owner if self.index is None else f"{owner}[{self.index}]"


@frozen
class Constant:
    """An integer written in the code."""

    value: int


@frozen
class Dimension:
    """The length of one axis of a recorded value."""

    value: int
    axis: int


@frozen
class Arithmetic:
    """Two integers combined: ``+ - * // %``."""

    operator: str
    left: Expression
    right: Expression


Expression = Attribute | Constant | Dimension | Arithmetic
"""How a size came about."""


@frozen
class LiteralSize:
    """A size that the user's code handed to an operation: it must be right after a removal, too."""

    mode: str
    """The program it was met in: "eval" or "train"."""
    expression: Expression
    value: int
    """The recorded value whose axis has this size."""
    axis: int
    place: Place
    start: int = 0
    """First coordinate of the axis that is counted."""
    stop: int | None = None
    """One past the last coordinate counted; None: to the end of the axis."""
    step: int = 1
    """Every `step`-th coordinate is counted (groups of a convolution: one per group)."""
