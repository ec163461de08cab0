"""Parameters that lie in pieces on several ranks (DTensors): the piece here, and where each is."""

from __future__ import annotations

import math
import sys
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from attrs import frozen
from torch import Tensor, nn

from pruners import RankError
from pruners.protocols.ranks import Box, Peers


@frozen
class Layout:
    """How a parameter lies on the ranks of a mesh."""

    mesh: Any
    placements: tuple[Any, ...]

    def __str__(self) -> str:
        return f"({', '.join(str(placement) for placement in self.placements)})"

    def refusal(self, groups: int) -> str | None:
        """Return why a rank's piece is no block of the layer's weights; None where it is."""
        kinds = {type(placement).__name__ for placement in self.placements}
        if kinds - {"Shard", "_StridedShard", "Replicate"}:
            return f"is placed as {self}: no rank holds weights of it that are its own"
        if groups > 1 and kinds != {"Replicate"}:
            return f"belongs to a transposed convolution in {groups} groups, whose pieces are no blocks"
        if not all(self._is_nested(axis) for axis in self._strided()):
            return f"is placed as {self}: its pieces are interleaved and no blocks"
        return None

    def boxes(self, shape: tuple[int, ...]) -> dict[int, Box]:
        """Return the piece of a tensor of this whole shape by rank, for the ranks of the mesh."""
        mesh = self.mesh.mesh  # computed at each access
        places = zip(mesh.flatten().tolist(), np.ndindex(mesh.shape), strict=True)
        return {rank: self._box(shape, place) for rank, place in places}

    def _box(self, shape: tuple[int, ...], place: tuple[int, ...]) -> Box:
        offset, length = [0] * len(shape), list(shape)
        for axis in self._order():
            dimension = self.placements[axis].dim
            chunk = -(-length[dimension] // self.mesh.size(axis))
            start = min(length[dimension], chunk * place[axis])
            offset[dimension] += start
            length[dimension] = min(chunk, length[dimension] - start)
        return Box(tuple(offset), tuple(length))

    def _order(self) -> list[int]:
        """Return the mesh's axes in the order in which they cut: what is strided was cut last."""
        plain = [axis for axis, each in enumerate(self.placements) if type(each).__name__ == "Shard"]
        return plain + self._strided()[::-1]

    def _strided(self) -> list[int]:
        return [axis for axis, each in enumerate(self.placements) if type(each).__name__ == "_StridedShard"]

    def _is_nested(self, axis: int) -> bool:
        """Return whether a strided axis cuts each piece that the axes after it make."""
        one = self.placements[axis]
        others = [at for at, each in enumerate(self.placements) if getattr(each, "dim", None) == one.dim]
        before = [at for at in others if at < axis and at not in self._strided()]
        after = math.prod(self.mesh.size(at) for at in others if at > axis)
        return not before and bool(one.split_factor == after)


def layout_of(tensor: Tensor) -> Layout | None:
    """Return how a tensor lies on several ranks; None for one that is whole."""
    made: Any = sys.modules.get("torch.distributed.tensor")
    if made is None or not isinstance(tensor, made.DTensor):
        return None
    distributed: Any = tensor
    return Layout(distributed.device_mesh, tuple(distributed.placements))


def local(tensor: Tensor) -> Tensor:
    """Return this rank's piece of a tensor, the very memory; a whole tensor is its own piece."""
    if layout_of(tensor) is None:
        return tensor.detach()
    distributed: Any = tensor
    with torch.no_grad():
        piece: Tensor = distributed.to_local()
    return piece.detach()


def whole(tensor: Tensor) -> Tensor:
    """Return a tensor put together from all ranks' pieces; all ranks call this."""
    distributed: Any = tensor
    return tensor if layout_of(tensor) is None else distributed.full_tensor()


def alike(tensor: Tensor, other: Tensor) -> Tensor:
    """Return a tensor laid out on the ranks as another is; all ranks call this."""
    layout = layout_of(other)
    if layout is None or layout_of(tensor) in (layout, None):
        return tensor
    distributed: Any = tensor
    moved: Tensor = distributed.redistribute(layout.mesh, layout.placements)
    return moved


def assembled(piece: Tensor, like: Tensor) -> Tensor:
    """Return a tensor whose pieces are `piece`, laid out as `like`; the piece itself where that is whole."""
    layout = layout_of(like)
    if layout is None:
        return piece
    made: Any = sys.modules["torch.distributed.tensor"]
    tensor: Tensor = made.DTensor.from_local(
        piece, layout.mesh, layout.placements, run_check=False, shape=like.shape, stride=like.stride()
    )
    return tensor


def sharded_modules(model: nn.Module) -> Iterator[Any]:
    """Yield the modules of a model that `fully_shard` wraps."""
    known = getattr(sys.modules.get("torch.distributed.fsdp"), "FSDPModule", None)
    return (module for module in model.modules() if known is not None and isinstance(module, known))


def types_of(module: nn.Module) -> tuple[type, ...]:
    """Return a module's type and those it is built on, nearest first, less those of `fully_shard`."""
    types = type(module).__mro__
    known = getattr(sys.modules.get("torch.distributed.fsdp"), "FSDPModule", None)
    return types[types.index(known) + 1 :] if known in types else types


def reshard(model: nn.Module) -> None:
    """Let every module that `fully_shard` wraps hold its pieces again; after a forward pass some do not."""
    for module in sharded_modules(model):
        module.reshard()


def everyones(pieces: Mapping[str, Mapping[int, Box]], peers: Peers | None) -> dict[str, list[Box]]:
    """
    Return each rank's piece of each layer, from the pieces by rank of the ranks that share a mesh with this.

    Where some mesh is only part of the group, every rank calls this, and tells its own pieces.
    """
    if peers is None:
        return {}  # of one rank, whose piece is the whole
    found = {name: boxes for name, boxes in pieces.items() if boxes}
    if all(len(boxes) == peers.size for boxes in found.values()):
        return {name: [boxes[rank] for rank in range(peers.size)] for name, boxes in found.items()}
    mine = [zlib.crc32("\n".join(found).encode())]
    for boxes in found.values():
        box = boxes.get(peers.rank) or _nothing(boxes)
        mine += [*box.offset, *box.shape]
    told = [iter(each.tolist()) for each in peers.gather(np.array(mine, np.int64))]
    if len({next(each) for each in told}) > 1:
        raise RankError("ranks hold different layers; prune before the model is spread over them")
    return {
        name: [_next_box(each, len(_nothing(boxes).shape)) for each in told] for name, boxes in found.items()
    }


def _nothing(boxes: Mapping[int, Box]) -> Box:
    axes = len(next(iter(boxes.values())).shape)
    return Box((0,) * axes, (0,) * axes)


def _next_box(numbers: Iterator[int], axes: int) -> Box:
    offset, shape = (tuple(next(numbers) for _ in range(axes)) for _ in range(2))
    return Box(offset, shape)
