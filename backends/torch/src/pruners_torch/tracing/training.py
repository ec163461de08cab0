"""Whether a model does anything else in training than in evaluation."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from attrs import define, frozen
from torch import nn

from pruners.structure.program import NONE, LiteralSize, Op, Place, Program

_TORCH = str(Path(torch.__file__).parent) + os.sep
_ANYWAY = frozenset(["batch_statistics"])
"""Options that differ between the modes and mean the same for what hangs together."""


@define(eq=False)
class Watch:
    """Sees whether a model's code asks for the mode it is in."""

    asked: bool = False
    """Whether any code but PyTorch's own read a module's `training`, or could."""


@contextmanager
def watched(modules: Iterable[nn.Module]) -> Iterator[Watch]:
    """
    See, while a block runs, whether a model's code asks for the mode.

    PyTorch's own layers do: in training, they drop numbers or normalise by the batch. Nothing else
    changes as long as no other code asks.
    """
    watch = Watch(any(_unseen(module) for module in modules))

    def read(module: nn.Module) -> bool:
        if not sys._getframe(1).f_code.co_filename.startswith(_TORCH):
            watch.asked = True
        try:
            return bool(vars(module)["training"])
        except KeyError:
            raise AttributeError("training") from None

    def write(module: nn.Module, value: bool) -> None:
        vars(module)["training"] = value

    nn.Module.training = property(read, write)  # type: ignore[assignment]
    try:
        yield watch
    finally:
        del nn.Module.training


def _unseen(module: nn.Module) -> bool:
    """Say whether a module changes with the mode in a way that cannot be seen."""
    kind = type(module)
    switches = kind.train is not nn.Module.train or kind.eval is not nn.Module.eval
    return switches or isinstance(module, torch.jit.ScriptModule)


def repeats(
    program: Program,
    known: Program,
    literals: Sequence[LiteralSize] = (),
    known_literals: Sequence[LiteralSize] = (),
) -> bool:
    """
    Say whether a pass did the same as a known one, but for dropout and statistics.

    Both ran the same operations and handed sizes to the same functions at the same places.
    """
    one, other = _Essence.of(program), _Essence.of(known)
    places = one.places(literals), other.places(known_literals)
    return (one.ops, one.results) == (other.ops, other.results) and places[0] == places[1]


@frozen(eq=False)
class _Essence:
    """
    A program without the operations of dropout and of counting batches, its values renumbered.

    Dropout, of numbers or of whole examples, multiplies an array by noise; what is computed from one
    array and read by nobody (the count of batches) ties nothing.
    """

    ops: list[Hashable]
    results: list[int]
    noise: set[int]

    @classmethod
    def of(cls, program: Program) -> _Essence:
        """Return what is left of a program."""
        read, noise = _read(program), set(program.constants)
        names: dict[int, int] = {NONE: NONE}
        ops: list[Hashable] = []
        fresh = itertools.count()

        def name(value: int) -> int:
            if value not in names:
                names[value] = next(fresh)
            return names[value]

        for value in program.parameters.values():
            name(value)
        for op in program.ops:
            heard = [value for value in op.inputs if value not in noise]
            if op.kind == "like" or (op.kind == "elementwise" and not heard):
                noise.update(op.outputs)
            elif op.kind == "elementwise" and len(heard) == 1 and _is_dropout(op, program, noise):
                names.update(dict.fromkeys(op.outputs, name(heard[0])))
            elif len(set(op.inputs)) != 1 or not read.isdisjoint(op.outputs):
                ops.append(_described(op, program, name))
        return cls(ops, [name(value) for value in program.results], noise)

    def places(self, literals: Sequence[LiteralSize]) -> list[Place]:
        """Return where sizes were handed over, those of noise left out."""
        return [each.place for each in literals if each.value not in self.noise]


def _is_dropout(op: Op, program: Program, noise: set[int]) -> bool:
    """Say whether an operation brings noise of the same shape, or one number per example, to an array."""
    full = program.shapes[op.outputs[0]]
    shapes = [program.shapes[value] for value in op.inputs if value in noise]
    each = (full[:1] + (1,) * (len(full) - 1), full)
    return bool(shapes) and all(shape in each for shape in shapes)


def _read(program: Program) -> set[int]:
    return {value for op in program.ops for value in op.inputs} | set(program.results)


def _described(op: Op, program: Program, name: Callable[[int], int]) -> Hashable:
    options = {key: value for key, value in op.options.items() if key not in _ANYWAY}
    values = tuple(name(value) for value in (*op.inputs, *op.outputs))
    return op.kind, values, tuple(program.shapes[value] for value in op.outputs), str(options)
