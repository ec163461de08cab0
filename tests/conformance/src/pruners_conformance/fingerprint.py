"""What can be seen of a model from outside, so that hooks and wrappers left behind show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def fingerprint(model: Any) -> dict[str, str]:
    """
    Return ``{path: what is there}`` for a model and everything it holds.

    Types, attribute names and lengths are looked at, values are not: pruning may change
    numbers and nothing else.
    """
    found: dict[str, str] = {}
    _look(model, "model", found, set())
    return found


def _look(thing: Any, path: str, found: dict[str, str], seen: set[int]) -> None:
    if id(thing) in seen or isinstance(thing, (type, str, bytes, int, float, bool)):
        return
    seen.add(id(thing))
    found[path] = type(thing).__qualname__
    if isinstance(thing, (list, tuple, set, frozenset, Mapping)):
        found[path] += f" of {len(thing)}"
    if isinstance(thing, Mapping):
        parts = {f"{path}[{key!r}]": value for key, value in thing.items()}
    elif isinstance(thing, (list, tuple)):
        parts = {f"{path}[{index}]": value for index, value in enumerate(thing)}
    else:
        parts = {f"{path}.{name}": value for name, value in getattr(thing, "__dict__", {}).items()}
    for where, part in parts.items():
        _look(part, where, found, seen)
