"""What a sensitivity scan found: the metric as each layer alone is pruned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..plots import INK, clean
from .drawing import COLOURS, colour, draw
from .elements import Block, Cell, Figure, Name, Section, short, table_of
from .given import Given, Values, reading

HOW = "give what pruners.sensitivity returned: sensitivities=, --sensitivity"


def section(given: Given) -> Section | None:
    """Return a curve and a row for each layer, or None without a scan."""
    if given.sensitivities is None:
        return None
    with reading("sensitivities", "Sensitivities.to_dict()"):
        return _section(given.sensitivities)


def _section(found: Values) -> Section:
    layers, sparsities = found["layers"], found["sparsities"]
    named = len(layers) <= len(COLOURS)
    columns: dict[str, list[Cell | None]] = {
        "layer": [
            Name(layer["name"], index) if named else layer["name"] for index, layer in enumerate(layers)
        ],
        "weights": [f"{layer['weights']:,}" for layer in layers],
    }
    for place, sparsity in enumerate(sparsities):
        columns[f"{sparsity:g}"] = [_metric(layer["metrics"][place]) for layer in layers]
    better = "higher" if found["higher_is_better"] else "lower"
    lines = [f"Dense: {_metric(found['baseline'])}; {better} is better. Each layer was pruned alone."]
    lines += [f"{name}: not measured, {reason}" for name, reason in found["skipped"].items()]
    caption = "The metric at each sparsity of that layer alone."
    block = Block(figures=(_figure(found, named),), table=table_of(caption, columns, ("layer",)))
    return Section(name="sensitivity", title="Sensitivity", lines=lines, blocks=[block], data=dict(found))


def _metric(value: float | None) -> str:
    return short(value) or "not a number"


def _figure(found: Values, named: bool) -> Figure:
    layers: Sequence[Values] = found["layers"]
    baseline = found["baseline"]

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        clean(axes)
        if baseline is not None:
            axes.axhline(baseline, color=INK, linewidth=1, linestyle=(0, (4, 3)))
        for index, layer in enumerate(layers):
            points = [
                (sparsity, metric)
                for sparsity, metric in zip(
                    [0, *found["sparsities"]], [baseline, *layer["metrics"]], strict=True
                )
                if metric is not None
            ]
            look: Values = (
                {"linewidth": 1.6, "marker": "o", "markersize": 2.5} if named else {"linewidth": 0.8}
            )
            axes.plot(*zip(*points, strict=True), color=colour(index) if named else COLOURS[0], **look)
        axes.set_xlim(left=0)
        axes.set_xlabel("sparsity of this layer alone")
        axes.set_ylabel("metric")

    label = f"Metric against sparsity of {len(layers)} layers, each pruned alone"
    note = "the dashes are the dense model" + ("" if named else "; a line for each layer")
    return Figure(markup=draw("sensitivity", label, (4.6, 3.2), paint), caption=f"{label}; {note}.")
