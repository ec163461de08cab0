"""Runtimes of PyTorch's own: exported programs, and live models with 2:4 weights on a graphics card."""

from __future__ import annotations

import copy
import platform
from collections.abc import Callable, Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from attrs import field, frozen, validators
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from pruners.errors import ExportError

from .._arrays import to_host, to_tensor
from .._layers import unwrapped
from ..graph.exporting import quietly
from .running import threads as using


@frozen
class TorchExport:
    """
    Exported programs (``.pt2``) in PyTorch, without the code that the model was written in.

    Examples
    --------
    >>> import pruners
    >>> pruners.runtime("torch-export")
    TorchExport()
    """

    def open(self, model: str | PathLike[str], *, threads: int) -> Ready:
        """
        Return the program of a file, ready to run on exactly so many threads.

        Raises
        ------
        pruners.ExportError
            If PyTorch cannot read the file; its own error is chained.
        """
        try:
            with quietly():
                program = torch.export.load(fspath(model))
                module = program.module()
        except Exception as error:
            raise ExportError(f"PyTorch cannot open {Path(model).name!r}: {_line(error)}") from error
        leaves, structure = tree_flatten(program.example_inputs)

        def call(tensors: Sequence[Tensor]) -> Any:
            given = iter(tensors)
            filled = [next(given) if isinstance(leaf, Tensor) else leaf for leaf in leaves]
            args, kwargs = tree_unflatten(filled, structure)
            return module(*args, **kwargs)

        return Ready(call, sum(isinstance(leaf, Tensor) for leaf in leaves), threads)

    def describe(self) -> Mapping[str, str]:
        """Return the version and the device."""
        return {"runtime": f"PyTorch {torch.__version__} (torch.export)", "device": _processor()}


Precision = Literal["float16", "bfloat16"]
_MULTIPLES = (32, 64)
"""What both lengths of a weight of 16 bits must be multiples of: out and in."""


@frozen
class SemiStructured:
    """
    Live modules on a graphics card, linear layers with 2:4 zeros packed for its sparse tensor cores.

    A copy of the module runs on the current CUDA device in 16 bits; the module itself stays as it
    is. A layer is packed with ``torch.sparse.to_sparse_semi_structured`` where at most two of every
    four neighbouring inputs of its weight are not zero.

    Parameters
    ----------
    dtype : {"float16", "bfloat16"}, default "float16"
        What the copy computes in.

    Examples
    --------
    >>> import pruners
    >>> pruners.runtime("torch-semi-structured", dtype="bfloat16")
    SemiStructured(dtype='bfloat16')
    """

    dtype: Precision = field(default="float16", validator=validators.in_(get_args(Precision)))

    def open(self, model: Any, *, threads: int) -> Ready:
        """
        Return a packed copy of a module, ready to run; `threads` are those that feed the graphics card.

        Raises
        ------
        pruners.ExportError
            If there is no CUDA device, or no linear layer can be packed; the message names the reason.
        """
        module = unwrapped(model)
        found = packable(module)
        if not torch.cuda.is_available():
            raise ExportError(
                "2:4 weights are packed for a graphics card, and PyTorch finds no CUDA device here"
            )
        module = copy.deepcopy(module).eval().to("cuda", getattr(torch, self.dtype))
        for name in found:
            layer: Any = module.get_submodule(name)
            try:
                packed = torch.sparse.to_sparse_semi_structured(layer.weight.detach())
            except Exception as error:
                raise ExportError(f"layer {name!r} cannot be packed: {_line(error)}") from error
            layer.weight = nn.Parameter(packed, requires_grad=False)
        return Ready(lambda tensors: module(*tensors), None, threads, getattr(torch, self.dtype), "cuda")

    def describe(self) -> Mapping[str, str]:
        """Return the version, the device and the precision."""
        device = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
        return {
            "runtime": f"PyTorch {torch.__version__} (2:4 packed)",
            "device": device,
            "precision": self.dtype,
        }


def packable(module: nn.Module) -> list[str]:
    """
    Return the names of the linear layers whose weights are 2:4 and of a size that can be packed.

    Raises
    ------
    pruners.ExportError
        If there is none; the message says why of the first.
    """
    found, reasons = [], []
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Linear):
            reason = _obstacle(layer.weight.detach())
            if reason:
                reasons.append(f"{name or 'the layer itself'!s} {reason}")
            else:
                found.append(name)
    if not found:
        why = f": {reasons[0]}" if reasons else ": the model has no linear layer"
        raise ExportError(
            f'no layer can be packed as 2:4{why}. Prune linear layers with pattern="nm" at sparsity 0.5'
        )
    return found


def _obstacle(weight: Tensor) -> str:
    out, into = weight.shape
    if out % _MULTIPLES[0] or into % _MULTIPLES[1]:
        of = " and ".join(map(str, _MULTIPLES))
        return f"has {out} x {into} weights, and the lengths must be multiples of {of}"
    kept = (weight != 0).reshape(out, into // 4, 4).sum(-1)
    full = int((kept > 2).sum())
    return f"has more than 2 weights in {full:,} of {kept.numel():,} blocks of 4" if full else ""


@frozen(eq=False)
class Ready:
    """A model that takes arrays in order and gives arrays in order."""

    call: Callable[[Sequence[Tensor]], Any]
    inputs: int | None
    """How many it takes; None: whatever the model takes."""
    threads: int
    dtype: torch.dtype | None = None
    """What floats are turned into."""
    device: str = "cpu"

    def __call__(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return the outputs; the work is done on return."""
        if self.inputs is not None and len(inputs) != self.inputs:
            raise ExportError(f"the exported program takes {self.inputs} inputs, got {len(inputs)}")
        tensors = [self._taken(each) for each in inputs]
        with using(self.threads), torch.no_grad():
            try:
                given = self.call(tensors)
            except Exception as error:
                raise ExportError(f"PyTorch cannot run the model: {_line(error)}") from error
            return [to_host(leaf).copy() for leaf in tree_leaves(given) if isinstance(leaf, Tensor)]

    def _taken(self, array: np.ndarray) -> Tensor:
        tensor = to_tensor(array).to(self.device)
        return tensor.to(self.dtype) if self.dtype is not None and tensor.is_floating_point() else tensor


def _processor() -> str:
    return platform.processor() or platform.machine()


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
