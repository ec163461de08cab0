"""The copies of the weights in a key-value store that updates them itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mxnet.kvstore import KVStore

from ._zeroing import Mask

_HOOKS = "_pruners_hooks"


def updates(store: Any) -> bool:
    """Return whether a store updates weights in this process; a distributed one does so on its servers."""
    return isinstance(store, KVStore) and store._updater is not None


class StoreHook:
    """
    Zeroes the copies of the weights in one store around each of its updates.

    Before an update, so that new masks hold for its norms; after it, so that what is sent out is
    zero. ``mask(index)`` is asked for the mask of a parameter of the Trainer. The store calls one
    updater; the first hook takes its place and the last one gives it back.
    """

    def __init__(self, store: KVStore, mask: Callable[[int], Mask | None]) -> None:
        self.store = store
        self._mask = mask
        hooks: list[StoreHook] = vars(store).setdefault(_HOOKS, [])
        hooks.append(self)
        if len(hooks) == 1:
            updater = store._updater
            store._set_updater(_update(hooks, updater))
            store._updater = updater  # which holds the state that is saved and loaded

    def zero(self, index: int, weight: Any) -> None:
        """Set the pruned weights of one copy to +0.0."""
        mask = self._mask(index)
        if mask is not None:
            mask.zero(weight)

    def remove(self) -> None:
        """Leave the store to itself, or to other hooks."""
        hooks = vars(self.store)[_HOOKS]
        hooks.remove(self)
        if not hooks:
            del vars(self.store)[_HOOKS]
            self.store._set_updater(self.store._updater)


def _update(hooks: list[StoreHook], updater: Any) -> Callable[[Any, Any, Any], None]:
    def update(key: Any, gradient: Any, weight: Any) -> None:
        for hook in hooks:
            hook.zero(int(key), weight)
        updater(key, gradient, weight)
        for hook in hooks:
            hook.zero(int(key), weight)

    return update
