"""How a pruner is shown layers in pieces, by how far its scores reach, and how scores come back."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import numpy as np

from ..protocols import Box, OpenModel, Peers, Pruner, Reach, Reaches, Sharded, Unit
from .boxes import Among
from .moving import by_rows, moved, piece, whole
from .ranks import among, boxes_of

Way = Literal["pieces", "rows", "layers", "shapes", "assembled"]
"""Pieces as they lie; whole rows of one layer at a time; one whole layer at a time, or zeros of its shape;
all put together when they are read."""

ONE_BY_ONE = ("rows", "layers", "shapes")
"""The ways in which layers are shown one at a time."""
_WAYS: dict[Reach, Way] = {"shape": "shapes", "weight": "rows", "channel": "rows", "layer": "layers"}


def way_of(opened: OpenModel, names: Sequence[str], pruner: Pruner, looks: bool) -> Way:
    """Return how `pruner` is shown these layers; `looks` says whether it needs data."""
    if not any(name in boxes_of(opened) for name in names):
        return "pieces"
    reach = pruner.reach if isinstance(pruner, Reaches) else None
    if reach == "weight" and pruner.unit == "weight":
        return "pieces"
    if looks or reach is None:
        return "assembled"
    return _WAYS.get(reach, "assembled")


def shown(
    opened: OpenModel, peers: Peers | None, names: Sequence[str], way: Way
) -> AbstractContextManager[Any]:
    """Return a context in which views show layers as `way` says; it is one layer where they go one by one."""
    if way not in ONE_BY_ONE or not isinstance(opened, Sharded):
        return nullcontext()
    (name,) = names
    lying = among(opened, peers, name)
    if lying is None:
        return nullcontext()
    here, rows = opened.read(name), by_rows(lying, 1)
    if way == "rows":
        return nullcontext() if rows is lying else opened.showing({name: moved(here, lying, rows)})
    zeros = np.zeros(lying.shape, here.dtype) if way == "shapes" else None
    return opened.showing({name: whole(here, lying) if zeros is None else zeros})


def shape_of(opened: OpenModel, peers: Peers | None, name: str, way: Way) -> tuple[int, ...]:
    """Return the shape in which a layer is shown."""
    lying = among(opened, peers, name)
    if lying is None or way in ("layers", "shapes", "assembled"):
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
