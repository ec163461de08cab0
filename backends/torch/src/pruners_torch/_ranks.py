"""Scores averaged over the ranks of a process group, so that every rank removes the same channels."""

from __future__ import annotations

import hashlib
import json
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
    shapes = json.dumps([(name, scores[name].shape) for name in names])
    digest = np.frombuffer(hashlib.sha256(shapes.encode()).digest(), np.uint8).copy()
    first, *others = _gathered(digest)
    if any(not torch.equal(first, other) for other in others):
        raise ScoreError("ranks scored different layers: every rank must hold the same model")
    mine = np.concatenate([scores[name].ravel() for name in names])
    total = torch.stack(_gathered(mine)).sum(0) / ranks()
    group.broadcast(total, src=0)
    host = total.cpu().numpy()
    cut = np.split(host, np.cumsum([scores[name].size for name in names])[:-1])
    return {name: part.reshape(scores[name].shape) for name, part in zip(names, cut, strict=True)}


def _gathered(array: np.ndarray) -> list[torch.Tensor]:
    """Return every rank's array of the same shape, in the order of ranks."""
    mine = torch.from_numpy(array).to(_device())
    parts = [torch.empty_like(mine) for _ in range(ranks())]
    group.all_gather(parts, mine)
    return parts


def _device() -> torch.device:
    """Return where the group's backend moves tensors: the graphics processor for NCCL."""
    if group.get_backend() == "nccl":
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")
