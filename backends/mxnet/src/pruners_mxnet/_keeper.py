"""Keep zeros zero in place: after a Trainer's step, in its optimizer's state and, if wanted, in gradients."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
from mxnet.gluon import Parameter, Trainer
from mxnet.optimizer import Optimizer

from pruners import OptionError, StateError

from ._hooks import Hook
from ._layers import Weight
from ._stores import StoreHook, updates
from ._zeroing import Mask, arrays_in

Trainers = tuple[Trainer, ...]


def trainers(optimizer: Any) -> Trainers:
    """Return one or several Trainers as a tuple, checked."""
    listed = () if optimizer is None else optimizer if isinstance(optimizer, (list, tuple)) else (optimizer,)
    for each in listed:
        if isinstance(each, Optimizer):
            raise OptionError(
                f"got the optimizer {type(each).__name__} itself; pass the mxnet.gluon.Trainer that steps it"
            )
        if not isinstance(each, Trainer):
            raise OptionError(
                f"optimizer must be a mxnet.gluon.Trainer or a list of them, got {type(each).__name__}"
            )
    return tuple(listed)


class MXNetKeeper:
    """
    Keeps the zeros of one block.

    Masks are stored once, one byte per weight, laid out as their parameters. Only the bits at
    pruned positions are touched, on every device, so there is no second copy of the weights and no
    hook on any forward pass.

    A Trainer that updates on its key-value store has a further copy of every weight there, which
    each step sends to the parameters. The store's updater is made to zero it after every update, so
    that optimizers that take norms of weights see the pruned ones. The workers of a distributed
    store cannot reach the servers' copy: there, zeros are kept in the parameters alone.

    Gradients are zeroed when they are asked for, by ``Parameter.grad`` and ``Parameter.list_grad``,
    as the Trainer and functions that clip do; MXNet tells nobody when a gradient is complete.
    """

    def __init__(
        self,
        weights: Mapping[str, Weight],
        masks: Mapping[str, np.ndarray],
        trainers: Trainers,
        gradients: bool,
    ) -> None:
        self._weights = weights
        self._trainers = trainers
        self._gradients = gradients
        self._masks: dict[str, Mask] = {}
        self._watched: dict[str, tuple[Parameter, list[Hook]]] = {}
        self._hooks: list[Hook] = []
        self._stores: list[StoreHook] = []
        self._started = False
        self._check_owner(masks)
        self._take(masks)

    def apply(self) -> None:
        """Set every pruned weight to +0.0."""
        self._start()
        if self._gradients:
            self._watch_gradients()
        for name in self._masks:
            self._zero_weight(name)

    def update(self, masks: Mapping[str, np.ndarray], *, clear: bool = True) -> None:
        """Take new masks for some layers and apply them; clear the optimizers' state there."""
        self._start()
        self._take(masks)
        if self._gradients:
            self._watch_gradients()
        for name in masks:
            if name in self._masks:
                self._zero_weight(name)
                if clear:
                    self._zero_state(self._parameter(name), self._masks[name])

    def close(self) -> None:
        """Take every hook off the Trainers, their stores and the parameters."""
        for store in self._stores:
            store.remove()
        for hook in [*self._hooks, *(hook for _, hooks in self._watched.values() for hook in hooks)]:
            hook.remove()
        self._hooks, self._watched, self._stores, self._masks = [], {}, [], {}

    def _check_owner(self, names: Iterable[str]) -> None:
        """Refuse a Trainer that trains none of the pruned weights: it is another model's."""
        trained = [name for name in names if self._weights[name].parameter.grad_req != "null"]
        owned = {id(each) for trainer in self._trainers for each in trainer._params}
        if self._trainers and trained and not any(id(self._weights[n].parameter) in owned for n in trained):
            raise OptionError(
                f"the optimizer holds none of the pruned parameters ({trained[0]!r}, ...); "
                "pass the one that trains this model"
            )

    def _start(self) -> None:
        """Put the hooks on, once; from here on the Trainers keep the zeros."""
        if self._started:
            return
        self._started = True
        for trainer in self._trainers:
            self._hooks += [
                Hook(trainer, "_allreduce_grads", before=partial(self._watch_store, trainer)),
                Hook(trainer, "_update", after=partial(self._after_step, trainer)),
            ]

    def _after_step(self, trainer: Trainer, _: None = None) -> None:
        owned = _indices(trainer)
        for name, mask in self._masks.items():
            parameter = self._parameter(name)
            if id(parameter) in owned:
                self._zero_weight(name)
                if _has_master(trainer, parameter):
                    self._zero_state(parameter, mask)

    def _watch_store(self, trainer: Trainer) -> None:
        """Let the store that updates a Trainer's weights zero its own copy of them."""
        store = trainer._kvstore
        known = any(guarded.store is store for guarded in self._stores)
        if trainer._update_on_kvstore and updates(store) and not known:
            self._stores.append(StoreHook(store, lambda key: self._mask_of(trainer._params[key])))

    def _mask_of(self, parameter: Parameter) -> Mask | None:
        found = (mask for name, mask in self._masks.items() if self._weights[name].parameter is parameter)
        return next(found, None)

    def _take(self, masks: Mapping[str, np.ndarray]) -> None:
        for name, mask in masks.items():
            if mask.all():
                self._masks.pop(name, None)
            else:
                self._masks[name] = Mask(self._weights[name].layout.stored(mask))

    def _parameter(self, name: str) -> Parameter:
        parameter, mask = self._weights[name].parameter, self._masks[name]
        shape = parameter.list_data()[0].shape
        if shape != mask.shape:
            raise StateError(
                f"layer {name!r} now has shape {shape}, its mask {mask.shape}; "
                "finish this session and attach a new one"
            )
        return parameter

    def _zero_weight(self, name: str) -> None:
        for array in self._parameter(name).list_data():
            self._masks[name].zero(array)

    def _zero_state(self, parameter: Parameter, mask: Mask) -> None:
        for trainer in self._trainers:
            index = _indices(trainer).get(id(parameter))
            for updater in _updaters(trainer):
                for slot in arrays_in(updater.states.get(index)):
                    if slot.shape == mask.shape and slot.stype == "default":
                        mask.zero(slot)

    def _watch_gradients(self) -> None:
        """Watch every pruned parameter that has gradients now, also one frozen or replaced before."""
        for name in self._masks:
            parameter = self._parameter(name)
            known = self._watched.get(name)
            if known is not None and known[0] is not parameter:
                for hook in self._watched.pop(name)[1]:
                    hook.remove()
            if name not in self._watched:
                mask_gradient = self._gradient_hook(name)
                hooks = [Hook(parameter, method, after=mask_gradient) for method in ("grad", "list_grad")]
                self._watched[name] = (parameter, hooks)

    def _gradient_hook(self, name: str) -> Any:
        def mask_gradient(found: Any) -> None:
            mask = self._masks.get(name)
            for gradient in found if isinstance(found, list) else [found]:
                if mask is None:
                    return
                if gradient.stype == "row_sparse":
                    mask.rows(gradient._data(), gradient._aux_data(0).asnumpy())
                else:
                    mask.zero(gradient)

        return mask_gradient


def _indices(trainer: Trainer) -> dict[int, int]:
    return {id(parameter): index for index, parameter in enumerate(trainer._params)}


def _updaters(trainer: Trainer) -> Iterator[Any]:
    """Yield whatever holds state of the optimizer: one for each device, or the store's."""
    yield from trainer._updaters
    if trainer._update_on_kvstore and updates(trainer._kvstore):
        yield trainer._kvstore._updater


def _has_master(trainer: Trainer, parameter: Parameter) -> bool:
    """Return whether the optimizer's state holds the very weights, in float32."""
    return trainer._optimizer.multi_precision and "float16" in str(np.dtype(parameter.dtype))
