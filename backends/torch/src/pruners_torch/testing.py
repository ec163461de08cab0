"""Models for conformance checks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from ._arrays import to_tensor


def model_from_arrays(arrays: Mapping[str, np.ndarray]) -> nn.Module:
    """
    Return a module whose parameters are copies of `arrays`, under the same names.

    Two-axis arrays become linear layers and longer ones convolutions, where the name ends in
    ``.weight``; anything else becomes a loose parameter.
    """
    model = nn.Module()
    for name, array in arrays.items():
        owner, _, attribute = name.rpartition(".")
        parent = model
        for part in owner.split(".")[:-1]:
            if not hasattr(parent, part):
                parent.add_module(part, nn.Module())
            parent = parent.get_submodule(part)
        tensor = to_tensor(np.array(array))
        if not owner:
            model.register_parameter(attribute, nn.Parameter(tensor))
            continue
        parent.add_module(owner.rpartition(".")[2], _layer(tensor, attribute))
    return model


def network() -> tuple[nn.Module, torch.Tensor]:
    """Return a small network that runs, in evaluation mode, and a batch of two for it."""
    layers = [
        nn.Conv2d(3, 32, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 5 * 5, 64),
        nn.Linear(64, 3),
    ]
    model = nn.Sequential(*layers).eval()
    draw = np.random.default_rng(0)
    with torch.no_grad():
        for parameter in model.parameters():
            shape = tuple(parameter.shape)
            parameter.copy_(to_tensor(draw.normal(0, 0.1, shape).astype(np.float32)))
    return model, to_tensor(draw.normal(size=(2, 3, 5, 5)).astype(np.float32))


def parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return every parameter under every name it has."""
    return dict(model.named_parameters(remove_duplicate=False))


def _layer(tensor: torch.Tensor, attribute: str) -> nn.Module:
    kinds: dict[int, type[nn.Module]] = {3: nn.Conv1d, 4: nn.Conv2d, 5: nn.Conv3d}
    if attribute != "weight" or tensor.ndim < 2 or tensor.ndim > 5 or not tensor.numel():
        holder = nn.Module()
        holder.register_parameter(attribute, nn.Parameter(tensor))
        return holder
    out, into, *kernel = tensor.shape
    if tensor.ndim == 2:
        layer: nn.Module = nn.Linear(into, out, bias=False, dtype=tensor.dtype)
    else:
        layer = kinds[tensor.ndim](into, out, tuple(kernel), bias=False, dtype=tensor.dtype)
    with torch.no_grad():
        layer.weight.copy_(tensor)  # type: ignore[operator]
    return layer
