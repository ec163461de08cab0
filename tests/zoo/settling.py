"""Random weights that compute something: no dead branch, no layer that explodes.

Fresh networks start residual branches at zero, layer scales at 1e-6 and running statistics at 0 and 1. A
channel removed there changes nothing, so a comparison of outputs would prove nothing.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

TINY = 1e-3  # a parameter with nothing larger counts as switched off
NORMALISATIONS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)


def settle(model: nn.Module, inputs: tuple[Any, ...], seed: int) -> None:
    """Wake what is switched off and fit running statistics to `inputs`, in place."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            _wake(module, draw)
        for parameter in model.parameters():
            parameter.masked_fill_(parameter == 0, TINY**2)  # from here on, zero means masked
        _fit_statistics(model, inputs, draw)


def _wake(module: nn.Module, draw: torch.Generator) -> None:
    normalises = isinstance(module, NORMALISATIONS) or _is_frozen(module)
    for name, value in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
        if not value.is_floating_point() or name.startswith("running_"):
            continue
        if normalises:
            value.uniform_(0.5, 1.5, generator=draw) if name == "weight" else _normal(value, 0.1, draw)
        elif not isinstance(value, nn.Parameter) or float(value.abs().max()) > TINY:
            continue
        elif name != "bias" and sum(length > 1 for length in value.shape) <= 1:
            value.uniform_(0.3, 0.8, generator=draw)  # one number per channel: a layer scale
        else:
            _normal(value, 0.05, draw)


def _is_frozen(module: nn.Module) -> bool:
    return type(module).__name__ == "FrozenBatchNorm2d"


def _normal(value: Tensor, spread: float, draw: torch.Generator) -> None:
    value.normal_(0, spread, generator=draw)


def _fit_statistics(model: nn.Module, inputs: tuple[Any, ...], draw: torch.Generator) -> None:
    """Run the network once; every batch norm takes its statistics from what reaches it, roughly."""

    def fit(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        x = arguments[0]
        axes = [axis for axis in range(x.ndim) if axis != 1]
        mean, variance = x.mean(axes), x.var(axes, correction=0)
        floor = 0.1 * float(x.square().mean())  # two images alone are too much alike
        module.running_mean.copy_(mean + 0.1 * torch.randn(mean.shape, generator=draw))
        jitter = torch.empty_like(variance).uniform_(0.7, 1.4, generator=draw)
        module.running_var.copy_(variance.clamp(min=max(floor, 1e-2)) * jitter)

    hooks = [
        module.register_forward_pre_hook(fit)
        for module in model.modules()
        if isinstance(getattr(module, "running_mean", None), Tensor)
    ]
    try:
        model(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
