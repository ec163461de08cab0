"""What of a module goes into a file, and how it is put back: all of it, or nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
import torch
from attrs import define, field
from torch import Tensor, nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from pruners import StateError
from pruners.storage.tensors import NUMPY, ModelState, Sizes, StoredTensor

from .surgery import attributes, distributed
from .surgery.tensors import laid_out
from .surgery.undo import Snapshot, put

_TYPES = {
    stored: dtype for name, stored in NUMPY.items() if (dtype := getattr(torch, name, None)) is not None
}
"""PyTorch's types by their names in safetensors; later versions have more."""
_NAMES = {dtype: stored for stored, dtype in _TYPES.items()}
_TAGS = {"format": "pt"}
"""What other readers look for in the header."""


@define(eq=False)
class Stored:
    """One piece of memory that a module's parameters or buffers lie in, and everything that holds it."""

    names: list[str]
    tensors: list[Tensor]
    """Distinct objects on this memory; mostly one."""
    owners: list[tuple[nn.Module, str]] = field(factory=list)
    """Modules that leave it out of their state, with their name for it."""
    transient: bool = True
    """Whether every owner leaves it out."""

    @property
    def tensor(self) -> Tensor:
        """The first of the objects."""
        return self.tensors[0]


def state(model: nn.Module) -> ModelState:
    """Return everything of a module that goes into a file."""
    _check_plain(model)
    graph = sys.modules.get("pruners_torch.graph")  # where it is not imported, no model is one
    if graph is not None and isinstance(model, graph.GraphModel):
        tensors, program = graph.graph_state(model)
        described = {name: _described(name, tensor) for name, tensor in tensors.items()}
        return ModelState(tensors=described, tags=_TAGS, form="graph", program=program)
    found = pieces(model)
    return ModelState(
        tensors={each.names[0]: _described(each.names[0], each.tensor) for each in found},
        aliases={alias: each.names[0] for each in found for alias in each.names[1:]},
        transient=frozenset(each.names[0] for each in found if each.transient),
        sizes={name: _sizes(module) for name, module in model.named_modules()},
        tags=_TAGS,
    )


def pieces(model: nn.Module) -> list[Stored]:
    """Return every parameter and buffer once, with all its names; those in the state come first."""
    found: dict[Any, Stored] = {}
    for name, module, attribute, tensor in _entries(model):
        each = found.setdefault(_place(tensor), Stored([], []))
        if all(tensor is not known for known in each.tensors):
            each.tensors.append(tensor)
        if attribute in module._non_persistent_buffers_set:
            each.owners.append((module, attribute))
            each.names.append(name)
        else:
            count = len(each.names) - len(each.owners)
            each.names.insert(count, name)
            each.transient = False
    return list(found.values())


def _entries(model: nn.Module) -> Iterator[tuple[str, nn.Module, str, Tensor]]:
    """Yield every name of every parameter and buffer, in the order of the module's own state."""
    for prefix, module in model.named_modules(remove_duplicate=False):
        for named in (module._parameters, module._buffers):
            for attribute, tensor in named.items():
                if tensor is not None:
                    yield f"{prefix}.{attribute}" if prefix else attribute, module, attribute, tensor


def _place(tensor: Tensor) -> Any:
    """Return what tensors have in common that are the same numbers in the same memory."""
    plain = tensor.layout == torch.strided and not _wrapped(tensor)
    if not plain or tensor.device.type == "meta" or not tensor.numel():
        return id(tensor)
    bits = (tensor.dtype, tensor.is_conj(), tensor.is_neg())
    return (tensor.device, tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), bits)


def _wrapped(tensor: Tensor) -> bool:
    """Return whether a tensor is made of others: sharded, quantised."""
    return bool(is_traceable_wrapper_subclass(tensor))


def _check_plain(model: nn.Module) -> None:
    """Raise where a module keeps state that is no tensor of its own."""
    sharded = sys.modules.get("torch.distributed.fsdp")
    for name, module in model.named_modules():
        where = f"module {name!r}" if name else "the model"
        if sharded is not None and isinstance(module, sharded.FullyShardedDataParallel):
            raise StateError(f"{where} is sharded: this process holds a part; gather the full module first")
        extra = type(module).get_extra_state is not nn.Module.get_extra_state
        if extra and module.get_extra_state() is not None:
            raise StateError(
                f"{where} ({type(module).__name__}) keeps extra state beside its tensors, which has no place "
                "in a file that is read without running code"
            )


def _described(name: str, tensor: Tensor) -> StoredTensor:
    if _wrapped(tensor) or tensor.layout != torch.strided:
        kind = type(tensor).__name__ if _wrapped(tensor) else tensor.layout
        raise StateError(f"{name!r} is a {kind}; only dense tensors can be stored: convert it first")
    if tensor.device.type == "meta":
        raise StateError(
            f"{name!r} is on the meta device and holds no values; call to_empty(device=...) first"
        )
    if tensor.dtype not in _NAMES:
        raise StateError(f"{name!r} is of type {tensor.dtype}, for which safetensors has no name")
    return StoredTensor(_NAMES[tensor.dtype], tuple(tensor.shape), lambda: _bytes(tensor))


def _bytes(tensor: Tensor) -> np.ndarray:
    plain = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()
    return plain.reshape(-1).view(torch.uint8).numpy()


