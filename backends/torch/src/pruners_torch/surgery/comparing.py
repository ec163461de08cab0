"""How far two runs are apart, in numbers that could have told them apart."""

from __future__ import annotations

from typing import Any

import torch
from attrs import define, field, frozen
from torch import Tensor

from ..tracing.results import tensors_in

_FLOOR = 1e-3
"""Outputs smaller than this part of the largest are measured against that: they may cancel to nothing."""


def results(output: Any) -> list[Tensor]:
    """Return copies of the tensors in whatever a model returned, in a fixed order."""
    return [tensor.detach().clone() for tensor in tensors_in(output)]


@frozen
class Difference:
    """How two tensors differ."""

    largest: float
    """Largest absolute difference of finite numbers; infinite where they do not correspond."""
    scale: float
    """Largest absolute finite number of the first."""
    numbers: int
    """Finite numbers compared."""
    size: int
    """Numbers there were."""


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


@define(eq=False)
class Comparison:
    """Differences gathered over several tensors, in the order they came up."""

    found: list[tuple[str, Difference]] = field(factory=list)

    def add(self, reference: Tensor, other: Tensor, name: str = "") -> None:
        """Compare two tensors."""
        self.found.append((name, difference(reference, other)))

    def missing(self, name: str = "") -> None:
        """Note that something has no counterpart."""
        self.found.append((name, Difference(float("inf"), 0.0, 0, 0)))

    @property
    def error(self) -> float:
        """Largest difference, relative to the largest number of its own tensor."""
        return max((self._ratio(each) for _, each in self.found), default=0.0)

    @property
    def numbers(self) -> int:
        """How many finite numbers were compared."""
        return sum(each.numbers for _, each in self.found)

    @property
    def telling(self) -> bool:
        """Whether any number compared was not zero."""
        return any(each.scale > 0 for _, each in self.found)

    @property
    def senseless(self) -> bool:
        """Whether some tensor held numbers, none of them finite."""
        return any(each.size and not each.numbers and each.largest == 0 for _, each in self.found)

    def first_beyond(self, tolerance: float) -> str | None:
        """Return the name that came with the first difference larger than `tolerance`."""
        return next((name for name, each in self.found if not self._ratio(each) <= tolerance), None)

    def _ratio(self, found: Difference) -> float:
        if found.largest == 0:
            return 0.0
        scale = max(found.scale, _FLOOR * max(each.scale for _, each in self.found))
        return found.largest / scale if scale > 0 else float("inf")
