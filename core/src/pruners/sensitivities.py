"""What a sensitivity scan found: metric against sparsity, layer by layer, and budgets from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from .errors import OptionError
from .tables import as_text


@frozen(kw_only=True)
class LayerSensitivity:
    """One layer's measurements, in the order of `Sensitivities.sparsities`."""

    name: str
    """The parameter's name."""
    weights: int
    """Number of weights."""
    metrics: tuple[float, ...]
    """What `evaluate` returned with this layer alone pruned."""
    reached: tuple[float, ...]
    """Fraction of the layer's weights that was pruned; a pattern may reach less than was asked."""


@frozen(kw_only=True)
class Sensitivities:
    """Metric against sparsity, layer by layer; printing it gives a table."""

    layers: tuple[LayerSensitivity, ...]
    sparsities: tuple[float, ...]
    """What was asked of each layer, ascending."""
    baseline: float
    """The metric with nothing pruned."""
    higher_is_better: bool
    skipped: Mapping[str, str]
    """``{name: reason}`` of layers the pattern cannot lie on."""

    def budget(self, drop: float = 0.01) -> dict[str, float]:
        """
        Return the largest sparsity of each layer that costs at most `drop` of the metric.

        Parameters
        ----------
        drop : float, default 0.01
            Largest loss against the baseline, in the metric's own units, at least 0.

        Returns
        -------
        {str: float}
            Sparsity by parameter name, for ``Rule(sparsity=...)`` or straight for `pruners.attach`. A
            layer's metric stays within `drop` at this and at every smaller measured sparsity; a layer
            that cannot take the smallest one gets 0.

        Raises
        ------
        OptionError
            If `drop` is negative.

        Notes
        -----
        Each layer was measured alone. Pruned together, the layers cost more than any of them alone.
        """
        if not drop >= 0:
            raise OptionError(f"drop must be at least 0, in units of the metric; got {drop!r}")
        return {layer.name: self._largest(layer, drop) for layer in self.layers}

    def _largest(self, layer: LayerSensitivity, drop: float) -> float:
        sign = 1 if self.higher_is_better else -1
        largest = 0.0
        for sparsity, metric in zip(self.sparsities, layer.metrics, strict=True):
            # The slack forgives the rounding of `baseline - metric`; NaN fails the comparison.
            if not sign * (self.baseline - metric) <= drop + 1e-12:
                break
            largest = sparsity
        return largest

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON types; a metric that is NaN or infinite is None."""
        layers = [
            {
                "name": layer.name,
                "weights": layer.weights,
                "metrics": [_finite(metric) for metric in layer.metrics],
                "reached": list(layer.reached),
            }
            for layer in self.layers
        ]
        return {
            "baseline": _finite(self.baseline),
            "higher_is_better": self.higher_is_better,
            "sparsities": list(self.sparsities),
            "layers": layers,
            "skipped": dict(self.skipped),
        }

    def plot(self, path: str | Path) -> None:
        """
        Draw one line per layer and write the figure; the suffix decides the format.

        Raises
        ------
        OptionError
            If matplotlib draws no figure of that suffix, or there is no such folder.
        PrunersError
            If matplotlib is not installed.
        """
        from .plots import check_path, sensitivity_figure

        check_path(path)
        sensitivity_figure(self).savefig(path)

    def __rich__(self) -> RenderableType:
        return Group(_table(self), *(Text(line) for line in _lines(self)))

    def __str__(self) -> str:
        return as_text(_table(self), _lines(self))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _table(found: Sensitivities) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("layer", overflow="fold")
    table.add_column("weights", justify="right")
    for sparsity in found.sparsities:
        table.add_column(f"{sparsity:g}", justify="right")
    for layer in found.layers:
        cells = [layer.name, f"{layer.weights:,}", *(f"{metric:.4g}" for metric in layer.metrics)]
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _lines(found: Sensitivities) -> tuple[str, ...]:
    better = "higher" if found.higher_is_better else "lower"
    lines = [f"Dense: {found.baseline:.4g}; {better} is better. Columns: sparsity of that layer alone."]
    for layer in found.layers:
        short = [f"{got:.3g} for {asked:g}" for asked, got in _short(found, layer)]
        if short:
            lines.append(f"{layer.name}: the pattern reaches only {', '.join(short)}.")
    lines += [f"{name}: not measured, {reason}" for name, reason in found.skipped.items()]
    return tuple(lines)


def _short(found: Sensitivities, layer: LayerSensitivity) -> list[tuple[float, float]]:
    """Return (asked, reached) where a pattern's own limit, not rounding, kept the sparsity down."""
    pairs = zip(found.sparsities, layer.reached, strict=True)
    return [(asked, got) for asked, got in pairs if asked < 1 and got < asked - 0.05]
