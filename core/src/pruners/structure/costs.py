"""Parameters and multiply-accumulates of a network with some channels gone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np
from attrs import frozen

from .engine import Structure
from .labels import Axis
from .program import NONE, Op, Program

_Factor = tuple[int, tuple[int, ...]]
"""A constant and the indices of the counted vectors it is multiplied with."""


@frozen(eq=False)
class Costs:
    """
    Counts parameters and MACs for any choice of channels, from one recorded pass.

    One MAC is one multiplication and one addition in a convolution, a matrix product or an
    attention; norms, activations and biases are not counted.
    """

    _vectors: tuple[np.ndarray, ...]
    _parameters: tuple[_Factor, ...]
    _macs: tuple[_Factor, ...]

    def parameters(self, removed: np.ndarray) -> int:
        """Return the number of parameters when the roots `removed` (bool, (root,)) are gone."""
        return self._total(self._parameters, removed)

    def macs(self, removed: np.ndarray) -> int:
        """Return the MACs of one forward pass on the recorded inputs when `removed` are gone."""
        return self._total(self._macs, removed)

    def alone(self, owner: np.ndarray, removed: np.ndarray, groups: int) -> list[tuple[int, int]]:
        """
        Return the parameters and MACs that each group saves by itself.

        Parameters
        ----------
        owner : int array (root,)
            The group of each root; `groups` where it has none.
        removed : bool array (root,)
            What leaves.
        groups : int
            How many there are.
        """
        lost = np.array(
            [np.bincount(owner[each[removed[each]]], minlength=groups + 1)[:groups] for each in self._vectors]
        ).reshape(-1, groups)
        return list(zip(self._saved(self._parameters, lost), self._saved(self._macs, lost), strict=True))

    def _saved(self, terms: Iterable[_Factor], lost: np.ndarray) -> list[int]:
        saved = [0] * lost.shape[1]
        for constant, indices in terms:
            lengths = [len(self._vectors[index]) for index in indices]
            for group in np.flatnonzero(lost[list(indices)].any(axis=0)):
                left = [n - int(lost[index, group]) for n, index in zip(lengths, indices, strict=True)]
                saved[group] += constant * (math.prod(lengths) - math.prod(left))
        return saved

    def _total(self, terms: Iterable[_Factor], removed: np.ndarray) -> int:
        counts = [int(np.count_nonzero(~removed[vector])) for vector in self._vectors]
        return sum(constant * math.prod(counts[index] for index in indices) for constant, indices in terms)


def costs(structure: Structure, names: Iterable[str], mode: str = "eval") -> Costs:
    """Return the costs of the parameters `names`, whichever pass meets them, and of the pass in `mode`."""
    known: dict[bytes, int] = {}
    vectors: list[np.ndarray] = []

    def factor(axes: Iterable[tuple[int, Axis]]) -> _Factor:
        constant, indices = 1, []
        for length, axis in axes:
            if axis is None:
                constant *= length
                continue
            key = axis.tobytes()
            if key not in known:
                known[key] = len(vectors)
                vectors.append(axis)
            indices.append(known[key])
        return constant, tuple(indices)

    program = structure.programs[mode]
    wanted = set(names)
    owners = {
        name: (each, other, value)
        for each, other in structure.programs.items()
        for name, value in other.parameters.items()
    }
    sizes = [factor(_sized(structure, *owners[name])) for name in structure.parameters if name in wanted]

    def sized(value: int) -> list[tuple[int, Axis]]:
        return _sized(structure, mode, program, value)

    macs = [factor(axes) for op in program.ops for axes in _products(sized, op)]
    return Costs(tuple(vectors), tuple(sizes), tuple(macs))


def macs(program: Program) -> int:
    """Return the MACs of one recorded pass, with every channel there."""

    def sized(value: int) -> list[tuple[int, Axis]]:
        return [(length, None) for length in program.shapes[value]]

    products = [axes for op in program.ops for axes in _products(sized, op)]
    return sum(math.prod(length for length, _ in axes) for axes in products)


def _sized(structure: Structure, mode: str, program: Program, value: int) -> list[tuple[int, Axis]]:
    return list(zip(program.shapes[value], structure.labels(mode, value), strict=True))


def _products(sized: Callable[[int], list[tuple[int, Axis]]], op: Op) -> list[list[tuple[int, Axis]]]:
    """Return, for each product an operation computes, the axes whose lengths multiply to its MACs."""
    if op.kind == "conv":
        inner = op.inputs[0] if op.options.get("transposed") else op.outputs[0]
        return [[*sized(inner), *sized(op.inputs[1])[1:]]]
    if op.kind == "contract":
        lengths: dict[str, tuple[int, Axis]] = {}
        letters = op.options["spec"].split("->")[0].split(",")
        for names, value in zip(letters, op.inputs, strict=True):
            lengths.update(zip(names, sized(value), strict=True))
        return [list(lengths.values())]
    if op.kind == "attention" and NONE not in op.inputs[:3]:
        query, keys, values = (sized(each) for each in op.inputs[:3])
        return [[*query, keys[-2]], [*query[:-1], values[-2], values[-1]]]
    return []
