"""Runs a `Program` in NumPy: whole, masked, or with channels really gone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
from attrs import define, field, frozen

from pruners.structure.engine import Structure
from pruners.structure.program import NONE, Op, Program

Arrays = list[np.ndarray]
LONGEST = 9000
"""Characters in which a network is shown."""


@frozen(eq=False, repr=False)
class Network:
    """Recorded passes by mode, with the numbers that they ran on."""

    programs: Mapping[str, Program]
    parameters: Mapping[str, np.ndarray]
    sources: Mapping[int, np.ndarray]
    """What came from outside: the same values in every mode."""
    fills: Mapping[int, float]
    """The number that a constant is full of."""
    weights: Mapping[str, int]
    """The layers that can be scored and the stored axis of their output channels."""

    def __repr__(self) -> str:
        lines = []
        for mode, program in self.programs.items():
            names = {value: name for name, value in program.parameters.items()}
            lines += [f"{mode}:"]
            lines += [f"  {value} = {name} {program.shapes[value]}" for value, name in names.items()]
            lines += [
                f"  {op.outputs} = {op.kind}{op.inputs} {[program.shapes[v] for v in op.outputs]} "
                f"{dict(op.options)}"
                for op in program.ops
            ]
            lines += [f"  returns {program.results}"]
        return "\n".join(["", *lines])[:LONGEST]


class Sizes(Protocol):
    """Every size that the code of a network would hold as a literal."""

    def shape(self, value: int) -> tuple[int, ...]: ...

    def count(self, value: int, axis: int, start: int, stop: int) -> int:
        """Return how many of the recorded coordinates from `start` to `stop` are there."""
        ...


@frozen
class Whole:
    """Sizes as recorded."""

    program: Program

    def shape(self, value: int) -> tuple[int, ...]:
        return self.program.shapes[value]

    def count(self, value: int, axis: int, start: int, stop: int) -> int:
        return len(range(self.shape(value)[axis])[start:stop])


@frozen(eq=False)
class Choice:
    """Which coordinates stay when some roots leave, by the engine's labels: also the sizes then."""

    structure: Structure
    mode: str
    gone: np.ndarray

    def kept(self, value: int) -> list[np.ndarray]:
        """Return the kept indices of every axis of a value."""
        lengths = self.structure.programs[self.mode].shapes[value]
        labels = self.structure.labels(self.mode, value)
        return [
            np.arange(length) if roots is None else np.flatnonzero(~self.gone[roots])
            for length, roots in zip(lengths, labels, strict=True)
        ]

    def shape(self, value: int) -> tuple[int, ...]:
        return tuple(len(indices) for indices in self.kept(value))

    def count(self, value: int, axis: int, start: int, stop: int) -> int:
        there = np.zeros(self.structure.programs[self.mode].shapes[value][axis], bool)
        there[self.kept(value)[axis]] = True
        return int(np.count_nonzero(there[start:stop]))


@define(eq=False)
class Run:
    """One pass over one program."""

    program: Program
    sizes: Sizes
    """The sizes that the code hands to operations."""
    features: Choice | None = None
    """In the masked network: what normalisations run over."""
    values: dict[int, np.ndarray] = field(factory=dict)
    macs: int = 0

    def go(self, ops: Sequence[Op] | None = None) -> Run:
        """Run operations in order; all of the program's if left out."""
        for op in self.program.ops if ops is None else ops:
            inputs = [np.zeros(0) if value == NONE else self.values[value] for value in op.inputs]
            with np.errstate(all="ignore"):
                outputs = KERNELS[op.kind](self, op, inputs)
            self.values.update(zip(op.outputs, outputs, strict=True))
        return self

    def kept(self, op: Op, axes: Sequence[int]) -> dict[int, np.ndarray]:
        """Return what a normalisation over some axes runs over, where that is not everything."""
        if self.features is None:
            return {}
        lengths = self.program.shapes[op.inputs[0]]
        kept = self.features.kept(op.inputs[0])
        return {axis: kept[axis] for axis in axes if len(kept[axis]) < lengths[axis]}


def whole(network: Network, mode: str) -> Run:
    """Return the run of a network as it is."""
    program = network.programs[mode]
    return _started(network, mode, Run(program, Whole(program)), network.parameters).go()


def masked(network: Network, structure: Structure, mode: str, gone: np.ndarray) -> Run:
    """Return the run of the masked reference: removed coordinates zero, norms over the kept ones."""
    parameters = {}
    for name, array in network.parameters.items():
        copy = np.array(array)
        for axis, roots in enumerate(structure.parameter(name)):
            if roots is not None:
                leaving = np.flatnonzero(gone[roots])
                copy[(slice(None),) * axis + (leaving,)] = 1.0 if name.endswith("running_var") else 0.0
        parameters[name] = copy
    program = network.programs[mode]
    run = Run(program, Whole(program), Choice(structure, mode, gone))
    return _started(network, mode, run, parameters).go()


def smaller(network: Network, structure: Structure, gone: np.ndarray) -> dict[str, np.ndarray]:
    """Return the parameters with coordinates gone."""
    found = {}
    for name, array in network.parameters.items():
        for axis, roots in enumerate(structure.parameter(name)):
            if roots is not None:
                array = np.delete(array, np.flatnonzero(gone[roots]), axis)
        found[name] = array
    return found


def reduced(network: Network, structure: Structure, mode: str, gone: np.ndarray) -> Run:
    """Return the run of the network with channels really gone."""
    run = Run(network.programs[mode], Choice(structure, mode, gone))
    return _started(network, mode, run, smaller(network, structure, gone)).go()


def _started(network: Network, mode: str, run: Run, parameters: Mapping[str, np.ndarray]) -> Run:
    for name, value in run.program.parameters.items():
        run.values[value] = parameters[name]
    for value in run.program.constants:
        run.values[value] = np.full(run.sizes.shape(value), network.fills[value])
    run.values.update(network.sources)
    return run


Kernel = Callable[[Run, Op, Arrays], Sequence[np.ndarray]]
KERNELS: dict[str, Kernel] = {}


def kernel(kind: str) -> Callable[[Kernel], Kernel]:
    def register(function: Kernel) -> Kernel:
        KERNELS[kind] = function
        return function

    return register


def outputs(run: Run) -> list[np.ndarray]:
    """Return what the model returned."""
    return [run.values[value] for value in run.program.results]
