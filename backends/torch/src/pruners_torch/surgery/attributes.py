"""Integers in modules that mirror a size: rewritten once the tensors are smaller."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch
from attrs import frozen
from torch import Tensor, nn
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from pruners import RemovalError
from pruners.structure.program import Attribute

from .tensors import Piece

Implied = dict[str, Any]
Rule = Callable[[nn.Module, tuple[int, ...]], Implied | None]


@frozen(eq=False)
class Mirror:
    """A module whose attributes follow from the shape of one of its tensors."""

    module: nn.Module
    name: str
    source: str
    rule: Rule
    groups: int | None

    def update(self) -> None:
        """Write what the tensor's shape implies now."""
        if self.groups is not None:
            setattr(self.module, "groups", self.groups)  # noqa: B010 (a module has no such type)
        implied = self.rule(self.module, _shape(self.module, self.source))
        for attribute, value in (implied or {}).items():
            if getattr(self.module, attribute) != value:
                setattr(self.module, attribute, value)


def mirrors(model: nn.Module, pieces: Sequence[Piece]) -> list[Mirror]:
    """
    Return the modules whose attributes will have to follow, before anything is cut.

    A module is known by what holds between its attributes and its weight (``weight.shape[0] ==
    out_channels``), not by its class: variants of the library's layers are served alike.
    """
    kept: dict[int, Piece] = {id(piece.tensor): piece for piece in pieces if piece.kept}
    found = []
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            continue
        own = [kept[id(tensor)] for tensor in _own(module) if id(tensor) in kept]
        if own:
            found += _mirrors_of(module, name, own)
    return found


def _own(module: nn.Module) -> list[Tensor]:
    """Return the tensors that a module or what parametrises its weights holds."""
    owners = [module]
    parametrised = module._modules.get("parametrizations")
    if parametrised is not None:
        owners += list(parametrised.children())
    return [
        tensor
        for owner in owners
        for tensor in (*owner._parameters.values(), *owner._buffers.values())
        if tensor is not None
    ]


def _mirrors_of(module: nn.Module, name: str, own: Sequence[Piece]) -> list[Mirror]:
    found = []
    for rule, sources in _RULES:
        for source in sources:
            shape = _shape(module, source)
            implied = rule(module, shape) if shape else None
            if implied is None or any(getattr(module, key, None) != value for key, value in implied.items()):
                continue
            groups = _groups(module, name, shape, own) if "in_channels" in implied else None
            found.append(Mirror(module, name, source, rule, groups))
            break
    return found


def _shape(module: nn.Module, source: str) -> tuple[int, ...]:
    tensor = getattr(module, source, None)
    return tuple(tensor.shape) if isinstance(tensor, Tensor) else ()


