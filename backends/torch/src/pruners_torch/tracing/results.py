"""The tensors in whatever a model takes or returns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

from torch import Tensor, nn

_PLAIN = (str, bytes, int, float, complex, bool, type(None), type, ModuleType, nn.Module)


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Yield every tensor in nested lists, mappings, dataclasses and objects, each once, in order."""
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, _PLAIN) or id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, Tensor):
            yield each
        else:
            waiting.extend(reversed(_members(each)))


def _members(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return list(value.values())
    if isinstance(value, (list, tuple, set, frozenset)):
        return list(value)
    held = list(vars(value).values()) if isinstance(getattr(value, "__dict__", None), dict) else []
    slots = [name for kind in type(value).__mro__ for name in _slots(kind)]
    return held + [getattr(value, name) for name in slots if getattr(value, name, None) is not None]


def _slots(kind: type) -> tuple[str, ...]:
    named = kind.__dict__.get("__slots__", ())
    listed = (named,) if isinstance(named, str) else tuple(named)
    return tuple(name for name in listed if not name.startswith("__"))
