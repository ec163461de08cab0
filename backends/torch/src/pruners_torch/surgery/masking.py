"""The masked reference: the model as it was, with everything that leaves set to zero."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from attrs import define, frozen
from torch import Tensor, nn
from torch.nn.utils.parametrizations import _WeightNorm
from torch.nn.utils.parametrize import ParametrizationList
from torch.nn.utils.weight_norm import WeightNorm
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from pruners import ProofError
from pruners.structure.plan import Coordinates
from pruners.structure.program import Op, Program

from .running import lent
from .tensors import FLOATS, Piece, index, select

_BATCH_NORMS = """native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_functional
    _batch_norm_with_update _batch_norm_with_update_functional _batch_norm_impl_index cudnn_batch_norm
    miopen_batch_norm batch_norm"""
_KINDS = {
    **dict.fromkeys(("native_layer_norm", "layer_norm", "_fused_rms_norm", "rms_norm"), "layer_norm"),
    **dict.fromkeys(("native_group_norm", "group_norm"), "group_norm"),
    **dict.fromkeys(_BATCH_NORMS.split(), "batch_norm"),
}
"""Operations that normalise, below all of PyTorch's functions."""
_RMS_NORMS = tuple(
    function
    for function in (getattr(functional, "rms_norm", None), getattr(torch, "rms_norm", None))
    if function is not None
)


@contextmanager
def masked(
    model: nn.Module, pieces: Sequence[Piece], norms: Sequence[Norm], dtype: torch.dtype | None
) -> Iterator[None]:
    """Make a model the masked reference while a block runs, in `dtype` or its own."""
    by_tensor = {id(piece.tensor): piece for piece in pieces}
    divided = _directions(model)

    def values(tensor: Tensor) -> Tensor:
        floating = tensor.dtype in FLOATS
        target = dtype if dtype is not None and floating else tensor.dtype
        piece = by_tensor.get(id(tensor))
        if piece is None or not (floating or tensor.is_complex()):
            return tensor.data.to(target, copy=True)
        return piece.masked(target, but=divided.get(id(tensor)))

    with ExitStack() as stack:
        stack.enter_context(lent(model, values))
        if any(norm.kept for norm in norms):
            alignment = _Alignment(norms)
            stack.enter_context(_Functions(alignment))
            stack.enter_context(_Operations(alignment))
            yield
            alignment.finish()
        else:
            yield


@frozen(eq=False)
class Norm:
    """One recorded normalisation and what is kept of the axes that it normalises over."""

    kind: str
    module: str
    kept: Mapping[int, np.ndarray]
    shape: tuple[int, ...]
    rms: bool = False
    """Whether it divides by the root of the mean square alone."""


def norms(program: Program, mode: str, coordinates: Coordinates) -> list[Norm]:
    """Return a program's normalisations by the statistics of their input, in the order they ran."""
    return [
        _norm(op, program, coordinates(mode, op.inputs[0]))
        for op in program.ops
        if op.kind in ("layer_norm", "group_norm")
        or (op.kind == "batch_norm" and op.options["batch_statistics"])
    ]


def _norm(op: Op, program: Program, stays: Sequence[np.ndarray | None]) -> Norm:
    own = 1 if op.kind == "batch_norm" else 0
    shape = program.shapes[op.inputs[0]]
    axes = range(len(shape))
    over = op.options["axes"] if op.kind == "layer_norm" else [axis for axis in axes if axis != own]
    kept = {axis % len(shape): indices for axis in over if (indices := stays[axis]) is not None}
    return Norm(op.kind, op.place.module, kept, shape, op.options.get("function") == "rms_norm")


@define(eq=False)
class _Alignment:
    """Walks along the recorded normalisations as the reference meets them."""

    norms: Sequence[Norm]
    position: int = 0

    @property
    def awaits_rms(self) -> bool:
        """Whether the next recorded one divides by the root of the mean square alone."""
        return self.position < len(self.norms) and self.norms[self.position].rms

    def next(self, kind: str, x: Tensor) -> Norm:
        if self.position == len(self.norms):
            raise self._lost(kind, "none")
        norm = self.norms[self.position]
        self.position += 1
        if norm.kind != kind or len(norm.shape) != x.ndim:
            raise self._lost(kind, norm.kind)
        if any(x.shape[axis] != norm.shape[axis] for axis in norm.kept):
            raise self._lost(f"{kind} of {tuple(x.shape)}", f"one of {norm.shape}")
        return norm

    def finish(self) -> None:
        if self.position != len(self.norms):
            raise self._lost("none", self.norms[self.position].kind)

    def _lost(self, met: str, recorded: str) -> ProofError:
        return ProofError(
            f"normalisation {self.position} of the masked model is {met}, where {recorded} was recorded: the "
            "model takes another path once masked; pass example inputs on which it does not"
        )


