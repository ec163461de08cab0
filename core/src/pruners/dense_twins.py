"""The dense network that a sparse one is timed against: the same, with other numbers for its zeros."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from .discovery import told
from .opening import open_model
from .protocols import OpenModel, Storable

TOLD = (
    "Dense export: the same network, its zeros replaced by random numbers of the size of its other weights."
)
_SEED = 0


def dense_twin(opened: OpenModel, model: Any) -> tuple[OpenModel | None, str]:
    """Return a copy of a model without zeros in its weights and what it is; or None and why there is none."""
    sparse = [
        name for name, layer in opened.layers.items() if layer.default and _has_zeros(opened.read(name))
    ]
    if not sparse:
        return None, (
            "No dense export to compare with: no weight is zero. Pass dense=, the model before channels "
            "were removed."
        )
    try:
        twin = open_model(copy.deepcopy(opened.root if isinstance(opened, Storable) else model))
    except Exception as error:  # models hold whatever their authors put there
        return (
            None,
            f"No dense export to compare with: the model cannot be copied ({told(error)}). Pass dense=.",
        )
    drawn = np.random.default_rng(_SEED)
    twin.write({name: _filled(twin.read(name), drawn) for name in sparse})
    return twin, TOLD


def _has_zeros(array: np.ndarray) -> bool:
    return bool(np.count_nonzero(array) < array.size)


def _filled(array: np.ndarray, drawn: np.random.Generator) -> np.ndarray:
    """Return an array with random signs times the mean size of its kept numbers where it is zero."""
    wide = array.astype(np.float64)
    zero = wide == 0
    kept = np.abs(wide[~zero & np.isfinite(wide)])
    size = float(kept.mean()) if kept.size else 1 / np.sqrt(max(1, array.size // max(1, array.shape[0])))
    wide[zero] = size * drawn.choice((-1.0, 1.0), size=int(zero.sum()))
    return wide.astype(array.dtype)
