"""Where the output of a layer goes in a recorded forward pass, one reader at a time."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import define, evolve, field, frozen

from .program import NONE, Op, Program

NORMS = frozenset({"batch_norm", "group_norm", "layer_norm"})
COPIES = frozenset(["to", "to_copy", "clone", "copy", "contiguous", "alias", "detach", "identity", "lift"])
LINEAR = COPIES | {"add", "sub", "rsub", "mul", "div", "neg", "dropout", "native_dropout", "feature_dropout"}
"""Elementwise functions that are no nonlinearity."""


@frozen
class Output:
    """A value and the axis of it that holds a layer's output channels."""

    value: int
    axis: int


@define(eq=False)
class Flow:
    """One program, with who makes and who reads each value."""

    program: Program
    makers: dict[int, Op] = field(factory=dict, init=False)
    readers: dict[int, list[Op]] = field(factory=dict, init=False)
    names: dict[int, str] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self.names = {value: name for name, value in self.program.parameters.items()}
        for op in self.program.ops:
            self.makers.update(dict.fromkeys(op.outputs, op))
            for value in dict.fromkeys(op.inputs):
                self.readers.setdefault(value, []).append(op)

    def parameter(self, value: int) -> str | None:
        """Return the parameter that a value is, or is a transposed view or a copy of."""
        while value not in self.names:
            op = self.makers.get(value)
            if op is None or not (op.kind == "transpose" or _is_copy(op)):
                return None
            value = op.inputs[0]
        return self.names[value]

    def outputs(self, parameter: str, channels: int) -> list[Output]:
        """Return what the operations that multiply by a weight give, where that has its channels."""
        found = []
        for op, index in self.products(parameter):
            if op.kind == "conv":
                output = Output(op.outputs[0], 1)
            else:
                operands, result = op.options["spec"].split("->")
                letters = operands.split(",")
                own = [each for each in letters[index] if each in result and operands.count(each) == 1]
                if len(own) != 1:
                    continue
                output = Output(op.outputs[0], result.index(own[0]))
            if self.program.shapes[output.value][output.axis] == channels:
                found.append(output)
        return found

    def products(self, parameter: str) -> Iterator[tuple[Op, int]]:
        """Yield the operations that multiply by a weight, and which of their inputs it is."""
        start = self.program.parameters.get(parameter)
        values = [] if start is None else [start]
        while values:
            value = values.pop()
            for op in self.readers.get(value, []):
                index = op.inputs.index(value)
                if (op.kind == "conv" and index == 1) or op.kind == "contract":
                    yield op, index
                elif op.kind == "transpose" or self._is_weight(op):
                    values.append(op.outputs[0])

    def _is_weight(self, op: Op) -> bool:
        """Return whether an operation makes a weight of parameters alone, as weight normalisation does."""
        return op.kind == "elementwise" and all(self.parameter(value) for value in op.inputs if value != NONE)

    def scale(self, output: Output) -> str | None:
        """Return the scale of the batch norm that reads an output and nothing else does."""
        while True:
            op = self._reader(output)
            if op is None:
                return None
            if op.kind == "batch_norm" and op.inputs[0] == output.value:
                return self.names.get(op.inputs[1]) if len(op.inputs) > 1 else None
            after = self._after(op, output)
            if op.kind in NORMS or after is None or _is_nonlinear(op):
                return None
            output = after

    def activated(self, output: Output) -> Output:
        """Return an output past its bias, its normalisation and one nonlinearity, where there are any."""
        while (op := self._reader(output)) is not None:
            after = self._after(op, output)
            if after is None:
                break
            output = after
            if _is_nonlinear(op):
                break
        return output

    def _reader(self, output: Output) -> Op | None:
        """Return the one operation that reads a value; None where there are several, or it is a result."""
        readers = self.readers.get(output.value, [])
        return readers[0] if len(readers) == 1 and output.value not in self.program.results else None

    def _after(self, op: Op, output: Output) -> Output | None:
        """Return the same channels after an operation that only they and parameters go into."""
        into, out = self.program.shapes[output.value], self.program.shapes[op.outputs[0]]
        after = evolve(output, value=op.outputs[0])
        if op.kind == "elementwise":
            others = [value for value in op.inputs if value not in (NONE, output.value)]
            alone = all(self.parameter(value) or value in self.program.constants for value in others)
            return evolve(after, axis=output.axis + len(out) - len(into)) if alone else None
        if op.kind in NORMS:
            return after if op.inputs[0] == output.value else None
        if op.kind == "transpose":
            axes = [axis % len(into) for axis in op.options["axes"]]
            return evolve(after, axis=axes.index(output.axis))
        if op.kind == "reshape" and output.axis == len(into) - 1 and out and out[-1] == into[-1]:
            return evolve(after, axis=len(out) - 1)
        if op.kind == "squeeze":
            dropped = [axis % len(into) for axis in op.options["axes"]]
            return evolve(after, axis=output.axis - sum(axis < output.axis for axis in dropped))
        return None


def _function(op: Op) -> str:
    return str(op.options.get("function", "")).strip("_")


def _is_nonlinear(op: Op) -> bool:
    return op.kind == "elementwise" and _function(op) not in LINEAR


def _is_copy(op: Op) -> bool:
    return op.kind == "elementwise" and _function(op) in COPIES
