"""Masks as pictures: one cell per weight where there is room, the fraction kept per cell where not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np

from .drawing import picture
from .elements import Block, Cell, Figure, Section, Table, table_of
from .given import Given

HOW = "give a model with zeros, or choose layers: layers=, --layers"
ROWS, COLUMNS = 240, 640
"""Cells of the largest picture."""
CORNER = (32, 128)
"""Cells of the part shown larger where the whole has many more columns: two banks of 64, 32 groups of N:M."""


def section(given: Given) -> Section | None:
    """Return pictures of the chosen layers, or None where none has been chosen."""
    if not given.chosen:
        return None
    blocks: list[Block] = []
    data: list[dict[str, Any]] = []
    for name in given.chosen:
        mask = given.mask(name)
        if mask.size:
            data.append(_numbers(name, mask))
            blocks.append(Block(title=name, figures=_pictures(name, mask)))
    lines = [
        "Coloured is kept, empty is pruned. A row is an output; columns run through the kernel's positions, "
        "and through the inputs within each."
    ]
    if given.found > len(given.chosen):
        lines.append(f"{len(given.chosen)} of {given.found:,} layers, evenly spread over the model's depth.")
    if given.session is None:
        lines.append("No session was given: kept is what is not zero.")
    blocks.append(Block(title="In numbers", table=_table(data)))
    return Section(name="masks", title="Masks", lines=lines, blocks=blocks, data={"layers": data})


def flat(mask: np.ndarray) -> np.ndarray:
    """Return a mask as rows of outputs, the inputs of each kernel position side by side."""
    if mask.ndim < 2:
        return mask.reshape(1, -1)
    return np.moveaxis(mask, 1, -1).reshape(mask.shape[0], -1)


def shares(mask: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Return the fraction kept in each block of so many rows and columns; those at the edges are smaller."""
    starts = np.arange(0, mask.shape[0], rows), np.arange(0, mask.shape[1], columns)
    kept = np.add.reduceat(mask.astype(np.int64), starts[0], axis=0)
    kept = np.add.reduceat(kept, starts[1], axis=1)
    sizes = (np.diff([*start, length]) for start, length in zip(starts, mask.shape, strict=True))
    return np.asarray(kept / np.multiply.outer(*sizes))


def _pictures(name: str, mask: np.ndarray) -> tuple[Figure, ...]:
    whole = flat(mask)
    block = ceil(whole.shape[0] / ROWS), ceil(whole.shape[1] / COLUMNS)
    kept = f"{mask.mean():.2%} kept"
    if block == (1, 1):
        label = f"Mask of {name}, {whole.shape[0]} rows by {whole.shape[1]} columns, {kept}"
        first = _figure(whole, label, f"Every weight is a cell; {kept}.")
        if whole.shape[1] <= 2 * CORNER[1]:
            return (first,)
    else:
        label = f"Mask of {name}, fraction kept per cell, {kept}"
        caption = f"A cell is {block[0]} by {block[1]} weights, as strong as the fraction kept; {kept}."
        first = _figure(shares(whole, *block), label, caption)
    corner = whole[: CORNER[0], : CORNER[1]]
    size = " by ".join(map(str, corner.shape))
    return (
        first,
        _figure(
            corner,
            f"Corner of the mask of {name}, {size} weights",
            f"Its first {size} weights, each a cell.",
            room=400,
        ),
    )


def _figure(cells: np.ndarray, label: str, caption: str, room: int = 560) -> Figure:
    rows, columns = cells.shape
    width, height = (min(12, max(1, space // length)) for space, length in ((room, columns), (300, rows)))
    return Figure(markup=picture(cells.astype(np.float64), label, (width, height)), caption=caption)


def _numbers(name: str, mask: np.ndarray) -> dict[str, Any]:
    outputs = mask.reshape(mask.shape[0], -1).sum(axis=1) if mask.ndim > 1 else mask.astype(int)
    inputs = np.moveaxis(mask, 1, 0).reshape(mask.shape[1], -1).any(axis=1) if mask.ndim > 1 else mask
    return {
        "name": name,
        "shape": list(mask.shape),
        "weights": int(mask.size),
        "kept": int(np.count_nonzero(mask)),
        "kept_per_output": [int(outputs.min()), int(outputs.max())],
        "outputs_pruned": int(np.count_nonzero(outputs == 0)),
        "inputs_pruned": int(np.count_nonzero(~inputs)),
    }


def _table(layers: Sequence[Mapping[str, Any]]) -> Table:
    columns: dict[str, list[Cell | None]] = {
        "layer": [layer["name"] for layer in layers],
        "shape": ["x".join(map(str, layer["shape"])) for layer in layers],
        "weights": [f"{layer['weights']:,}" for layer in layers],
        "kept": [f"{layer['kept']:,}" for layer in layers],
        "kept per output": [_range(*layer["kept_per_output"]) for layer in layers],
        "outputs all pruned": [f"{layer['outputs_pruned']:,}" for layer in layers],
        "inputs all pruned": [f"{layer['inputs_pruned']:,}" for layer in layers],
    }
    return table_of("", columns, ("layer",))


def _range(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
