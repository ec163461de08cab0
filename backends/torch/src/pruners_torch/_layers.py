"""Which parameters of a module are weights, and how each is laid out as (out, in, *kernel)."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from attrs import evolve, frozen
from torch import Tensor, nn

from pruners import Layer, OptionError, StateError
from pruners.protocols.ranks import Box

from ._parts import Origin, Part
from ._pieces import Layout, layout_of, local, reshard, types_of

_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_WEIGHTS: tuple[tuple[tuple[type[nn.Module], ...], tuple[str, ...]], ...] = (
    (
        (
            nn.Linear,
            nn.Bilinear,
            nn.Conv1d,
            nn.Conv2d,
            nn.Conv3d,
            *_TRANSPOSED,
            nn.Embedding,
            nn.EmbeddingBag,
        ),
        ("weight",),
    ),
    ((nn.MultiheadAttention,), ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")),
    ((nn.RNNBase,), ("weight_",)),
    ((nn.RNNCellBase,), ("weight_",)),
)
"""Module types and how the names of their weights begin; wildcards reach just these."""

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""What weights can be."""


@frozen(eq=False)
class Weight:
    """One parameter: where it lives, and its way to the canonical layout and back."""

    layer: Layer
    root: nn.Module
    attribute: str
    groups: int = 0
    """0 for ``(out, in, *kernel)`` as stored; else the groups of a transposed convolution."""
    layout: Layout | None = None
    """How the parameter lies on several ranks; None where it is whole."""

    @property
    def module(self) -> nn.Module:
        """The owner, as the model holds it now."""
        try:
            return self.root.get_submodule(self.layer.module)
        except AttributeError as error:
            raise self._gone() from error

    @property
    def parameter(self) -> nn.Parameter:
        """The parameter, as its owner holds it now; in pieces, if it is, also right after a forward pass."""
        found = self._held()
        if layout_of(found) == self.layout:
            return found
        reshard(self.root)
        found = self._held()
        if layout_of(found) != self.layout:
            raise StateError(
                f"layer {self.layer.name!r} no longer lies on the ranks as it did; finish this session, and "
                "attach a new one once the model is sharded"
            )
        return found

    @property
    def piece(self) -> Tensor:
        """What of the parameter is here: the memory itself, without its history."""
        reason = None if self.layout is None else self.layout.refusal(self.groups)
        if reason is not None:
            raise OptionError(
                f"parameter {self.layer.name!r} {reason}; leave it out of the rules, or prune before sharding"
            )
        return local(self.parameter)

    def boxes(self) -> dict[int, Box]:
        """Return the pieces of ``(out, in, *kernel)`` on the ranks of its mesh; none of a whole parameter."""
        if self.layout is None or self.layout.refusal(self.groups) is not None:
            return {}
        found = self.layout.boxes(tuple(self.parameter.shape))
        if not self.groups:
            return found
        return {rank: Box(_swapped(box.offset), _swapped(box.shape)) for rank, box in found.items()}

    def _held(self) -> nn.Parameter:
        found = self.module._parameters.get(self.attribute)
        if found is None:
            raise self._gone()
        return found

    def _gone(self) -> StateError:
        return StateError(
            f"layer {self.layer.name!r} is no longer in the model; finish this session and attach a new one"
        )

    def canonical(self, stored: Tensor) -> Tensor:
        """Return a tensor laid out as the parameter is, as ``(out, in, *kernel)``."""
        return _swap(stored, self.groups) if self.groups else stored

    def stored(self, canonical: Tensor) -> Tensor:
        """Return an ``(out, in, *kernel)`` tensor laid out as the parameter is; ``(out,)`` as it comes."""
        return _swap(canonical, self.groups) if self.groups and canonical.ndim > 1 else canonical


def _swapped(numbers: tuple[int, ...]) -> tuple[int, ...]:
    return (numbers[1], numbers[0], *numbers[2:])


