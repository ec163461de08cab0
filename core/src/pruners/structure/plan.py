"""What a removal does, as plain numbers, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from attrs import field, frozen

from .program import Attribute

Kept = Mapping[str, Mapping[int, np.ndarray]]
"""``{parameter or buffer: {stored axis: kept indices, ascending}}``; whole axes are absent."""

Coordinates = Callable[[str, int], tuple["np.ndarray | None", ...]]
"""``coordinates(mode, value)``: per axis the kept indices of a recorded value; None: all of them."""


@frozen(eq=False)
class RemovalPlan:
    """Everything a backend needs to make a model smaller: plain numbers, no code."""

    kept: Kept
    attributes: Mapping[Attribute, int] = field(factory=dict)
    """Integers in the model that mirror a size, and what they become."""
    factors: Mapping[str, Mapping[int, np.ndarray]] = field(factory=dict)
    """``{parameter: {stored axis: factor per kept coordinate}}``: the smaller parameter is multiplied."""


@frozen
class Proof:
    """What comparing the masked original with the smaller model found."""

    error: float
    """Largest difference, relative to the largest output."""
    tolerance: float
    dtype: str
    """What both ran in: "float64" where the model allows."""
    outputs: int
    """Numbers compared."""
    normalised: tuple[str, ...] = ()
    """Modules whose normalisation ran over the kept features only, in the reference."""


@frozen(eq=False)
class Removed:
    """What a backend hands back: the smaller model, proved."""

    model: Any
    proof: Proof
    proving: float = 0.0
    """Seconds of the removal that went into the proof, where the backend tells them apart."""
    undo: Callable[[], object] | None = None
    """Takes back what a new model has changed elsewhere: optimizers, copies."""
