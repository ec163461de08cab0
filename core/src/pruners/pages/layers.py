"""How sparse each layer is: bars beside the numbers, and a profile over depth where layers are many."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..plots import clean
from ..reports import LayerRow
from .drawing import KEPT, draw
from .elements import Bar, Block, Cell, Figure, Section, table_of
from .given import Given

HOW = "give a model with layers"
MANY = 40
"""From so many layers on, a profile over depth comes first."""


def section(given: Given) -> Section | None:
    """Return every layer's sparsity, or None of a model without layers."""
    rows = given.report.rows
    if not rows:
        return None
    total = f"{given.report.zeros:,} of {given.report.weights:,} weights in {len(rows):,} layers are zero"
    columns: dict[str, list[Cell | None]] = {
        "layer": [row.name for row in rows],
        "sparsity": [Bar(row.sparsity, f"{row.sparsity:.4f}") for row in rows],
        "in masks": [_masked(given, row) for row in rows],
        "weights": [f"{row.weights:,}" for row in rows],
        "zeros": [f"{row.zeros:,}" for row in rows],
        "shape": ["x".join(map(str, row.shape)) or "scalar" for row in rows],
        "type": [row.type for row in rows],
        "bytes": [f"{row.stored:,}" for row in rows],
        "note": [row.note or None for row in rows],
    }
    table = table_of(
        "Sparsity is the fraction of a layer's weights that are zero.", columns, ("layer", "type", "note")
    )
    figures = (_profile(rows),) if len(rows) >= MANY else ()
    return Section(
        name="layers",
        title="Sparsity of each layer",
        lines=[f"{total}: {given.report.sparsity:.4f}."],
        blocks=[Block(figures=figures, table=table)],
        data=given.report.to_dict(),
    )


def _masked(given: Given, row: LayerRow) -> str | None:
    if given.report.mask_sparsity is None:
        return None
    return "dense" if row.mask_sparsity is None else f"{row.mask_sparsity:.4f}"


def _profile(rows: tuple[LayerRow, ...]) -> Figure:
    values = np.array([row.sparsity for row in rows])

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        clean(axes)
        axes.stairs(values, np.arange(len(values) + 1) + 0.5, fill=True, color=KEPT, linewidth=0)
        axes.set_xlim(0.5, len(values) + 0.5)
        axes.set_ylim(0, 1)
        axes.set_xlabel("layer, in the model's order")
        axes.set_ylabel("sparsity")

    label = f"Sparsity of {len(rows)} layers over depth, from {values.min():.2f} to {values.max():.2f}"
    return Figure(markup=draw("profile", label, (4.6, 2.2), paint), caption=f"{label}.")