def _swap(tensor: Tensor, groups: int) -> Tensor:
    """``(groups * a, b, ...) -> (groups * b, a, ...)``: its own inverse."""
    if groups == 1:
        return tensor.transpose(0, 1)
    parted = tensor.reshape(groups, tensor.shape[0] // groups, *tensor.shape[1:])
    return parted.transpose(1, 2).flatten(0, 1)


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the user's module under ``torch.compile`` and data-parallel wrappers."""
    wrappers = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    while True:
        if isinstance(model, wrappers):
            model = model.module
        elif "torch._dynamo" in sys.modules and isinstance(model, torch._dynamo.OptimizedModule):
            model = model._orig_mod  # importing torch._dynamo takes seconds: only where it is in use
        else:
            return model


def weights(model: nn.Module) -> dict[str, Weight]:
    """Return every float parameter by its first name; tied parameters appear once."""
    reshard(model)
    found: dict[str, Weight] = {}
    first: dict[int, str] = {}
    for weight, parameter in _parameters(model):
        name = weight.layer.name
        if isinstance(parameter, nn.parameter.UninitializedParameter):
            raise OptionError(
                f"parameter {name!r} has no shape yet; run the model once on a batch, then prune"
            )
        if parameter.dtype not in FLOATS:
            continue
        known = first.setdefault(id(parameter), name)
        found[known] = weight if known == name else _merge(found[known], weight)
    return found


def _parameters(model: nn.Module) -> Iterator[tuple[Weight, nn.Parameter]]:
    for module_name, module in model.named_modules():
        for attribute, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            origin = module.pruners_origin if isinstance(module, Part) else origin_of(module)
            groups = origin.groups if attribute == "weight" else 0
            layer = Layer(
                name=f"{module_name}.{attribute}" if module_name else attribute,
                module=module_name,
                type=origin.type,
                shape=_shape(parameter, groups),
                default=attribute in origin.weights,
                bases=origin.bases,
            )
            yield Weight(layer, model, attribute, groups, layout_of(parameter)), parameter


def _shape(parameter: nn.Parameter, groups: int) -> tuple[int, ...]:
    if isinstance(parameter, nn.parameter.UninitializedParameter):
        return ()
    if not groups:
        return tuple(parameter.shape)
    into, out, *kernel = parameter.shape
    return (out * groups, into // groups, *kernel)


def origin_of(module: nn.Module) -> Origin:
    """Return what a module is, as far as rules and layouts ask."""
    types = types_of(module)
    return Origin(
        type=types[0].__name__,
        bases=tuple(base.__name__ for base in types[:-1]),
        weights=tuple(name for name, _ in module.named_parameters(recurse=False) if _is_weight(module, name)),
        groups=int(module.groups) if isinstance(module, _TRANSPOSED) else 0,
    )


def _is_weight(module: nn.Module, attribute: str) -> bool:
    return any(isinstance(module, types) and attribute.startswith(names) for types, names in _WEIGHTS)


def _merge(known: Weight, other: Weight) -> Weight:
    """Return a tied parameter under both names; it is a weight if any owner says so."""
    owner = known if known.layer.default or not other.layer.default else other
    layer = evolve(
        owner.layer,
        name=known.layer.name,
        aliases=(*known.layer.aliases, other.layer.name),
        default=known.layer.default or other.layer.default,
    )
    return evolve(owner, layer=layer)


def layers(found: Mapping[str, Weight]) -> dict[str, Layer]:
    """Return the layers behind the weights."""
    return {name: weight.layer for name, weight in found.items()}


def optimizers(optimizer: Any) -> tuple[torch.optim.Optimizer, ...]:
    """Return one or several optimizers as a tuple, checked."""
    listed = () if optimizer is None else optimizer if isinstance(optimizer, (list, tuple)) else (optimizer,)
    for each in listed:
        if not isinstance(each, torch.optim.Optimizer):
            raise OptionError(
                f"optimizer must be a torch.optim.Optimizer or a list of them, got {type(each).__name__}"
            )
    return tuple(listed)
