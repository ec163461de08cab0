"""Integers that the blocks of a model hold, made to remember where they are while it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mxnet.gluon import Block

from pruners.structure.program import Attribute

from .watching import Watch


@contextmanager
def tracked_attributes(blocks: Mapping[str, Block], watch: Watch) -> Iterator[None]:
    """Let the integers that the user's blocks hold remember where they are; the plain ones are put back."""
    held: list[tuple[dict[str, Any], str, Any]] = []
    for owner, block in blocks.items():
        if is_gluon(block):
            continue
        attributes = vars(block)
        for name, value in list(attributes.items()):
            tracked = _tracked(value, owner, name, watch)
            if tracked is not None and not name.startswith("__") and name not in _INTERNAL:
                held.append((attributes, name, value))
                attributes[name] = tracked
    try:
        yield
    finally:
        for attributes, name, value in held:
            attributes[name] = value


_INTERNAL = frozenset(["_active", "_counter", "_in_format", "_out_format"])


def is_gluon(block: Block) -> bool:
    """Return whether a block is of one of Gluon's own types."""
    return type(block).__module__.startswith("mxnet.gluon.") and "model_zoo" not in type(block).__module__


def _tracked(value: Any, owner: str, name: str, watch: Watch) -> Any:
    """Return an integer, or a tuple or list of them, that remembers; None for anything else."""
    if type(value) is int:
        return watch.tracked(value, Attribute(owner, name))
    if type(value) in (tuple, list) and value and all(type(each) is int for each in value):
        return type(value)(watch.tracked(n, Attribute(owner, name, i)) for i, n in enumerate(value))
    return None
