"""What a plan does to each parameter of a block."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from attrs import field, frozen
from mxnet.gluon import Block, Parameter

from pruners import RemovalError
from pruners.structure.plan import RemovalPlan

from .._layers import named
from .values import host, is_float, like, select

VARIANCES = ("running_var", "moving_var")
"""How the names of running variances end: divided by, they are masked with ones."""


@frozen(eq=False)
class Piece:
    """One parameter, or one array of a mapping, and what is kept of it."""

    name: str
    held: Any
    """The parameter, or the array."""
    kept: Mapping[int, np.ndarray]
    """Stored axis -> kept indices."""
    factors: Mapping[int, np.ndarray] = field(factory=dict)
    """Stored axis -> what each kept coordinate is multiplied by."""
    originals: tuple[Any, ...] = field(init=False)
    """The full arrays, one per device."""
    shape: tuple[int, ...] = field(init=False)
    """The shape before."""

    @originals.default
    def _originals(self) -> tuple[Any, ...]:
        return tuple(self.held._data) if isinstance(self.held, Parameter) else (self.held,)

    @shape.default
    def _shape(self) -> tuple[int, ...]:
        return tuple(self.originals[0].shape)

    @property
    def after(self) -> tuple[int, ...]:
        """The shape when it is cut."""
        return tuple(
            len(self.kept[axis]) if axis in self.kept else length for axis, length in enumerate(self.shape)
        )

    def smaller(self, array: Any) -> Any:
        """Return the kept part of an array of the shape before."""
        return like(select(host(array), self.kept), array)

    def cut(self, array: Any, dtype: str | None = None) -> Any:
        """Return the kept values, multiplied by the factors, in their own or another type."""
        values = select(host(array), self.kept)
        if self.factors:
            values = values.astype(np.float64)
        for axis, factor in self.factors.items():
            values = values * np.asarray(factor).reshape([-1 if i == axis else 1 for i in range(values.ndim)])
        return like(values, array, dtype)

    def masked(self, array: Any, dtype: str | None = None) -> Any:
        """Return a full-size copy in which what leaves is zero, a running variance one."""
        values = host(array).copy()
        if is_float(array):
            neutral = 1 if self.name.endswith(VARIANCES) else 0
            for axis, kept in self.kept.items():
                leaving = np.setdiff1d(np.arange(self.shape[axis]), kept)
                np.moveaxis(values, axis, 0)[leaving] = neutral
        return like(values, array, dtype)


def parameters_of(block: Block) -> dict[str, Parameter]:
    """Return every parameter under each of its names."""
    return {name: parameter for name, (_, _, parameter) in named(block).items()}


def pieces(plan: RemovalPlan, block: Block) -> list[Piece]:
    """Return what a plan does to the parameters of a block, each once; raise where it does not fit."""
    found = parameters_of(block)
    resolved: dict[int, Piece] = {}
    for name in dict.fromkeys((*plan.kept, *plan.factors)):
        if name not in found:
            raise RemovalError(f"the plan names {name!r}, which is no parameter of the model")
        array = _array(name, found[name])
        cuts = plan.kept.get(name, {}).items()
        kept = {axis: _checked(name, array, axis, indices) for axis, indices in cuts}
        piece = Piece(name, found[name], kept, dict(plan.factors.get(name, {})))
        _check_factors(piece)
        _check_tied(resolved.setdefault(id(found[name]), piece), piece)
    return list(resolved.values())


def _array(name: str, parameter: Parameter) -> Any:
    if parameter._data is None:
        raise RemovalError(
            f"the plan cuts {name!r}, which has no values; initialize the model and run it once"
        )
    if parameter._stype != "default":
        raise RemovalError(
            f"the plan cuts {name!r}, which is stored as {parameter._stype!r}; only dense ones can be cut"
        )
    return parameter._data[0]


def _checked(name: str, array: Any, axis: int, indices: Any) -> np.ndarray:
    if not 0 <= axis < array.ndim:
        raise RemovalError(f"the plan cuts axis {axis} of {name!r}, which has shape {tuple(array.shape)}")
    kept = np.asarray(indices, dtype=np.int64)
    length = array.shape[axis]
    if not len(kept):
        raise RemovalError(f"the plan keeps nothing of axis {axis} of {name!r}; keep at least one coordinate")
    if kept[0] < 0 or kept[-1] >= length or (np.diff(kept) <= 0).any():
        raise RemovalError(
            f"the plan's indices for axis {axis} of {name!r} must ascend within 0 to {length - 1}"
        )
    return kept


def _check_factors(piece: Piece) -> None:
    for axis, factor in piece.factors.items():
        if np.shape(factor) != (piece.after[axis],):
            raise RemovalError(
                f"the plan multiplies axis {axis} of {piece.name!r} by {np.shape(factor)} factors, "
                f"where {piece.after[axis]} coordinates are kept"
            )


def _check_tied(known: Piece, other: Piece) -> None:
    if not (_equal(known.kept, other.kept) and _equal(known.factors, other.factors)):
        raise RemovalError(
            f"{known.name!r} and {other.name!r} are one parameter, but the plan cuts them differently"
        )


def _equal(left: Mapping[int, np.ndarray], right: Mapping[int, np.ndarray]) -> bool:
    return left.keys() == right.keys() and all(np.array_equal(left[axis], right[axis]) for axis in left)
