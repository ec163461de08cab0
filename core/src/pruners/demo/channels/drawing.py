"""The figure of the demo of channels: both networks learning, and the channels each layer keeps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...plots import INK, clean, new_figure
from ..drawing import DENSE, KEPT, PRUNED, draw_accuracy
from .network import WIDTHS
from .training import Run

STREAM = PRUNED
HIGH_ENOUGH = 6
"""Channels from which a bar has room for their number."""


def draw(dense: Sequence[Run], pruned: Sequence[Run], path: Path) -> None:
    """Draw accuracy over steps above the channels of every layer, and write the file."""
    figure = new_figure(10, 7.6)
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.1, hspace=0.06)
    top, bottom = figure.subplots(2, 1, height_ratios=(1, 1.1))
    draw_accuracy(top, {"dense": dense, "pruned": pruned})
    _mark_removal(top, pruned[0])
    _draw_channels(bottom, dense[0], pruned[0])
    figure.savefig(path)


def _mark_removal(axes: Any, run: Run) -> None:
    assert run.cut is not None
    removal = run.cut.removal
    axes.axvline(run.cut.step, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    channels = sum(row.units for row in removal.groups), sum(row.kept for row in removal.groups)
    axes.annotate(
        f"step {run.cut.step}: {channels[0] - channels[1]} of {channels[0]} channels leave,\n"
        f"with {removal.parameters.reduction:.0%} of the parameters\n"
        f"and {removal.macs.reduction:.0%} of the MACs (seed 0)",
        (run.cut.step, axes.get_ylim()[0]),
        xytext=(-8, 10),
        textcoords="offset points",
        ha="right",
        fontsize=9,
        color=INK,
    )
    axes.set_xlim(0, run.steps)
    axes.set_xlabel("optimizer step", color=INK, fontsize=9)


def _draw_channels(axes: Any, dense: Run, pruned: Run) -> None:
    clean(axes)
    assert pruned.cut is not None
    rows = {layer: row for row in pruned.cut.removal.groups for layer in row.layers}
    layers = [layer for layer in dense.size.channels if layer in rows]
    for place, layer in enumerate(layers):
        before, kept = dense.size.channels[layer], pruned.size.channels[layer]
        colour = STREAM if len(rows[layer].layers) > 1 else KEPT
        axes.bar(place, kept, width=0.72, color=colour, linewidth=0)
        axes.bar(place, before, width=0.72, fill=False, edgecolor=DENSE, linewidth=1)
        inside = kept > HIGH_ENOUGH
        where = {"va": "top", "color": "white"} if inside else {"va": "bottom", "color": INK}
        axes.text(place, kept + (-0.6 if inside else 0.6), str(kept), ha="center", fontsize=8, **where)
    names = [layer.removesuffix(".weight") for layer in layers]
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_xlim(-0.6, len(layers) - 0.4)
    axes.set_ylim(0, max(WIDTHS) * 1.06)
    axes.set_yticks([0, *WIDTHS])
    axes.set_ylabel("output channels", color=INK, fontsize=9)
    from matplotlib.patches import Patch

    key = [
        Patch(fill=False, edgecolor=DENSE, label="dense"),
        Patch(color=KEPT, linewidth=0, label="kept, decided for this layer alone"),
        Patch(color=STREAM, linewidth=0, label="kept, decided together: added to each other"),
    ]
    axes.legend(handles=key, loc="upper left", frameon=False, fontsize=9)
    title = "Channels of every layer, in the order in which they run (seed 0)"
    axes.set_title(title, loc="left", fontsize=10.5, color=INK)
