"""A small network with every kind of piece: uneven rows, fewer rows than ranks, ties, bfloat16."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.distributed as group
from pruners_torch._backend import TorchModel
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from pruners.protocols import Box, OpenModel
from pruners.registry import backend_for


class Network(nn.Module):
    """Convolutions and dense layers of uneven sizes; two more layers that no input passes."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.image = nn.Conv2d(3, 10, 3, padding=1)
        self.deeper = nn.Conv2d(10, 6, 3, padding=1)
        self.dense = nn.Linear(6 * 4, 12)
        self.narrow = nn.Linear(12, 3)
        self.halves = nn.Linear(12, 9, bias=False, dtype=torch.bfloat16)
        self.wider = nn.ConvTranspose2d(5, 7, 2)
        with torch.no_grad():
            for layer in (self.deeper, self.wider, self.narrow):
                layer.weight.copy_((layer.weight * 8 / layer.weight.abs().max()).round() / 8)  # many ties

    def forward(self, images: Tensor) -> Tensor:
        """Return three numbers per image ``(batch, 3)``."""
        seen = torch.relu(self.deeper(torch.relu(self.image(images))))
        pooled = nn.functional.adaptive_avg_pool2d(seen, 2).flatten(1)
        return self.narrow(torch.relu(self.dense(pooled)))


PASSED = ("image.weight", "deeper.weight", "dense.weight", "narrow.weight")
"""The layers that an input passes."""


def batches(seed: int = 0, count: int = 2) -> list[tuple[Tensor, Tensor]]:
    """Return batches of images and labels."""
    draw = torch.Generator().manual_seed(seed)
    return [
        (torch.randn(4, 3, 6, 6, generator=draw), torch.randint(3, (4,), generator=draw))
        for _ in range(count)
    ]


def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Return the cross-entropy of one batch."""
    return cross_entropy(model(batch[0]), batch[1])


def alone() -> nn.Module:
    """Return the network as one process has it."""
    return Network()


def copies() -> nn.Module:
    """Return the network in copies, as DistributedDataParallel has it."""
    return DistributedDataParallel(Network(), find_unused_parameters=True)


def pieces() -> nn.Module:
    """Return the network in pieces, as `fully_shard` has it: cut along the rows."""
    from torch.distributed.fsdp import fully_shard

    network = Network()
    for layer in network.children():
        fully_shard(layer)
    return fully_shard(network)


def one_group() -> nn.Module:
    """Return the same with its layers in one group, which stays whole after a forward pass."""
    from torch.distributed.fsdp import fully_shard

    network = Network()
    fully_shard(network.halves)
    return fully_shard(network)


def split() -> nn.Module:
    """Return the network split by tensor parallelism: a dense layer along its rows, one along its columns."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    mesh = init_device_mesh("cpu", (group.get_world_size(),))
    return parallelize_module(Network(), mesh, {"dense": ColwiseParallel(), "narrow": RowwiseParallel()})


def both() -> nn.Module:
    """Return the network split by tensor parallelism in pairs of ranks, and in pieces across the pairs."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    mesh = init_device_mesh("cpu", (group.get_world_size() // 2, 2), mesh_dim_names=("data", "model"))
    plan = {"dense": ColwiseParallel(), "halves": ColwiseParallel(), "narrow": RowwiseParallel()}
    network = parallelize_module(Network(), mesh["model"], plan)
    fully_shard(network.halves, mesh=mesh["data"])
    return fully_shard(network, mesh=mesh["data"])


def hybrid() -> nn.Module:
    """Return the network in pieces on pairs of ranks, each pair with a copy."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh("cpu", (group.get_world_size() // 2, 2), mesh_dim_names=("copy", "piece"))
    network = Network()
    for layer in network.children():
        fully_shard(layer, mesh=mesh)
    return fully_shard(network, mesh=mesh)


def opened(model: nn.Module) -> Any:
    """Return the model opened; what is open already as it is."""
    return model if isinstance(model, TorchModel) else backend_for(model).open(model)


def put(model: nn.Module, arrays: Mapping[str, np.ndarray]) -> None:
    """Write whole layers into a model, each rank its piece."""
    held = opened(model)
    held.write({name: cut(held, name, array) for name, array in arrays.items()})


def cut(held: OpenModel, name: str, array: np.ndarray) -> np.ndarray:
    """Return this rank's piece of a whole layer."""
    boxes = held.boxes.get(name)
    if boxes is None:
        return array
    box = boxes[group.get_rank() if group.is_initialized() else 0]
    return np.ascontiguousarray(array[region(box)])


def region(box: Box) -> tuple[slice, ...]:
    """Return the slices of a piece."""
    ends = zip(box.offset, box.shape, strict=True)
    return tuple(slice(start, start + length) for start, length in ends)


def joined(model: nn.Module, name: str, piece: np.ndarray) -> np.ndarray:
    """Return a whole layer from every rank's piece; all ranks call this."""
    held = opened(model)
    boxes, peers = held.boxes.get(name), held.peers()
    if boxes is None or peers is None:
        return piece
    whole = np.empty(held.layers[name].shape, piece.dtype)
    told = peers.gather(np.ascontiguousarray(piece).reshape(-1).view(np.uint8))
    for box, each in zip(boxes, told, strict=True):
        where = tuple(
            slice(start, start + length) for start, length in zip(box.offset, box.shape, strict=True)
        )
        whole[where] = each.view(piece.dtype).reshape(box.shape)
    return whole


def canonical(model: nn.Module, name: str, tensor: Tensor) -> np.ndarray:
    """Return a tensor laid out as a parameter as an array ``(out, in, *kernel)``."""
    held = opened(model)
    return np.ascontiguousarray(held.host(held.parameters[name].canonical(tensor)))


def weights(model: nn.Module) -> dict[str, np.ndarray]:
    """Return every layer whole, as bytes that can be stored; all ranks call this."""
    held = opened(model)
    return {name: joined(held, name, held.read(name).copy()).view(np.uint8) for name in held.layers}


def masks(model: nn.Module, pruning: Any) -> dict[str, np.ndarray]:
    """Return every mask whole; all ranks call this."""
    held = opened(model)
    found = {name: canonical(held, name, mask) for name, mask in pruning.masks.items()}
    return {name: joined(held, name, mask) for name, mask in found.items()}
