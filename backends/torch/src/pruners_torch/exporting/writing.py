"""A module as a file: ONNX, and PyTorch's own exported programs."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from pruners.errors import ExportError

from ..graph.exporting import program_of, quietly
from ..tracing.running import Arguments, Snapshot, untouched

_LACKING = tuple(int(part) for part in torch.__version__.split(".")[:2]) < (2, 7)
_LARGEST = 1_500_000_000
"""Bytes of tensors that go into one ONNX file; the format allows 2 GiB, with everything else in it."""
FREE = "The size of the batch is free: the first axis of the inputs can vary."


def write(module: nn.Module, path: Path, given: Arguments, format: str) -> tuple[str, ...]:
    """
    Write a module as it runs in evaluation mode; it is left as it was. Return what to know of the file.

    The first axis of the inputs is free where the module allows it.

    Raises
    ------
    pruners.ExportError
        If it cannot be written; the cause is chained.
    """
    _check(path, format)
    wide = given.doubled() or given
    with untouched(Snapshot(module)), quietly():
        try:
            return _written(module, path, given, wide, format)
        except Exception as error:
            raise ExportError(
                f"{type(module).__name__} cannot be written as {format}: {_cause(error)}"
            ) from error


def _check(path: Path, format: str) -> None:
    if _LACKING:
        raise ExportError(f"export needs PyTorch 2.7 or later; this is {torch.__version__}")
    if format == "pt2" and path.suffix != ".pt2":
        raise ExportError(f"an exported program of PyTorch is a .pt2 file, got {path.name!r}")
    if format == "onnx":
        missing = next((name for name in ("onnx", "onnxscript") if find_spec(name) is None), None)
        if missing:
            raise ExportError(
                f"writing ONNX needs the module {missing!r}, which is not installed: "
                "pip install 'pruners-torch[onnx]'"
            )


def _written(
    module: nn.Module, path: Path, given: Arguments, wide: Arguments, format: str
) -> tuple[str, ...]:
    program, used = program_of(module, given, wide, "eval")
    if not _varies(program):
        if used is not given:
            program, _ = program_of(module, given, given, "eval")
        _WRITERS[format](program, path)
        return (_fixed(program),)
    try:
        _WRITERS[format](program, path)
    except Exception:  # some operations are written for fixed lengths only
        program = torch.export.export(
            module, given.fresh().positional, dict(given.fresh().named), strict=False
        )
        _WRITERS[format](program, path)
        return (_fixed(program),)
    return (FREE,)


def _inputs(program: ExportedProgram) -> dict[str, Sequence[int | torch.SymInt]]:
    """Return the shapes of the tensors that an exported program takes, by name."""
    nodes = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    named = [name for name in program.graph_signature.user_inputs if isinstance(name, str)]
    return {name: each.shape for name in named if isinstance(each := nodes.get(name), Tensor)}


def _varies(program: ExportedProgram) -> bool:
    lengths = [length for shape in _inputs(program).values() for length in shape]
    return any(isinstance(each, torch.SymInt) and not each.node.expr.is_number for each in lengths)


def _fixed(program: ExportedProgram) -> str:
    shapes = ", ".join(f"{name} {tuple(shape)}" for name, shape in _inputs(program).items())
    return f"The inputs have exactly these shapes: {shapes}; the size of the batch could not be left free."


def _write_onnx(program: ExportedProgram, path: Path) -> None:
    size = sum(tensor.nbytes for tensor in {id(each): each for each in program.state_dict.values()}.values())
    made = torch.onnx.export(program, dynamo=True, verbose=False)
    if made is None:
        raise ExportError("torch.onnx.export gave nothing")
    made.save(path, external_data=size > _LARGEST)


def _write_pt2(program: ExportedProgram, path: Path) -> None:
    torch.export.save(program, path)


_WRITERS = {"onnx": _write_onnx, "pt2": _write_pt2}


def _cause(error: BaseException) -> str:
    """Return the first line of what an error goes back to: there the operation is named."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