class _Functions(TorchFunctionMode):
    """Catches the normalisation that is no operation of its own."""

    def __init__(self, alignment: _Alignment) -> None:
        super().__init__()
        self._alignment = alignment

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Normalise over what is kept."""
        kwargs = kwargs or {}
        if func not in _RMS_NORMS or not self._alignment.awaits_rms:
            return func(*args, **kwargs)
        names = ("input", "normalized_shape", "weight", "eps")
        bound = {**dict(zip(names, args, strict=False)), **kwargs}
        norm = self._alignment.next("layer_norm", bound["input"])
        return _layer_norm(func, bound, norm) if norm.kept else func(**bound)


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Catches all other normalisations."""

    def __init__(self, alignment: _Alignment) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._alignment = alignment

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Normalise over what is kept."""
        kwargs = kwargs or {}
        kind = _KINDS.get(func._schema.name.partition("::")[2])
        if kind is None:
            return func(*args, **kwargs)
        names = [argument.name for argument in func._schema.arguments]
        bound = {**dict(zip(names, args, strict=False)), **kwargs}
        if kind == "batch_norm" and not bound.get("training", True):
            return func(*args, **kwargs)
        norm = self._alignment.next(kind, bound["input"])
        return _NORMALISE[kind](func, bound, norm) if norm.kept else func(*args, **kwargs)


def _layer_norm(func: Any, bound: dict[str, Any], norm: Norm) -> Any:
    x = bound["input"]
    first = x.ndim - len(bound["normalized_shape"])
    own = {axis - first: indices for axis, indices in norm.kept.items()}
    part = select(x, norm.kept)
    changed = {"input": part, "normalized_shape": list(part.shape[first:])}
    changed |= {
        name: select(bound[name], own) for name in ("weight", "bias") if isinstance(bound.get(name), Tensor)
    }
    return _spread(func(**{**bound, **changed}), x, norm.kept)


def _batch_norm(func: Any, bound: dict[str, Any], norm: Norm) -> Any:
    x = bound["input"]
    return _spread(func(**{**bound, "input": select(x, norm.kept)}), x, norm.kept)


def _group_norm(func: Any, bound: dict[str, Any], norm: Norm) -> Any:
    x, weight, bias, groups = bound["input"], bound["weight"], bound["bias"], bound["group"]
    flat = x.reshape(bound["N"], bound["C"], -1)
    out = torch.zeros_like(flat)
    means, scales = (flat.new_zeros(bound["N"], groups) for _ in range(2))
    width = bound["C"] // groups
    for group in range(groups):
        kept = norm.kept[1][norm.kept[1] // width == group]
        if not len(kept):
            continue
        own = index(kept, x)
        part = flat.index_select(1, own)
        means[:, group] = part.mean((1, 2))
        scales[:, group] = (part.var((1, 2), correction=0) + bound["eps"]).rsqrt()
        part = (part - means[:, group, None, None]) * scales[:, group, None, None]
        part = part if weight is None else part * weight[own][:, None]
        part = part if bias is None else part + bias[own][:, None]
        out.index_copy_(1, own, part)
    return out.reshape(x.shape), means, scales


_NORMALISE: dict[str, Callable[[Any, dict[str, Any], Norm], Any]] = {
    "layer_norm": _layer_norm,
    "batch_norm": _batch_norm,
    "group_norm": _group_norm,
}


def _spread(result: Any, x: Tensor, kept: Mapping[int, np.ndarray]) -> Any:
    """Return a result with its kept coordinates at their own places again, zeros elsewhere."""
    if isinstance(result, (tuple, list)):
        return type(result)((_spread(result[0], x, kept), *result[1:]))
    for axis, indices in kept.items():
        shape = list(result.shape)
        shape[axis] = x.shape[axis]
        result = result.new_zeros(shape).index_copy_(axis, index(indices, x), result)
    return result


def _directions(model: nn.Module) -> dict[int, int]:
    """Return {direction of a weight norm: its own axis}: its rows are divided by their length, never zero."""
    found: dict[int, int] = {}
    for module in model.modules():
        for hook in list(module._forward_pre_hooks.values()):
            if isinstance(hook, WeightNorm):
                found[id(getattr(module, f"{hook.name}_v"))] = hook.dim
        if isinstance(module, ParametrizationList):
            for each in module:
                if isinstance(each, _WeightNorm):
                    found[id(module.original1)] = each.dim
    return found
