"""Scores averaged over the ranks of a process group, so that every rank removes the same channels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.distributed as group

from pruners import ScoreError


def ranks() -> int:
    """Return the size of the default process group; 1 where there is none."""
    return group.get_world_size() if group.is_available() and group.is_initialized() else 1


def averaged(scores: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """
    Return float64 scores averaged over all ranks, the same bits on every rank.

    The sum is taken on the first rank in the order of ranks and sent to all: what a reduction gives
    could differ between ranks in the last bit, and a tie would then fall differently.
    """
    if ranks() == 1:
        return dict(scores)
    names = list(scores)
    shapes = [(name, scores[name].shape) for name in names]
    everywhere: list[object] = [None] * ranks()
    group.all_gather_object(everywhere, shapes)
    if any(each != shapes for each in everywhere):
        raise ScoreError("ranks scored different layers: every rank must hold the same model")
    device = _device()
    mine = torch.from_numpy(np.concatenate([scores[name].ravel() for name in names])).to(device)
    parts = [torch.empty_like(mine) for _ in range(ranks())]
    group.all_gather(parts, mine)
    total = torch.stack(parts).sum(0) / ranks()
    group.broadcast(total, src=0)
    cut = np.split(total.cpu().numpy(), np.cumsum([scores[name].size for name in names])[:-1])
    return {name: part.reshape(scores[name].shape) for name, part in zip(names, cut, strict=True)}


def _device() -> torch.device:
    """Return where the group's backend moves tensors: the graphics processor for NCCL."""
    if group.get_backend() == "nccl":
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")
