"""The tensors of a module by name, and smaller ones laid out in memory as they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from attrs import field, frozen
from torch import Tensor, nn

from pruners import RemovalError
from pruners.structure.plan import RemovalPlan

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""What is run in double precision for a proof."""

Owner = nn.Module | Mapping[str, Tensor]
"""A module, or its tensors by name as a user keeps them."""


@frozen(eq=False)
class Piece:
    """One tensor and what is kept of it."""

    name: str
    tensor: Tensor
    kept: Mapping[int, np.ndarray]
    """Stored axis -> kept indices."""
    factors: Mapping[int, np.ndarray] = field(factory=dict)
    """Stored axis -> what each kept coordinate is multiplied by."""
    original: Tensor = field(init=False)
    """The values before, full size."""
    shape: tuple[int, ...] = field(init=False)
    """The shape before."""

    @original.default
    def _original(self) -> Tensor:
        return self.tensor.data

    @shape.default
    def _shape(self) -> tuple[int, ...]:
        return tuple(self.tensor.shape)

    def smaller(self, tensor: Tensor) -> Tensor:
        """Return the kept part of a tensor of the shape before."""
        return select(tensor, self.kept)

    def cut(self, dtype: torch.dtype | None = None) -> Tensor:
        """Return the kept values, multiplied by the factors, in the tensor's own or another dtype."""
        values = self.smaller(self.original)
        target = dtype or values.dtype
        if not self.factors:
            return values.to(target)
        exact = values.to(torch.float64) if values.device.type != "mps" else values
        for axis, factor in self.factors.items():
            shape = [-1 if index == axis else 1 for index in range(exact.ndim)]
            exact = exact * torch.as_tensor(factor, dtype=exact.dtype, device=exact.device).reshape(shape)
        return laid_out(exact.to(target), self.original)

    def masked(self, dtype: torch.dtype, but: int | None = None) -> Tensor:
        """Return a full-size copy in which what leaves is zero, a running variance one; not on one axis."""
        copy = torch.empty_like(self.original, dtype=dtype).copy_(self.original)
        neutral = 1 if self.name.rpartition(".")[2] == "running_var" else 0
        for axis, kept in self.kept.items():
            if axis == but:
                continue
            leaving = np.setdiff1d(np.arange(self.shape[axis]), kept)
            copy.index_fill_(axis, index(leaving, copy), neutral)
        return copy


def tensors(owner: Owner) -> dict[str, Tensor]:
    """Return every parameter and buffer, tied ones under each of their names."""
    if isinstance(owner, nn.Module):
        return {
            **dict(owner.named_parameters(remove_duplicate=False)),
            **dict(owner.named_buffers(remove_duplicate=False)),
        }
    return dict(owner)


def plain(model: nn.Module) -> Iterator[tuple[nn.Module, str, Tensor]]:
    """Yield tensors that modules hold as plain attributes, neither parameter nor buffer."""
    for module in model.modules():
        if not isinstance(module, torch.jit.ScriptModule):
            for name, value in list(vars(module).items()):
                if isinstance(value, Tensor) and value.is_leaf:
                    yield module, name, value


def distinct(owner: Owner) -> dict[int, Tensor]:
    """Return each parameter and buffer once, by identity."""
    return {id(tensor): tensor for tensor in tensors(owner).values()}


def pieces(plan: RemovalPlan, owner: Owner) -> list[Piece]:
    """Return what a plan does to the tensors of a module, each once; raise where it does not fit."""
    found = tensors(owner)
    resolved: dict[int, Piece] = {}
    for name in dict.fromkeys((*plan.kept, *plan.factors)):
        if name not in found:
            raise RemovalError(f"the plan names {name!r}, which is no parameter or buffer of the model")
        tensor = found[name]
        cuts = plan.kept.get(name, {}).items()
        kept = {axis: _checked(name, tensor, axis, indices) for axis, indices in cuts}
        piece = Piece(name, tensor, kept, dict(plan.factors.get(name, {})))
        _check_factors(piece)
        _check_tied(resolved.setdefault(id(tensor), piece), piece)
    _check_shared(list(resolved.values()), found)
    return list(resolved.values())


