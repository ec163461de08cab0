"""Copies of a model that are cut alike: moving averages, also inside other blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import Any

import mxnet
from mxnet.gluon import Block

from pruners import OptionError, RemovalError

from .pieces import Piece, parameters_of
from .undo import Owner

Shapes = Mapping[str, "tuple[int, ...] | None"]


def copies_of(model: Block, given: Any) -> list[Owner]:
    """Return the blocks, or mappings of arrays, in `given` that are built as the model is."""
    found: list[Owner] = []
    for number, each in enumerate(given if isinstance(given, (list, tuple)) else [given]):
        inside = _inside(model, each, _shapes(model), number)
        found += [owner for owner in inside if not any(owner is known for known in found)]
    return found


def pieces_of(model: Block, pieces: Sequence[Piece], copy: Owner) -> list[Piece]:
    """Return what happens to the parameters of a copy, each once: as to the model's of that name."""
    names = {name: id(parameter) for name, parameter in parameters_of(model).items()}
    planned = {id(piece.held): piece for piece in pieces}
    theirs = parameters_of(copy) if isinstance(copy, Block) else copy
    found: dict[Any, Piece] = {}
    for name, held in theirs.items():
        piece = planned.get(names[name])
        if piece is not None:
            key = id(held) if isinstance(copy, Block) else name
            found.setdefault(key, Piece(name, held, piece.kept, piece.factors))
    return list(found.values())


def _inside(model: Block, given: Any, shapes: Shapes, number: int) -> list[Owner]:
    if isinstance(given, Block):
        if given is model:
            return []
        alike: list[Owner] = list(_blocks_alike(given, model, shapes))
        if alike:
            return alike
        raise RemovalError(
            f"copies[{number}], a {type(given).__name__}, holds no block whose parameters have the model's "
            f"names and shapes; {_nearest(given, shapes)}"
        )
    if isinstance(given, MutableMapping) and all(
        isinstance(value, mxnet.nd.NDArray) for value in given.values()
    ):
        wrong = [name for name, array in given.items() if shapes.get(name) != tuple(array.shape)]
        if wrong or not given:
            raise RemovalError(
                f"copies[{number}] has {wrong[0] if wrong else 'nothing'!r}, which the model has not, or in "
                "another shape; pass arrays under the names of save_parameters"
            )
        return [given]
    raise OptionError(
        f"copies[{number}] must be an mxnet.gluon.Block or a dict of names to arrays, "
        f"got {type(given).__name__}"
    )


def _blocks_alike(block: Block, model: Block, shapes: Shapes) -> Iterator[Block]:
    if block is model:
        return
    own = _shapes(block)
    if own == shapes and None not in own.values():
        yield block
    elif len(own) >= len(shapes):
        for child in block._children.values():
            yield from _blocks_alike(child, model, shapes)


def _shapes(block: Block) -> Shapes:
    """Return the shape of every parameter; None where it has no values."""
    return {
        name: None if parameter._data is None else tuple(parameter._data[0].shape)
        for name, parameter in parameters_of(block).items()
    }


def _nearest(given: Block, shapes: Shapes) -> str:
    own = _shapes(given)
    for name, shape in shapes.items():
        if own.get(name) != shape:
            there = "missing" if name not in own else own[name] or "not initialised"
            return f"{name!r} is {there} there, {shape} in the model"
    return "it has more of them"
