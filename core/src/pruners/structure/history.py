"""What the removals done to a model have kept of it, for as long as the model lives."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from .plan import Kept, RemovalPlan

_KNOWN: dict[int, tuple[weakref.ref[Any], Kept]] = {}
"""By identity: a model need not be hashable. A model that goes takes its entry with it."""


def record(model: Any, plan: RemovalPlan) -> None:
    """
    Note that a plan was carried out on `model`, the user's own object under any wrappers.

    Removals compose: indices are kept in the coordinates of the model as it was before the first.
    A model that Python cannot refer to weakly (a plain dict) has no history.
    """
    known = {name: dict(axes) for name, axes in kept_of(model).items()}
    for name, axes in plan.kept.items():
        before = known.setdefault(name, {})
        for axis, indices in axes.items():
            before[axis] = before[axis][indices] if axis in before else np.array(indices, np.int64)
    replace(model, known)


def kept_of(model: Any) -> Kept:
    """Return ``{parameter or buffer: {stored axis: kept indices}}`` of all removals; empty where unknown."""
    reference, kept = _KNOWN.get(id(model), (None, {}))
    return kept if reference is not None and reference() is model else {}


def replace(model: Any, kept: Kept) -> None:
    """Set what is known of `model`, in place of what was."""
    key = id(model)
    try:
        reference = weakref.ref(model, lambda gone: _forget(key, gone))
    except TypeError:
        return
    _KNOWN[key] = (reference, kept)


def _forget(key: int, gone: weakref.ref[Any]) -> None:
    if key in _KNOWN and _KNOWN[key][0] is gone:
        del _KNOWN[key]
