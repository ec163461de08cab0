"""Keep zeros zero in place: after the optimizer's step, in its state and, if wanted, in gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pruners.host import zero_pruned

from ._arrays import bits, to_host, to_tensor
from ._layers import Weight


class TorchKeeper:
    """
    Keeps the zeros of one module.

    Masks are stored once, one byte per weight, laid out as their parameters. Only the bits at
    pruned positions are touched, so there is no second copy of the weights, no renamed
    parameter and no hook on any forward pass.
    """

    def __init__(
        self,
        weights: Mapping[str, Weight],
        masks: Mapping[str, np.ndarray],
        optimizers: tuple[torch.optim.Optimizer, ...],
        gradients: bool,
    ) -> None:
        self._weights = weights
        self._optimizers = optimizers
        self._gradients = gradients
        self._masks: dict[str, Tensor] = {}
        self._hooks: dict[str, Any] = {}
        self._on_step: list[Any] = []
        self._started = False
        self._take(masks)

    @property
    def automatic(self) -> bool:
        """Whether an optimizer calls `apply` by itself after each of its steps."""
        return bool(self._optimizers)

    def apply(self) -> None:
        """Set every pruned weight to +0.0, in place."""
        self._start()
        for name, mask in self._masks.items():
            _zero(self._weights[name].parameter, mask)

    def update(self, masks: Mapping[str, np.ndarray], *, clear: bool = True) -> None:
        """Take new masks for some layers and apply them; clear the optimizers' state there."""
        self._start()
        self._take(masks)
        self._watch_gradients()
        for name in masks:
            if name in self._masks:
                self._zero_layer(name, clear)

    def close(self) -> None:
        """Take every hook off the optimizers and the parameters."""
        for hook in [*self._on_step, *self._hooks.values()]:
            hook.remove()
        self._on_step, self._hooks, self._masks = [], {}, {}

    def _start(self) -> None:
        """Put the hooks on, once; from here on the optimizers keep the zeros."""
        if not self._started:
            self._started = True
            self._on_step = [each.register_step_post_hook(self._after_step) for each in self._optimizers]
            self._watch_gradients()

    def _take(self, masks: Mapping[str, np.ndarray]) -> None:
        for name, mask in masks.items():
            if mask.all():
                self._masks.pop(name, None)
                continue
            weight = self._weights[name]
            self._masks[name] = _beside(weight.parameter, weight.stored(to_tensor(mask)))

    def _zero_layer(self, name: str, clear: bool) -> None:
        parameter, mask = self._weights[name].parameter, self._masks[name]
        _zero(parameter, mask)
        for optimizer in self._optimizers if clear else ():
            for slot in optimizer.state.get(parameter, {}).values():
                if isinstance(slot, Tensor) and slot.shape == parameter.shape and slot.is_floating_point():
                    _zero(slot, mask)

    def _watch_gradients(self) -> None:
        for name in self._masks if self._gradients else ():
            parameter = self._weights[name].parameter
            if name not in self._hooks and parameter.requires_grad:
                watch: Any = parameter.register_post_accumulate_grad_hook
                self._hooks[name] = watch(self._gradient_hook(name))

    def _gradient_hook(self, name: str) -> Any:
        def mask_gradient(parameter: Tensor) -> None:
            gradient, mask = parameter.grad, self._masks.get(name)
            if gradient is not None and not gradient.is_sparse and mask is not None:
                _zero(gradient, mask)

        return mask_gradient

    def _after_step(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        self.apply()


def _beside(parameter: Tensor, mask: Tensor) -> Tensor:
    """Return a mask on the parameter's device, laid out in memory as it is; shared where it already is."""
    if mask.device == parameter.device and mask.stride() == parameter.stride():
        return mask
    return torch.empty_like(parameter, dtype=torch.bool, requires_grad=False).copy_(mask)


def _zero(tensor: Tensor, mask: Tensor) -> None:
    """Set `tensor` to +0.0 where `mask` is False, in place, on its own device."""
    if tensor.device.type == "cpu":
        zero_pruned(to_host(tensor), mask.numpy())
    else:
        zero_on_device(tensor, mask.to(tensor.device))


def zero_on_device(tensor: Tensor, mask: Tensor) -> None:
    """Do the same with the device's own arithmetic: bits times 0 are +0.0, bits times 1 themselves."""
    bits(tensor).mul_(mask)
