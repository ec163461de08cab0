"""What a removal does, as plain numbers, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from attrs import field, frozen

from ..errors import RemovalError
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

    def to_dict(self) -> dict[str, Any]:
        """
        Return the plan as plain JSON types, for `pruners.remove` on another rank or another day.

        Returns
        -------
        dict
            ``kept``, ``attributes`` and ``factors``; axes are text, as JSON has it.
        """
        return {
            "kept": _plain(self.kept),
            "attributes": [
                [each.module, each.name, each.index, value] for each, value in self.attributes.items()
            ],
            "factors": _plain(self.factors),
        }

    @classmethod
    def from_dict(cls, plan: Mapping[str, Any]) -> RemovalPlan:
        """
        Return the plan that `to_dict` wrote.

        Raises
        ------
        RemovalError
            If it is no such plan.
        """
        try:
            return cls(
                _arrays(plan["kept"], np.int64),
                {
                    Attribute(str(module), str(name), None if index is None else int(index)): int(value)
                    for module, name, index, value in plan["attributes"]
                },
                _arrays(plan["factors"], np.float64),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RemovalError(
                f"this is no plan that RemovalPlan.to_dict wrote: {type(error).__name__}: {error}"
            ) from error


def _plain(axes: Mapping[str, Mapping[int, np.ndarray]]) -> dict[str, dict[str, list[Any]]]:
    return {name: {str(axis): each.tolist() for axis, each in of.items()} for name, of in axes.items()}


def _arrays(axes: Mapping[str, Mapping[str, Any]], dtype: Any) -> dict[str, dict[int, np.ndarray]]:
    return {
        str(name): {int(axis): np.array(each, dtype).reshape(len(each)) for axis, each in of.items()}
        for name, of in axes.items()
    }


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