def _checked(name: str, tensor: Tensor, axis: int, indices: Any) -> np.ndarray:
    if not 0 <= axis < tensor.ndim:
        raise RemovalError(f"the plan cuts axis {axis} of {name!r}, which has shape {tuple(tensor.shape)}")
    kept = np.asarray(indices, dtype=np.int64)
    length = tensor.shape[axis]
    if not len(kept):
        raise RemovalError(f"the plan keeps nothing of axis {axis} of {name!r}; keep at least one coordinate")
    if kept[0] < 0 or kept[-1] >= length or (np.diff(kept) <= 0).any():
        raise RemovalError(
            f"the plan's indices for axis {axis} of {name!r} must ascend within 0 to {length - 1}"
        )
    if tensor.device.type == "meta":
        raise RemovalError(f"{name!r} is on the meta device and holds no values; load the weights first")
    if tensor.is_inference():
        raise RemovalError(
            f"{name!r} was made in inference mode and cannot be changed; build the model outside"
        )
    return kept


def _check_factors(piece: Piece) -> None:
    for axis, factor in piece.factors.items():
        expected = len(piece.kept[axis]) if axis in piece.kept else piece.shape[axis]
        if np.shape(factor) != (expected,):
            raise RemovalError(
                f"the plan multiplies axis {axis} of {piece.name!r} by {np.shape(factor)} factors, "
                f"where {expected} coordinates are kept"
            )


def _check_tied(known: Piece, other: Piece) -> None:
    if not _alike(known, other):
        raise RemovalError(
            f"{known.name!r} and {other.name!r} are one tensor, but the plan cuts them differently"
        )


def _check_shared(found: list[Piece], all_tensors: Mapping[str, Tensor]) -> None:
    """Refuse to part tensors that are different objects on the same memory."""
    cut = {place(piece.tensor): piece for piece in found}
    known = {id(piece.tensor): piece for piece in found}
    for name, tensor in all_tensors.items():
        twin = cut.get(place(tensor))
        if twin is None or twin.tensor is tensor or not tensor.numel():
            continue
        own = known.get(id(tensor))
        if own is None or not _alike(own, twin):
            raise RemovalError(f"{twin.name!r} and {name!r} share memory, but the plan cuts them differently")


def place(tensor: Tensor) -> Any:
    """Return what two tensors have in common that are the same numbers in the same memory."""
    if tensor.layout != torch.strided or tensor.device.type == "meta":
        return (id(tensor), tensor.dtype)
    return (tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype)


def _alike(left: Piece, right: Piece) -> bool:
    return _equal(left.kept, right.kept) and _equal(left.factors, right.factors)


def _equal(left: Mapping[int, np.ndarray], right: Mapping[int, np.ndarray]) -> bool:
    return left.keys() == right.keys() and all(np.array_equal(left[axis], right[axis]) for axis in left)


def index(indices: np.ndarray, beside: Tensor) -> Tensor:
    """Return indices as a tensor on another tensor's device."""
    return torch.from_numpy(np.ascontiguousarray(indices, dtype=np.int64)).to(beside.device)


def select(tensor: Tensor, kept: Mapping[int, np.ndarray]) -> Tensor:
    """Return the kept coordinates as a new tensor, its axes in memory in the same order."""
    values = tensor
    for axis, indices in sorted(kept.items(), key=lambda item: len(item[1])):
        values = values.index_select(axis, index(indices, tensor))
    return laid_out(values, tensor) if kept else values.clone()


def laid_out(values: Tensor, like: Tensor) -> Tensor:
    """Return `values` with its axes in memory in the order of those of `like`."""
    if like.layout != torch.strided or like.is_contiguous():
        return values.contiguous() if values.layout == torch.strided else values
    strides = like.stride()
    order = sorted(range(like.ndim), key=lambda axis: -strides[axis])
    result = torch.empty_permuted(values.shape, order, dtype=values.dtype, device=values.device)
    return result.copy_(values)