def _groups(module: nn.Module, name: str, shape: tuple[int, ...], own: Sequence[Piece]) -> int | None:
    """Return how many groups a convolution keeps: those of which channels stay, if whole ones leave."""
    groups = int(getattr(module, "groups", 1))
    piece = next((each for each in own if each.shape == shape and 0 in each.kept), None)
    if groups == 1 or piece is None:
        return None
    counts = np.bincount(piece.kept[0] // (shape[0] // groups), minlength=groups)
    left = counts[counts > 0]
    if (left != left[0]).any():
        raise RemovalError(
            f"the plan leaves {name!r} with groups of unequal size ({', '.join(map(str, counts))} channels); "
            "keep as many in each group"
        )
    return len(left)


def _convolution(module: nn.Module, shape: tuple[int, ...]) -> Implied | None:
    if len(shape) < 3:
        return None
    groups = getattr(module, "groups", 1)
    first, second = shape[0], shape[1] * groups
    if getattr(module, "transposed", False):
        return {"in_channels": first, "out_channels": second}
    return {"out_channels": first, "in_channels": second}


def _linear(module: nn.Module, shape: tuple[int, ...]) -> Implied | None:
    return {"out_features": shape[0], "in_features": shape[1]} if len(shape) == 2 else None


def _bilinear(module: nn.Module, shape: tuple[int, ...]) -> Implied | None:
    names = ("out_features", "in1_features", "in2_features")
    return dict(zip(names, shape, strict=True)) if len(shape) == 3 else None


def _embedding(module: nn.Module, shape: tuple[int, ...]) -> Implied | None:
    return {"num_embeddings": shape[0], "embedding_dim": shape[1]} if len(shape) == 2 else None


def _normalised(module: nn.Module, shape: tuple[int, ...]) -> Implied | None:
    before = getattr(module, "normalized_shape", None)
    if isinstance(before, int):
        return {"normalized_shape": shape[0]} if len(shape) == 1 else None
    return {"normalized_shape": type(before)(shape)} if isinstance(before, (tuple, list)) else None


def _count(attribute: str) -> Rule:
    def rule(module: nn.Module, shape: tuple[int, ...]) -> Implied | None:
        return {attribute: shape[0]} if len(shape) == 1 else None

    return rule


_WEIGHT = ("weight",)
_RULES: tuple[tuple[Rule, tuple[str, ...]], ...] = (
    (_convolution, _WEIGHT),
    (_linear, _WEIGHT),
    (_bilinear, _WEIGHT),
    (_embedding, _WEIGHT),
    (_normalised, _WEIGHT),
    (_count("num_features"), ("weight", "running_mean", "bias")),
    (_count("num_channels"), ("weight", "bias")),
    (_count("num_parameters"), _WEIGHT),
)
"""What a tensor's shape says about attributes; a rule applies where it held before."""


def rewrite(model: nn.Module, attributes: Mapping[Attribute, int]) -> None:
    """Write new values for integers, or for entries of tuples and lists, that mirror a size."""
    for attribute, value in attributes.items():
        module, current = _found(model, attribute)
        if attribute.index is None:
            _set(module, attribute, int(value))
            continue
        entries = list(current)
        entries[attribute.index] = int(value)
        named = isinstance(current, tuple) and type(current) not in (tuple, torch.Size)
        _set(module, attribute, type(current)(*entries) if named else type(current)(entries))


def check(model: nn.Module, attributes: Iterable[Attribute]) -> None:
    """Raise where an attribute to be rewritten is not an integer of the model."""
    for attribute in attributes:
        _, current = _found(model, attribute)
        value = current
        if attribute.index is not None:
            if not isinstance(current, (list, tuple)) or not -len(current) <= attribute.index < len(current):
                raise RemovalError(
                    f"the plan rewrites {attribute}, but {attribute.name} is {current!r}: no such entry"
                )
            value = current[attribute.index]
        if isinstance(value, bool) or not isinstance(value, Integral):
            raise RemovalError(f"the plan rewrites {attribute}, which is {value!r} and no integer")


def _found(model: nn.Module, attribute: Attribute) -> tuple[nn.Module, Any]:
    try:
        module = model.get_submodule(attribute.module)
        return module, getattr(module, attribute.name)
    except AttributeError as error:
        raise RemovalError(f"the plan rewrites {attribute}, which the model does not have") from error


def _set(module: nn.Module, attribute: Attribute, value: Any) -> None:
    try:
        setattr(module, attribute.name, value)
    except (AttributeError, TypeError) as error:
        raise RemovalError(f"the plan rewrites {attribute}, which cannot be set") from error


def refresh(model: nn.Module) -> None:
    """Compute anew the weights that older ways of parametrising keep beside their parts."""
    for module in model.modules():
        for hook in list(module._forward_pre_hooks.values()):
            if isinstance(hook, WeightNorm):
                setattr(module, hook.name, hook.compute_weight(module))
            elif isinstance(hook, SpectralNorm):
                setattr(module, hook.name, hook.compute_weight(module, do_power_iteration=False))
            elif isinstance(hook, BasePruningMethod):
                setattr(module, hook._tensor_name, hook.apply_mask(module))  # type: ignore[no-untyped-call]
