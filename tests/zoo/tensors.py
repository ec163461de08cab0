"""Outputs of any shape as flat lists of tensors, and how far two of them lie apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

TOLERANCE = {torch.float64: 1e-6, torch.float32: 2e-3}
"""Largest difference, relative to the largest output, that counts as rounding."""


def leaves(value: Any) -> list[Tensor]:
    """Return every tensor in nested sequences and mappings, in order."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        return [tensor for part in value.values() for tensor in leaves(part)]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [tensor for part in value for tensor in leaves(part)]
    return []


def cast(value: Any, dtype: torch.dtype) -> Any:
    """Return nested sequences and mappings with their floating-point tensors as `dtype`."""
    if isinstance(value, Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    if isinstance(value, Mapping):
        return {key: cast(part, dtype) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(cast(part, dtype) for part in value)
    return value


def distance(expected: Sequence[Tensor], found: Sequence[Tensor]) -> float:
    """Return the largest difference, relative to the tensor's largest number; infinite for other shapes."""
    if [each.shape for each in expected] != [each.shape for each in found]:
        return float("inf")
    worst = 0.0
    for a, b in zip(expected, found, strict=True):
        if a.numel():
            a, b = a.detach().double(), b.detach().double()
            if not (torch.isfinite(a).all() and torch.isfinite(b).all()):
                return float("inf")
            worst = max(worst, float((a - b).abs().max()) / max(float(a.abs().max()), 1e-12))
    return worst


def outputs(model: nn.Module, inputs: tuple[Any, ...], heads: Sequence[str] = ()) -> dict[str, list[Tensor]]:
    """Run a model once; return its output under "" and those of the modules named `heads`, call by call."""
    found: dict[str, list[Tensor]] = {}
    hooks = [
        model.get_submodule(name).register_forward_hook(
            lambda module, arguments, result, name=name: found.setdefault(name, []).extend(leaves(result))
        )
        for name in heads
    ]
    try:
        with torch.no_grad():
            found[""] = leaves(model(*inputs))
    finally:
        for hook in hooks:
            hook.remove()
    return found
