"""Checks of a recorded program against itself and against the tensors it stands for."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from pruners_torch.tracing import Recording, replay
from torch import Tensor, nn

from pruners.structure.program import Op, Program

from .interpreter import computed, inputs_of, loose, shapes_of


def check_shapes(program: Program) -> None:
    """Every value has one producer at most, which comes before its readers and gives its shape."""
    made = Counter(value for op in program.ops for value in op.outputs)
    given = {*program.parameters.values(), *program.constants}
    assert all(count == 1 for count in made.values())
    assert not given & set(made)
    known = set(range(len(program.shapes))) - set(made)
    for op in program.ops:
        assert known.issuperset(inputs_of(op)), op
        known.update(op.outputs)
        assert _agrees(program, op), (op, [program.shapes[value] for value in (*op.inputs, *op.outputs)])


def _agrees(program: Program, op: Op) -> bool:
    inputs = [program.shapes[value] for value in inputs_of(op)]
    outputs = [program.shapes[value] for value in op.outputs]
    expected = shapes_of(op, inputs, len(outputs))
    return loose(op, inputs, outputs) if expected is None else [tuple(each) for each in expected] == outputs


def tensors_of(model: nn.Module, recording: Recording, inputs: tuple[Any, ...]) -> dict[int, Tensor]:
    """Return the tensor of every value that can be met again."""
    program = recording.programs["eval"]
    numbers = {*recording.scripts["eval"].origins, *program.parameters.values()}
    wanted = {str(value): value for value in numbers}
    found = replay(model, recording, wanted, [inputs], lambda model, batch: model(*batch))
    return {wanted[name]: tensor for name, tensor in found}


def check_numbers(model: nn.Module, recording: Recording, inputs: tuple[Any, ...]) -> tuple[int, int]:
    """Compute operations from their records; return how many were compared, and how many there are."""
    program = recording.programs["eval"]
    met = tensors_of(model, recording, inputs)
    compared = 0
    for value, tensor in met.items():
        assert tuple(tensor.shape) == program.shapes[value]
    for op in program.ops:
        values = (*inputs_of(op), *op.outputs)
        if any(value not in met for value in values):
            continue
        results = [met[value] for value in op.outputs]
        expected = computed(op, [met[value] for value in inputs_of(op)], results)
        for one, other in zip(expected or (), results, strict=expected is not None):
            assert one.shape == other.shape, op
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4, equal_nan=True, check_dtype=False)
        compared += expected is not None
    return compared, len(program.ops)


def kinds(program: Program) -> list[str]:
    return [op.kind for op in program.ops]


def ops(program: Program, kind: str) -> list[Op]:
    return [op for op in program.ops if op.kind == kind]
