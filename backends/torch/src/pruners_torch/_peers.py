"""The ranks of a process group as core speaks with them: sums, gatherings and exchanges of NumPy arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.distributed as group


def peers() -> TorchPeers | None:
    """Return the ranks of the default process group; None where there is none or it has one rank."""
    several = group.is_available() and group.is_initialized() and group.get_world_size() > 1
    return TorchPeers() if several else None


class TorchPeers:
    """
    The ranks of the default process group, over gloo or NCCL.

    Arrays travel through memory that the group's backend can reach: the graphics processor's for NCCL,
    the host's for everything else. `sent` counts each array as it is handed over, once per receiver
    that gets a copy of its own; a sum is handed over once.
    """

    def __init__(self) -> None:
        self._sent = 0

    @property
    def rank(self) -> int:
        """Which of the ranks runs here, from 0."""
        return int(group.get_rank())

    @property
    def size(self) -> int:
        """How many ranks there are."""
        return int(group.get_world_size())

    @property
    def sent(self) -> int:
        """Bytes that this rank has handed to the others so far."""
        return self._sent

    def sum(self, array: np.ndarray) -> np.ndarray:
        """Return the sum over all ranks of an int64 array of one axis, the same on every rank."""
        total = torch.tensor(array, dtype=torch.int64, device=_device())
        group.all_reduce(total)
        self._sent += total.nbytes
        return total.cpu().numpy()

    def gather(self, array: np.ndarray) -> list[np.ndarray]:
        """Return every rank's array of one axis, in the order of ranks; lengths may differ."""
        counts = self._counts(array.nbytes)
        mine = torch.zeros(max(counts), dtype=torch.uint8, device=_device())
        mine[: array.nbytes] = _bytes(array).to(mine.device)
        parts = [torch.empty_like(mine) for _ in counts]
        group.all_gather(parts, mine)
        self._sent += (self.size - 1) * mine.nbytes
        return [
            part[:count].cpu().numpy().view(array.dtype) for part, count in zip(parts, counts, strict=True)
        ]

    def exchange(self, parts: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Send part r to rank r; return what each rank sent here. One axis, of one type; empty ones occur."""
        outgoing = [part.nbytes for part in parts]
        incoming = self._swap(outgoing)
        mine = torch.cat([_bytes(part) for part in parts]).to(_device())
        theirs = torch.empty(sum(incoming), dtype=torch.uint8, device=mine.device)
        group.all_to_all_single(theirs, mine, incoming, outgoing)
        self._sent += sum(outgoing) - outgoing[self.rank]
        return [part.cpu().numpy().view(parts[0].dtype) for part in torch.split(theirs, incoming)]

    def _counts(self, count: int) -> list[int]:
        """Return every rank's number."""
        mine = torch.tensor([count], device=_device())
        found = [torch.empty_like(mine) for _ in range(self.size)]
        group.all_gather(found, mine)
        self._sent += (self.size - 1) * mine.nbytes
        return [int(each) for each in found]

    def _swap(self, counts: Sequence[int]) -> list[int]:
        """Send a number to each rank; return what each sent here."""
        mine = torch.tensor(counts, device=_device())
        theirs = torch.empty_like(mine)
        group.all_to_all_single(theirs, mine)
        self._sent += (self.size - 1) * 8
        return [int(each) for each in theirs]


def _bytes(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array).reshape(-1).view(np.uint8).copy())


def _device() -> torch.device:
    """Return where the group's backend moves tensors: the graphics processor for NCCL."""
    if group.get_backend() == "nccl":
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")
