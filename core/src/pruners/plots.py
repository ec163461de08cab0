"""Figures; matplotlib is optional and imported only when one is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import OptionError, PrunersError

if TYPE_CHECKING:
    from .sensitivities import Sensitivities

INK, PALE = "#23282d", "#d5d9dd"
LINES_WITH_LEGEND = 12
"""Up to so many layers a legend names each line; beyond, colour stands for depth."""


def check_path(path: str | Path) -> None:
    """
    Raise unless a figure can be written to `path`.

    Raises
    ------
    OptionError
        If matplotlib draws no figure of that suffix, or there is no such folder.
    PrunersError
        If matplotlib is not installed.
    """
    new_figure(1, 1)
    from matplotlib.backend_bases import FigureCanvasBase

    kinds = sorted(FigureCanvasBase.get_supported_filetypes())
    suffix, folder = Path(path).suffix, Path(path).parent
    if suffix[1:].lower() not in kinds:
        raise OptionError(
            f"plot {str(path)!r}: a figure cannot be written as {suffix or 'a file without suffix'!r}; "
            f"choose from {', '.join(kinds)}"
        )
    if not folder.is_dir():
        raise OptionError(f"plot {str(path)!r}: there is no folder {str(folder)!r}")


def new_figure(width: float, height: float) -> Any:
    """Return an empty matplotlib figure that needs no display, sizes in inches."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise PrunersError("drawing needs matplotlib: pip install pruners[plot]") from error
    return Figure(figsize=(width, height), dpi=150, layout="constrained", facecolor="white")


def clean(axes: Any) -> None:
    """Take away what carries no information: top and right frame, dark ticks."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(PALE)
    axes.tick_params(colors=INK, length=0, labelsize=8)
    axes.grid(axis="y", color=PALE, linewidth=0.6)
    axes.set_axisbelow(True)


def sensitivity_figure(found: Sensitivities) -> Any:
    """Return a figure of metric against sparsity, one line per layer, the dense model dashed."""
    figure = new_figure(8, 4.5)
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    axes = figure.subplots()
    clean(axes)
    colours = ListedColormap(colormaps["viridis"](np.linspace(0, 0.88, max(1, len(found.layers)))))
    axes.axhline(found.baseline, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    axes.annotate(
        f"dense {found.baseline:.4g}",
        (0, found.baseline),
        xytext=(0, 3),
        textcoords="offset points",
        fontsize=8,
    )
    for index, layer in enumerate(found.layers):
        points = ([0.0, *found.sparsities], [found.baseline, *layer.metrics])
        axes.plot(*points, color=colours(index), linewidth=1.6, marker="o", markersize=3, label=layer.name)
    axes.set_xlim(left=0)
    axes.set_xlabel("sparsity of this layer alone", color=INK, fontsize=9)
    axes.set_ylabel("metric", color=INK, fontsize=9)
    if 0 < len(found.layers) <= LINES_WITH_LEGEND:
        figure.legend(loc="outside right upper", frameon=False, fontsize=8, title="layer", title_fontsize=9)
    elif found.layers:
        scale = ScalarMappable(Normalize(1, len(found.layers)), colours)
        figure.colorbar(scale, ax=axes, label="layer, in the model's order")
    return figure
