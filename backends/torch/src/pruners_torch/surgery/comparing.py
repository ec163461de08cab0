"""How far two tensors are apart, and what a model returned as a list of them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pruners.structure.comparing import Difference

from ..tracing.results import tensors_in


def results(output: Any) -> list[Tensor]:
    """Return copies of the tensors in whatever a model returned, in a fixed order."""
    return [tensor.detach().clone() for tensor in tensors_in(output)]


def difference(reference: Tensor, other: Tensor) -> Difference:
    """Return how far two tensors are apart: not finite in both alike, whole numbers equal."""
    if reference.shape != other.shape:
        return Difference(float("inf"), 0.0, 0, reference.numel())
    if not reference.numel():
        return Difference(0.0, 0.0, 0, 0)
    exact = not (reference.is_floating_point() or reference.is_complex())
    wide = torch.complex128 if reference.is_complex() else _widest(reference)
    reference, other = _dense(reference).to(wide), _dense(other).to(wide)
    finite = reference.isfinite()
    numbers = int(finite.sum())
    if not torch.equal(finite, other.isfinite()) or not _same_outside(reference, other, ~finite):
        return Difference(float("inf"), 0.0, numbers, reference.numel())
    if not numbers:
        return Difference(0.0, 0.0, 0, reference.numel())
    gap = float((reference[finite] - other[finite]).abs().max())
    if exact:
        return Difference(float("inf") if gap else 0.0, 0.0, numbers, reference.numel())
    return Difference(gap, float(reference[finite].abs().max()), numbers, reference.numel())


def _widest(tensor: Tensor) -> torch.dtype:
    return torch.float32 if tensor.device.type == "mps" else torch.float64


def _dense(tensor: Tensor) -> Tensor:
    return tensor if tensor.layout == torch.strided else tensor.to_dense()


def _same_outside(reference: Tensor, other: Tensor, where: Tensor) -> bool:
    left, right = reference[where], other[where]
    return bool(torch.equal(left.isnan(), right.isnan())) and bool(((left == right) | left.isnan()).all())
