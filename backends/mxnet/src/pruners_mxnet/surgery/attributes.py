"""Integers in blocks that mirror a size: rewritten once the parameters are smaller."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np
from attrs import frozen
from mxnet.gluon import Block

from pruners import RemovalError
from pruners.structure.program import Attribute

from .._layers import blocks
from .pieces import Piece

Path = tuple[str, ...]
"""An attribute, or an attribute that is a dict and a key in it."""
Implied = dict[Path, int]
Rule = Callable[[Block, tuple[int, ...], int], Implied]


@frozen(eq=False)
class Change:
    """One integer of a block and what it becomes."""

    block: Block
    path: Path
    value: int

    def make(self) -> None:
        """Write it."""
        *outer, last = self.path
        (vars(self.block)[outer[0]] if outer else vars(self.block))[last] = self.value


def changes(model: Block, pieces: Sequence[Piece]) -> list[Change]:
    """
    Return what becomes of the attributes that follow from a parameter's shape.

    An attribute is known by what it is now (``_units == weight.shape[0]``): blocks of the user's own
    that are built like Gluon's are served alike, and a size that was never given stays so.
    """
    cut = {id(piece.held): piece for piece in pieces if piece.kept}
    return [
        change
        for name, block in blocks(model).items()
        for source, parameter in block._reg_params.items()
        if id(parameter) in cut
        for change in _changes(block, name, source, cut[id(parameter)])
    ]


def _changes(block: Block, name: str, source: str, piece: Piece) -> list[Change]:
    before = _option(block, ("_kwargs", "num_group"))
    groups = before if isinstance(before, Integral) else 1
    left = _groups(name, int(groups), piece) if source == "weight" else int(groups)
    found = []
    for sources, rule in _RULES:
        if source in sources:
            now, then = rule(block, piece.shape, int(groups)), rule(block, piece.after, left)
            found += [
                Change(block, path, value) for path, value in then.items() if _is(block, path, now[path])
            ]
    return found


def _option(block: Block, path: Path) -> Any:
    held: Any = vars(block)
    for key in path:
        held = held.get(key) if isinstance(held, dict) else None
    return held


def _is(block: Block, path: Path, value: int) -> bool:
    held = _option(block, path)
    return type(held) is not bool and isinstance(held, Integral) and int(held) == value


def _groups(name: str, groups: int, piece: Piece) -> int:
    """Return how many groups a convolution keeps: those of which channels stay, if whole ones leave."""
    if groups == 1 or 0 not in piece.kept:
        return groups
    counts = np.bincount(piece.kept[0] // (piece.shape[0] // groups), minlength=groups)
    left = counts[counts > 0]
    if (left != left[0]).any():
        raise RemovalError(
            f"the plan leaves {name!r} with groups of unequal size ({', '.join(map(str, counts))} channels); "
            "keep as many in each group"
        )
    return len(left)


def _convolution(block: Block, shape: tuple[int, ...], groups: int) -> Implied:
    layout = _option(block, ("_kwargs", "layout"))
    if len(shape) < 3 or layout is None:
        return {}
    first, second = shape[0], shape[-1 if str(layout).endswith("C") else 1] * groups
    transposed = "deconvolution" in str(_option(block, ("_op_name",))).lower()
    out, into = (second, first) if transposed else (first, second)
    return {
        ("_channels",): out,
        ("_in_channels",): into,
        ("_kwargs", "num_filter"): out,
        ("_kwargs", "num_group"): groups,
    }


def _dense(block: Block, shape: tuple[int, ...], groups: int) -> Implied:
    if len(shape) != 2:
        return {}
    return {
        ("_units",): shape[0],
        ("_in_units",): shape[1],
        ("_kwargs", "input_dim"): shape[0],
        ("_kwargs", "output_dim"): shape[1],
    }


def _norm(block: Block, shape: tuple[int, ...], groups: int) -> Implied:
    if len(shape) != 1:
        return {}
    return dict.fromkeys(
        [("in_channels",), ("_in_channels",), ("_num_groups",), ("_kwargs", "num_groups")], shape[0]
    )


def _recurrent(block: Block, shape: tuple[int, ...], groups: int) -> Implied:
    return {("_input_size",): shape[1]} if len(shape) == 2 else {}


_RULES: tuple[tuple[tuple[str, ...], Rule], ...] = (
    (("weight",), _convolution),
    (("weight",), _dense),
    (("gamma", "beta", "running_mean", "running_var", "alpha"), _norm),
    (("i2h_weight", "l0_i2h_weight", "r0_i2h_weight"), _recurrent),
)
"""What the shapes of parameters of these names say about attributes."""


def rewrite(model: Block, attributes: Mapping[Attribute, int]) -> None:
    """Write new values for integers, or for entries of tuples and lists, that mirror a size."""
    for attribute, value in attributes.items():
        block, current = _found(model, attribute)
        if attribute.index is None:
            _set(block, attribute, int(value))
            continue
        entries = list(current)
        entries[attribute.index] = int(value)
        named = isinstance(current, tuple) and type(current) is not tuple
        _set(block, attribute, type(current)(*entries) if named else type(current)(entries))


def check(model: Block, attributes: Iterable[Attribute]) -> None:
    """Raise where an attribute to be rewritten is not an integer of the model."""
    for attribute in attributes:
        _, current = _found(model, attribute)
        value = current
        if attribute.index is not None:
            if not isinstance(current, (list, tuple)) or not -len(current) <= attribute.index < len(current):
                raise RemovalError(
                    f"the plan rewrites {attribute}, but {attribute.name} is {current!r}: no such entry"
                )
            value = current[attribute.index]
        if isinstance(value, bool) or not isinstance(value, Integral):
            raise RemovalError(f"the plan rewrites {attribute}, which is {value!r} and no integer")


def _found(model: Block, attribute: Attribute) -> tuple[Block, Any]:
    block = blocks(model).get(attribute.module)
    try:
        if block is not None:
            return block, getattr(block, attribute.name)
    except AttributeError:
        pass
    raise RemovalError(f"the plan rewrites {attribute}, which the model does not have")


def _set(block: Block, attribute: Attribute, value: Any) -> None:
    try:
        setattr(block, attribute.name, value)
    except (AttributeError, TypeError) as error:
        raise RemovalError(f"the plan rewrites {attribute}, which cannot be set") from error
