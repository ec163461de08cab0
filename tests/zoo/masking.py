"""The masked original, made from a plan's kept indices alone: what a smaller model must equal.

Written apart from the library, so that both would have to err alike. Every coordinate that left is zero in
every parameter (a running variance: one). Where the original normalises over features, it must here normalise
over those that stay: `KeptFeatures` replaces the functions that do.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

Kept = Mapping[str, Mapping[int, np.ndarray]]


def masked(model: nn.Module, kept: Kept) -> nn.Module:
    """Return a copy of `model` with zeros wherever `kept` leaves something out."""
    twin = copy.deepcopy(model)
    tensors = dict([*twin.named_parameters(), *twin.named_buffers()])
    with torch.no_grad():
        for name, axes in kept.items():
            if not tensors[name].is_floating_point():
                continue
            value = 1.0 if name.endswith("running_var") else 0.0
            for axis, indices in axes.items():
                tensors[name].index_fill_(axis, _left(indices, tensors[name].shape[axis]), value)
    return twin


def _left(indices: np.ndarray, length: int) -> Tensor:
    return torch.from_numpy(np.setdiff1d(np.arange(length), indices))


class KeptFeatures(TorchFunctionMode):
    """While it is active, normalisations of `model` run over the features that `kept` names."""

    def __init__(self, model: nn.Module, kept: Kept) -> None:
        super().__init__()
        self.features: dict[int, Tensor] = {}
        for name, parameter in model.named_parameters():
            if name in kept and parameter.ndim == 1 and 0 in kept[name]:
                stays = torch.zeros(len(parameter), dtype=torch.bool)
                stays[torch.from_numpy(np.asarray(kept[name][0]))] = True
                self.features[id(parameter)] = stays

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        if function in REPLACED:
            return REPLACED[function](self, *args, **(kwargs or {}))
        return function(*args, **(kwargs or {}))

    def stays(self, weight: Tensor | None, x: Tensor, axis: int) -> Tensor:
        """Return which features stay: the weight tells; without one, those that are not zero throughout."""
        if weight is not None:
            return self.features.get(id(weight), torch.ones(x.shape[axis], dtype=torch.bool))
        return x.movedim(axis, 0).flatten(1).ne(0).any(1)


def layer_norm(
    mode: KeptFeatures,
    x: Tensor,
    shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *rest: Any,
) -> Tensor:
    """Normalise the last axis over the features that stay; the others become zero."""
    stays = mode.stays(weight, x, -1)
    if len(shape) != 1 or stays.all():
        return torch.layer_norm(x, shape, weight, bias, eps)
    weight, bias = (None if each is None else each[stays] for each in (weight, bias))
    result = torch.zeros_like(x)
    result[..., stays] = torch.layer_norm(x[..., stays], (int(stays.sum()),), weight, bias, eps)
    return result


def rms_norm(
    mode: KeptFeatures,
    x: Tensor,
    shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """Divide the last axis by the root mean square of the features that stay; the others become zero."""
    stays = mode.stays(weight, x, -1)
    if len(shape) != 1 or stays.all():
        return torch.rms_norm(x, shape, weight, eps)
    scale = None if weight is None else weight[stays]
    result = torch.zeros_like(x)
    result[..., stays] = torch.rms_norm(x[..., stays], (int(stays.sum()),), scale, eps)
    return result


def group_norm(
    mode: KeptFeatures,
    x: Tensor,
    groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *rest: Any,
) -> Tensor:
    """Normalise each group over those of its channels that stay; the others become zero."""
    stays = mode.stays(weight, x, 1)
    if stays.all():
        return torch.group_norm(x, groups, weight, bias, eps)
    result = torch.zeros_like(x)
    for channels in torch.arange(x.shape[1]).chunk(groups):
        channels = channels[stays[channels]]
        if len(channels):
            scale, shift = (None if each is None else each[channels] for each in (weight, bias))
            result[:, channels] = torch.group_norm(x[:, channels], 1, scale, shift, eps)
    return result


def batch_norm(
    mode: KeptFeatures,
    x: Tensor,
    mean: Tensor | None,
    variance: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *rest: Any,
) -> Tensor:
    """Standardise a weight (1, out, in * kernel) over those of its numbers that are not masked."""
    if not training or mean is not None or x.shape[0] != 1 or x.ndim != 3 or x.ne(0).all():
        return torch.batch_norm(x, weight, bias, mean, variance, training, momentum, eps, False)
    count = x.ne(0).sum(2, keepdim=True).clamp(min=1)
    centred = torch.where(x.ne(0), x - x.sum(2, keepdim=True) / count, 0.0)
    result = centred / (centred.square().sum(2, keepdim=True) / count + eps).sqrt()
    result = result if weight is None else result * weight[:, None]
    return result if bias is None else torch.where(x.ne(0), result + bias[:, None], 0.0)


REPLACED: dict[Callable[..., Any], Callable[..., Any]] = {
    functional.layer_norm: layer_norm,
    torch.layer_norm: layer_norm,
    functional.rms_norm: rms_norm,
    torch.rms_norm: rms_norm,
    functional.group_norm: group_norm,
    torch.group_norm: group_norm,
    functional.batch_norm: batch_norm,
}
