"""Counts over all ranks of layers that lie in pieces, each piece once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..protocols import OpenModel, Peers
from .ranks import boxes_of, piece_peers


def counted(
    opened: OpenModel, counts: Mapping[str, Sequence[int]], peers: Peers | None = None
) -> dict[str, list[int]]:
    """
    Return each layer's counts: of a layer in pieces their sum over all ranks, else those given.

    Where layers lie in pieces, all ranks call this with the same layers.
    """
    boxes = boxes_of(opened)
    cut = [name for name in counts if name in boxes]
    found = {name: list(each) for name, each in counts.items()}
    peers = peers or piece_peers(opened)
    if not cut or peers is None:
        return found
    rank = peers.rank
    mine = [
        [count if list(boxes[name]).index(boxes[name][rank]) == rank else 0 for count in counts[name]]
        for name in cut
    ]
    total = peers.sum(np.array(mine, np.int64).reshape(-1)).reshape(len(cut), -1)
    return found | {name: [int(each) for each in row] for name, row in zip(cut, total, strict=True)}
