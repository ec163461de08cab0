"""Keep zeros zero in place: after the optimizer's step, in its state and, if wanted, in gradients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pruners import OptionError, StateError
from pruners.host import zero_pruned

from ._arrays import bits, to_host, to_tensor
from ._layers import FLOATS, Weight
from ._pieces import alike, layout_of, local

Optimizers = tuple[torch.optim.Optimizer, ...]


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
        optimizers: Optimizers,
        gradients: bool,
    ) -> None:
        self._weights = weights
        self._optimizers = optimizers
        self._gradients = gradients
        self._masks: dict[str, Tensor] = {}
        self._stamps: dict[str, object] = {}
        self._watched: dict[str, tuple[Tensor, Any]] = {}
        self._on_step: list[Any] = []
        self._started = False
        self._check_owner(masks)
        self._take(masks)

    def apply(self) -> None:
        """Set every pruned weight to +0.0, but for those its optimizer's hook has just seen to."""
        self._start()
        if self._gradients:
            self._watch_gradients()
        for name, mask in self._masks.items():
            parameter = self._parameter(name, mask)
            if name not in self._stamps or _stamp(parameter) != self._stamps[name]:
                self._zero_weight(name, parameter, mask)

    def update(self, masks: Mapping[str, np.ndarray], *, clear: bool = True) -> None:
        """Take new masks for some layers and apply them; clear the optimizers' state there."""
        self._start()
        self._take(masks)
        if self._gradients:
            self._watch_gradients()
        for name in masks:
            if name in self._masks:
                mask = self._masks[name]
                parameter = self._parameter(name, mask)
                self._zero_weight(name, parameter, mask)
                if clear:
                    self._zero_state(parameter, mask)

    def close(self) -> None:
        """Take every hook off the optimizers and the parameters."""
        for hook in [*self._on_step, *(hook for _, hook in self._watched.values())]:
            hook.remove()
        self._on_step, self._watched, self._masks = [], {}, {}

    def _check_owner(self, names: Iterable[str]) -> None:
        """Refuse an optimizer that trains none of the pruned weights: it is another model's."""
        trained = [name for name in names if self._weights[name].parameter.requires_grad]
        owned = {id(each) for optimizer in self._optimizers for each in _parameters(optimizer)}
        if self._optimizers and trained and not any(id(self._weights[n].parameter) in owned for n in trained):
            raise OptionError(
                f"the optimizer holds none of the pruned parameters ({trained[0]!r}, ...); "
                "pass the one that trains this model"
            )

    def _start(self) -> None:
        """Put the hooks on, once; from here on the optimizers keep the zeros."""
        if self._started:
            return
        self._started = True
        for optimizer in self._optimizers:
            try:
                self._on_step.append(optimizer.register_step_post_hook(self._after_step))
            except AttributeError as error:
                kind = type(optimizer).__name__
                raise OptionError(f"{kind}.__init__ does not call torch.optim.Optimizer.__init__") from error

    def _after_step(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        owned = {id(each) for each in _parameters(optimizer)}
        for name, mask in self._masks.items():
            parameter = self._parameter(name, mask)
            if id(parameter) in owned:
                self._zero_weight(name, parameter, mask)
                self._stamps[name] = _stamp(parameter)

    def _take(self, masks: Mapping[str, np.ndarray]) -> None:
        for name, mask in masks.items():
            if mask.all():
                self._masks.pop(name, None)
                continue
            weight = self._weights[name]
            self._masks[name] = _beside(weight.piece, weight.stored(to_tensor(mask)))

    def _parameter(self, name: str, mask: Tensor) -> Tensor:
        parameter = self._weights[name].parameter
        piece = local(parameter)
        if piece.shape != mask.shape:
            raise StateError(
                f"layer {name!r} now has shape {tuple(piece.shape)}, its mask {tuple(mask.shape)}; "
                "finish this session and attach a new one"
            )
        return parameter

    def _zero_weight(self, name: str, parameter: Tensor, mask: Tensor) -> None:
        self._stamps.pop(name, None)  # known to be untouched only after its own optimizer's step
        _zero(local(parameter), mask)

    def _zero_state(self, parameter: Tensor, mask: Tensor) -> None:
        for optimizer in self._optimizers:
            for slot in optimizer.state.get(parameter, {}).values():
                if isinstance(slot, Tensor) and slot.shape == parameter.shape and slot.is_floating_point():
                    _zero(local(alike(slot, parameter)), mask)

    def _watch_gradients(self) -> None:
        """Hook every pruned parameter that has gradients now, also one frozen or replaced before."""
        for name, mask in self._masks.items():
            parameter = self._parameter(name, mask)
            known = self._watched.get(name)
            if known is not None and known[0] is not parameter:
                self._watched.pop(name)[1].remove()
            if name not in self._watched and parameter.requires_grad:
                watch: Any = parameter.register_post_accumulate_grad_hook
                self._watched[name] = (parameter, watch(self._gradient_hook(name)))

    def _gradient_hook(self, name: str) -> Any:
        def mask_gradient(parameter: Tensor) -> None:
            gradient, mask = parameter.grad, self._masks.get(name)
            if gradient is None or mask is None:
                return
            if layout_of(gradient) != layout_of(parameter):
                parameter.grad = gradient = alike(gradient, parameter)
            if gradient.is_sparse:
                parameter.grad = gradient = gradient.coalesce()
                _zero(gradient.values(), mask[tuple(gradient.indices())])
            else:
                _zero(local(gradient), mask)

        return mask_gradient


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _stamp(parameter: Tensor) -> object:
    """Return what changes when the parameter is written to (not through ``.data``) or replaced."""
    if parameter.is_inference() or layout_of(parameter) is not None:
        return object()  # optimizers write to all pieces at once without a trace
    return (id(parameter), parameter.data_ptr(), parameter._version)


def _beside(parameter: Tensor, mask: Tensor) -> Tensor:
    """Return a mask on the parameter's device, laid out in memory as it is; shared where it already is."""
    if mask.device == parameter.device and mask.stride() == parameter.stride():
        return mask
    return torch.empty_like(parameter, dtype=torch.bool, requires_grad=False).copy_(mask)


def _zero(tensor: Tensor, mask: Tensor) -> None:
    """Set `tensor` to +0.0 where `mask` is False, in place, on its own device."""
    mask = mask.to(tensor.device)
    if tensor.device.type == "cpu" and tensor.dtype in FLOATS:
        zero_pruned(to_host(tensor), mask.numpy())
    else:
        zero_on_device(tensor, mask)


def zero_on_device(tensor: Tensor, mask: Tensor) -> None:
    """Do the same with the device's own arithmetic: bits times 0 are +0.0, bits times 1 themselves."""
    bits(tensor).mul_(mask)
