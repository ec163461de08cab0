"""The ranks at work on an open model, and which of its layers lie on them in pieces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import OptionError
from ..protocols import Box, OpenModel, Peers, Sharded, Shared
from .boxes import Among


def boxes_of(opened: OpenModel) -> Mapping[str, Sequence[Box]]:
    """Return ``{layer: each rank's piece}`` of the layers in pieces; empty where all are whole."""
    return opened.boxes if isinstance(opened, Sharded) else {}


def peers_at(opened: OpenModel, distributed: bool | None) -> Peers | None:
    """Return the ranks that work together, or None; what was asked for and cannot be is an error."""
    peers = opened.peers() if isinstance(opened, Shared) else None
    if peers is None:
        if distributed and not isinstance(opened, Shared):
            raise OptionError("distributed=True, but this backend knows no ranks; leave it out")
        if distributed:
            raise OptionError("distributed=True, but there is no process group; start one or leave it out")
        return None
    boxes = boxes_of(opened)  # on all ranks at once, before any can fail
    if distributed is not False:
        return peers
    if boxes:
        raise OptionError(
            f"distributed=False, but {next(iter(boxes))!r} lies in pieces on several ranks; leave it out"
        )
    return None


def piece_peers(opened: OpenModel) -> Peers | None:
    """Return the ranks where any layer lies in pieces; None where this rank has all of them."""
    return peers_at(opened, None) if boxes_of(opened) else None


def among(opened: OpenModel, peers: Peers | None, name: str) -> Among | None:
    """Return how a layer lies on the ranks; None where it is whole on each."""
    boxes = boxes_of(opened)
    if name not in boxes:
        return None
    if peers is None:
        raise OptionError(
            f"layer {name!r} lies in pieces on several ranks, and this works on whole models only; do it "
            "before the model is sharded"
        )
    return Among(tuple(opened.layers[name].shape), tuple(boxes[name]), peers)


def layout_of(opened: OpenModel, peers: Peers | None, names: Sequence[str]) -> dict[str, Any] | None:
    """Return how layers lie on the ranks as JSON values; None where all of them are whole."""
    boxes = {name: each for name, each in boxes_of(opened).items() if name in names}
    if not boxes or peers is None:
        return None
    pieces = {name: [[list(b.offset), list(b.shape)] for b in each] for name, each in boxes.items()}
    return {"rank": peers.rank, "ranks": peers.size, "pieces": pieces}


def piece_shape(opened: OpenModel, peers: Peers | None, name: str) -> tuple[int, ...]:
    """Return the shape of what this rank has of a layer."""
    found = among(opened, peers, name)
    return tuple(opened.layers[name].shape) if found is None else found.box.shape
