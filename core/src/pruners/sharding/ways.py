"""How a pruner is shown layers in pieces, by how far its scores reach, and how scores come back."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import numpy as np

from ..protocols import Box, OpenModel, Peers, Pruner, Reaches, Sharded, Unit
from .boxes import Among
from .moving import by_rows, moved, piece, whole
from .ranks import among, boxes_of

Way = Literal["pieces", "rows", "layers", "assembled"]
"""Pieces as they lie; whole rows of one layer at a time; one whole layer at a time; all put together
when they are read."""


def way_of(opened: OpenModel, names: Sequence[str], pruner: Pruner, looks: bool) -> Way:
    """Return how `pruner` is shown these layers; `looks` says whether it needs data."""
    if not any(name in boxes_of(opened) for name in names):
        return "pieces"
    reach = pruner.reach if isinstance(pruner, Reaches) else None
    if reach == "weight" and pruner.unit == "weight":
        return "pieces"
    if looks or reach is None:
        return "assembled"
    return "layers" if reach == "layer" else "rows"


def shown(
    opened: OpenModel, peers: Peers | None, names: Sequence[str], way: Way
) -> AbstractContextManager[Any]:
    """Return a context in which views show layers as `way` says: by rows or as layers it is one at a time."""
    if way not in ("rows", "layers") or not isinstance(opened, Sharded):
        return nullcontext()
    (name,) = names
    lying = among(opened, peers, name)
    if lying is None:
        return nullcontext()
    here = opened.read(name)
    array = whole(here, lying) if way == "layers" else moved(here, lying, by_rows(lying, 1))
    return opened.showing({name: array})


def shape_of(opened: OpenModel, peers: Peers | None, name: str, way: Way) -> tuple[int, ...]:
    """Return the shape in which a layer is shown."""
    lying = among(opened, peers, name)
    if lying is None or way in ("layers", "assembled"):
        return tuple(opened.layers[name].shape)
    return lying.box.shape if way == "pieces" else by_rows(lying, 1).box.shape


def taken(scores: np.ndarray, lying: Among, unit: Unit, way: Way) -> np.ndarray:
    """Return scores as selection needs them: of weights this rank's piece, of channels all of the layer."""
    if unit == "channel":
        return _joined(scores, by_rows(lying, 1)) if way == "rows" else scores
    if way == "rows":
        return moved(scores, by_rows(lying, 1), lying)
    return scores if way == "pieces" else piece(scores, lying).copy()


def _joined(scores: np.ndarray, rows: Among) -> np.ndarray:
    boxes = tuple(Box(box.offset[:1], box.shape[:1]) for box in rows.boxes)
    return whole(scores, Among(rows.shape[:1], boxes, rows.peers))