def _sizes(module: nn.Module) -> dict[str, int | tuple[int, ...]]:
    """Return the integers, and tuples and lists of integers, that a module or its class holds by name."""
    kind: Any = type(module)
    return {**_sizes_of_class(kind), **_plain(vars(module))}


@cache
def _sizes_of_class(kind: type) -> dict[str, int | tuple[int, ...]]:
    classes = kind.__mro__[: kind.__mro__.index(nn.Module)]
    found = {name: value for each in reversed(classes) for name, value in vars(each).items()}
    return {name: value for name, value in _plain(found).items() if not name.startswith("_")}


def _plain(namespace: Mapping[str, Any]) -> dict[str, int | tuple[int, ...]]:
    found: dict[str, int | tuple[int, ...]] = {}
    for name, value in namespace.items():
        if _is_integer(value):
            found[name] = int(value)
        elif isinstance(value, (tuple, list)) and value and all(map(_is_integer, value)):
            found[name] = tuple(map(int, value))
    return found


def _is_integer(value: Any) -> bool:
    return type(value) is int or isinstance(value, np.integer)


def restore(model: nn.Module, tensors: Mapping[str, StoredTensor], sizes: Sizes) -> None:
    """
    Put tensors and integers in place of a module's own; on any error it is as it was.

    Where type and shape stay, values are written into the memory that is there, so that what
    shares it goes on sharing; otherwise the tensor gets other memory and stays the same object.
    """
    changes = [
        (each, _tensor(each.names[0], tensors[each.names[0]], each.tensor))
        for each in pieces(model)
        if each.names[0] in tensors
    ]
    _check_wrappers(model, changes)
    snapshot = Snapshot([model])
    written: list[tuple[Tensor, Tensor]] = []
    try:
        while changes:  # what is put in need not be held any longer
            _replace(*changes.pop(), written)
        for name, values in sizes.items():
            _set(model.get_submodule(name), values)
        _bring_up_to_date(model)
        snapshot.restore_flags()
    except BaseException:
        with torch.no_grad():
            for tensor, before in written:
                tensor.copy_(before)
        snapshot.restore()
        raise


def rebuilt(program: Mapping[str, Any], stored: Mapping[str, StoredTensor]) -> nn.Module:
    """Return the model that a stored program describes, in host memory."""
    from .graph import graph_module

    return graph_module({name: _loaded(name, each) for name, each in stored.items()}, program)


def _tensor(name: str, stored: StoredTensor, old: Tensor) -> Tensor:
    """Return a stored tensor laid out as `old` is, on its device, in memory of its own."""
    return laid_out(_loaded(name, stored), old).to(old.device)


def _loaded(name: str, stored: StoredTensor) -> Tensor:
    """Return a stored tensor in memory of its own."""
    if stored.dtype not in _TYPES:
        raise StateError(
            f"tensor {name!r} is of type {stored.dtype}, which PyTorch {torch.__version__} lacks"
        )
    dtype, data = _TYPES[stored.dtype], stored.read()
    flat = torch.from_numpy(data).view(dtype) if len(data) else torch.empty(0, dtype=dtype)
    return flat.reshape(stored.shape)


def _check_wrappers(model: nn.Module, changes: list[tuple[Stored, Tensor]]) -> None:
    """Raise where sizes change under a wrapper that has made buffers for the old ones."""
    resized = [
        each.names[0]
        for each, new in changes
        if each.tensor.shape != new.shape or each.tensor.dtype != new.dtype
    ]
    if resized and distributed.wrappers(model):
        raise StateError(
            f"{resized[0]!r} would be resized under DistributedDataParallel, which has made buffers for its "
            "size: load into the module first, then wrap it"
        )


def _replace(each: Stored, new: Tensor, written: list[tuple[Tensor, Tensor]]) -> None:
    if _fits(each.tensor, new):
        with torch.no_grad():
            written.append((each.tensor, each.tensor.clone()))
            each.tensor.copy_(new)
    else:
        for tensor in each.tensors:
            put(tensor, new)
    if each.transient:  # from now on the user's code cannot make it anew
        for module, attribute in each.owners:
            module._non_persistent_buffers_set.discard(attribute)


def _bring_up_to_date(model: nn.Module) -> None:
    """Compute anew what modules hold beside their tensors and make from them."""
    model.train()  # modules that cache something for evaluation drop it here
    attributes.refresh(model)
    for module in model.modules():
        if isinstance(module, nn.RNNBase):
            module.flatten_parameters()


def _fits(old: Tensor, new: Tensor) -> bool:
    """Return whether values can be written into the memory that is there."""
    alike = (old.shape, old.dtype, old.device) == (new.shape, new.dtype, new.device)
    repeats = any(stride == 0 and length > 1 for stride, length in zip(old.stride(), old.shape, strict=True))
    return alike and not repeats and not old.is_inference()


def _set(module: nn.Module, values: Mapping[str, int | tuple[int, ...]]) -> None:
    for name, value in values.items():
        now = getattr(module, name)
        if isinstance(value, int) or type(now) in (tuple, list, torch.Size):
            vars(module)[name] = type(now)(value)
        else:
            vars(module)[name] = type(now)(*value)  # a named tuple
