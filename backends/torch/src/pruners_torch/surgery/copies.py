"""Copies of a model that are cut alike: moving averages, also inside other modules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from pruners import OptionError, RemovalError

from .._layers import unwrapped
from .tensors import Owner, Piece, tensors

Shapes = Mapping[str, tuple[int, ...]]


def copies_of(model: nn.Module, given: Sequence[Any]) -> list[Owner]:
    """Return the modules, or mappings of tensors, in `given` that are built as the model is."""
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors(model).items()}
    found: list[Owner] = []
    for number, each in enumerate(_listed(given)):
        inside = _inside(model, each, shapes, number)
        found += [owner for owner in inside if not any(owner is known for known in found)]
    return found


def _listed(given: Any) -> Sequence[Any]:
    if isinstance(given, (list, tuple)):
        return given
    return [given]


def pieces_of(model: nn.Module, pieces: Sequence[Piece], copy: Owner) -> list[Piece]:
    """Return what happens to the tensors of a copy, each once: what happens to the model's of that name."""
    names = {name: id(tensor) for name, tensor in tensors(model).items()}
    planned = {id(piece.tensor): piece for piece in pieces}
    found: dict[int, Piece] = {}
    for name, tensor in tensors(copy).items():
        piece = planned.get(names[name])
        if piece is not None:
            found.setdefault(id(tensor), Piece(name, tensor, piece.kept, piece.factors))
    return list(found.values())


def _inside(model: nn.Module, given: Any, shapes: Shapes, number: int) -> list[Owner]:
    if isinstance(given, nn.Module):
        if unwrapped(given) is model:
            return []
        alike: list[Owner] = list(_modules_alike(unwrapped(given), model, shapes))
        if alike:
            return alike
        raise RemovalError(
            f"copies[{number}], a {type(given).__name__}, holds no module whose parameters have the model's "
            f"names and shapes; {_nearest(given, shapes)}"
        )
    if isinstance(given, Mapping) and all(isinstance(value, Tensor) for value in given.values()):
        wrong = [name for name, tensor in given.items() if shapes.get(name) != tuple(tensor.shape)]
        if wrong or not given:
            raise RemovalError(
                f"copies[{number}] has {wrong[0] if wrong else 'nothing'!r}, which the model has not, or in "
                "another shape; pass tensors under the model's own names"
            )
        return [given]
    raise OptionError(
        f"copies[{number}] must be a torch.nn.Module or a mapping of names to tensors, "
        f"got {type(given).__name__}"
    )


def _modules_alike(module: nn.Module, model: nn.Module, shapes: Shapes) -> Iterator[nn.Module]:
    if module is model:
        return
    own = {name: tuple(tensor.shape) for name, tensor in tensors(module).items()}
    if own == shapes:
        yield module
    elif len(own) >= len(shapes):
        for child in module.children():
            yield from _modules_alike(unwrapped(child), model, shapes)


def _nearest(given: nn.Module, shapes: Shapes) -> str:
    own = {name: tuple(tensor.shape) for name, tensor in tensors(unwrapped(given)).items()}
    for name, shape in shapes.items():
        if own.get(name) != shape:
            return f"{name!r} is {own.get(name, 'missing')} there, {shape} in the model"
    return "it has more of them"
