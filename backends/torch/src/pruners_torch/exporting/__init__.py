"""Modules written as files for other programs, and run beside them."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from torch import nn

from pruners.errors import ExportError

from ..tracing.running import Arguments
from .running import arrays, outputs, threads

__all__ = ["FORMATS", "arrays", "export", "outputs", "threads"]

FORMATS = ("onnx", "pt2")
"""What modules can be written as: ONNX, and PyTorch's own exported programs."""


def export(module: nn.Module, path: Path, example_inputs: Any, *, format: str) -> tuple[str, ...]:
    """Write a module as it runs in evaluation mode; return what to know of the file, in sentences."""
    if format not in FORMATS:
        raise ExportError(f"a torch module cannot be written as {format!r}; choose from {', '.join(FORMATS)}")
    writing = importlib.import_module("pruners_torch.exporting.writing")
    notes: tuple[str, ...] = writing.write(module, path, Arguments.of(example_inputs), format)
    return notes
