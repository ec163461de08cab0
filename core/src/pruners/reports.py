"""What is really in a model: zeros, bytes and shapes, layer by layer, counted and never guessed."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import asdict, frozen
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from .host import count_zeros
from .sharding.counting import counted
from .tables import as_text

if TYPE_CHECKING:
    from .protocols import Layer, OpenModel

DEFLATE_LEVEL = 6
"""zlib's level for the compressed sizes; the one `gzip` uses unless told otherwise."""

_CHUNK = 1 << 22


@frozen(kw_only=True)
class LayerRow:
    """One layer of a report: what it is, how many of its weights are zero, how many bytes it takes."""

    name: str
    """The parameter's name."""
    type: str
    """The owner's type name."""
    shape: tuple[int, ...]
    """Canonical shape ``(out, in, *kernel)``."""
    weights: int
    """Number of weights."""
    zeros: int
    """Weights whose value is zero, whether a mask put it there or not."""
    masked: int | None = None
    """Weights a mask holds at zero; None where no mask is known."""
    escaped: int = 0
    """Weights a mask should hold at zero that are not zero now; 0 in a healthy session."""
    stored: int = 0
    """Bytes of the layer as stored, zeros included."""
    compressed: int | None = None
    """Bytes of the layer after deflate; None where that was not measured."""
    note: str = ""
    """What pruned the layer, or why it was left dense."""

    @property
    def sparsity(self) -> float:
        """Fraction of weights whose value is zero, 0 to 1; 0 for an empty layer."""
        return _fraction(self.zeros, self.weights)

    @property
    def mask_sparsity(self) -> float | None:
        """Fraction of weights a mask holds at zero, 0 to 1; None where no mask is known.

        It differs from `sparsity` where a kept weight happens to be zero.
        """
        return None if self.masked is None else _fraction(self.masked, self.weights)

    @property
    def nonzeros(self) -> int:
        """Number of weights that are not zero."""
        return self.weights - self.zeros

    def to_dict(self) -> dict[str, Any]:
        """Return the row as plain JSON types."""
        derived = {"shape": list(self.shape), "sparsity": self.sparsity, "mask_sparsity": self.mask_sparsity}
        return {**asdict(self), **derived, "nonzeros": self.nonzeros}


@frozen
class Report:
    """A model's layers and totals; printing it gives a table, `to_dict` gives plain values."""

    rows: tuple[LayerRow, ...]
    """The listed layers, in the model's own order."""
    parameters: int
    """Every float parameter of the model; biases, norms and loose weights are not listed unless pruned."""

    @property
    def weights(self) -> int:
        """Number of listed weights."""
        return sum(row.weights for row in self.rows)

    @property
    def zeros(self) -> int:
        """Number of listed weights whose value is zero."""
        return sum(row.zeros for row in self.rows)

    @property
    def nonzeros(self) -> int:
        """Number of listed weights that are not zero."""
        return self.weights - self.zeros

    @property
    def sparsity(self) -> float:
        """Zeros over listed weights, 0 to 1; never a mean of the layers' ratios."""
        return _fraction(self.zeros, self.weights)

    @property
    def mask_sparsity(self) -> float | None:
        """Weights held at zero by a mask over listed weights; None where no mask is known."""
        known = [row.masked for row in self.rows if row.masked is not None]
        return _fraction(sum(known), self.weights) if known else None

    @property
    def stored(self) -> int:
        """Bytes of the listed weights as stored, zeros included."""
        return sum(row.stored for row in self.rows)

    @property
    def compressed(self) -> int | None:
        """Bytes of the listed weights after deflate, layer by layer; None where not measured."""
        sizes = [row.compressed for row in self.rows if row.compressed is not None]
        return sum(sizes) if sizes and len(sizes) == len(self.rows) else None

    def sentences(self) -> tuple[str, ...]:
        """Return what the numbers mean, in plain sentences."""
        return tuple(_sentences(self))

    def to_dict(self) -> dict[str, Any]:
        """Return the whole report as plain JSON types."""
        return {
            "layers": [row.to_dict() for row in self.rows],
            "parameters": self.parameters,
            "weights": self.weights,
            "zeros": self.zeros,
            "nonzeros": self.nonzeros,
            "sparsity": self.sparsity,
            "mask_sparsity": self.mask_sparsity,
            "stored": self.stored,
            "compressed": self.compressed,
            "notes": list(self.sentences()),
        }

    def __rich__(self) -> RenderableType:
        return Group(_table(self), *(Text(sentence) for sentence in self.sentences()))

    def __str__(self) -> str:
        return as_text(_table(self), self.sentences())


def report(model: Any, *, compressed: bool = False) -> Report:
    """
    Count what is in a model: zeros, bytes and shapes of every layer.

    Parameters
    ----------
    model : object
        A model of any installed backend.
    compressed : bool, default False
        Also deflate every layer and report the size (zlib level 6; about 40 ms per megabyte).

    Returns
    -------
    Report
        One row per layer that a wildcard rule reaches; sparsity is the fraction of values that are zero,
        0 to 1. Printing it gives a table.

    Raises
    ------
    NoBackend
        If no installed backend handles `model`.

    Notes
    -----
    Data free, and read only. Zeros are counted in the values: `pruners.attach` sessions know their masks
    and tell the two apart in `Pruning.report`. Tied weights are counted once.

    Examples
    --------
    >>> import numpy as np, pruners
    >>> pruners.report({"w": np.array([[1.0, 0.0], [0.0, 3.0]])}).sparsity
    0.5
    """
    from .registry import backend_for

    return session_report(backend_for(model).open(model), {}, {}, compressed=compressed)


def session_report(
    opened: OpenModel,
    masks: Mapping[str, np.ndarray],
    notes: Mapping[str, str],
    *,
    compressed: bool = False,
) -> Report:
    """Report an open model whose masks are known: ``{name: bool array}``, True where kept."""
    listed = [
        name for name, layer in opened.layers.items() if layer.default or name in masks or name in notes
    ]
    here = {name: _counts(opened.read(name), masks.get(name), compressed) for name in listed}
    counts = counted(opened, here)
    rows = [
        _row(opened.layers[name], counts[name], name in masks, compressed, notes.get(name, ""))
        for name in listed
    ]
    return Report(tuple(rows), sum(layer.size for layer in opened.layers.values()))


def _counts(array: np.ndarray, mask: np.ndarray | None, compressed: bool) -> list[int]:
    """Return zeros, masked, escaped, and bytes stored and compressed, of a layer or a piece of one."""
    return [
        count_zeros(array),
        0 if mask is None else count_zeros(mask),
        0 if mask is None else int(np.count_nonzero((array != 0) & ~mask)),
        array.nbytes,
        _deflated(array) if compressed else 0,
    ]


def _row(layer: Layer, counts: list[int], masked: bool, compressed: bool, note: str) -> LayerRow:
    return LayerRow(
        name=layer.name,
        type=layer.type,
        shape=tuple(layer.shape),
        weights=layer.size,
        zeros=counts[0],
        masked=counts[1] if masked else None,
        escaped=counts[2],
        stored=counts[3],
        compressed=counts[4] if compressed else None,
        note=note,
    )


def _deflated(array: np.ndarray) -> int:
    """Bytes after deflate, streamed so that no second copy of the whole layer is kept."""
    raw: Any = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    deflate = zlib.compressobj(DEFLATE_LEVEL)
    sizes = [len(deflate.compress(raw[start : start + _CHUNK])) for start in range(0, len(raw), _CHUNK)]
    return sum(sizes) + len(deflate.flush())


def _fraction(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _table(report: Report) -> Table:
    masked = report.mask_sparsity is not None
    packed = report.compressed is not None
    noted = any(row.note for row in report.rows)
    table = Table(box=box.SIMPLE_HEAD, show_footer=True)
    table.add_column("layer", footer="total", overflow="fold")
    table.add_column("type")
    table.add_column("shape")
    table.add_column("weights", justify="right", footer=f"{report.weights:,}")
    table.add_column("zeros", justify="right", footer=f"{report.zeros:,}")
    table.add_column("sparsity", justify="right", footer=f"{report.sparsity:.4f}")
    if masked:
        table.add_column("in masks", justify="right", footer=_ratio(report.mask_sparsity))
    table.add_column("bytes", justify="right", footer=f"{report.stored:,}")
    if packed:
        table.add_column("deflated", justify="right", footer=f"{report.compressed:,}")
    if noted:
        table.add_column("note", overflow="fold")
    for row in report.rows:
        cells = [row.name, row.type, "x".join(map(str, row.shape)) or "scalar"]
        cells += [f"{row.weights:,}", f"{row.zeros:,}", f"{row.sparsity:.4f}"]
        cells += [_ratio(row.mask_sparsity)] if masked else []
        cells += [f"{row.stored:,}"]
        cells += [f"{row.compressed:,}"] if packed else []
        cells += [row.note] if noted else []
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _ratio(value: float | None) -> str:
    return "dense" if value is None else f"{value:.4f}"


def _sentences(report: Report) -> list[str]:
    others = report.parameters - report.weights
    zeros, weights = f"{report.zeros:,}", f"{report.weights:,}"
    lines = [f"{zeros} of {weights} listed weights are zero: sparsity {report.sparsity:.4f}."]
    if others:
        lines[0] += f" {others:,} other parameters are not listed."
    escaped = sum(row.escaped for row in report.rows)
    if escaped:
        lines.append(f"{escaped:,} weights that masks prune are not zero now: apply the masks again.")
    if not report.zeros:
        return lines
    held = sum(row.masked or 0 for row in report.rows) - escaped
    if report.mask_sparsity is not None and held != report.zeros:
        lines.append(f"Masks hold {held:,} of the zeros; {report.zeros - held:,} are zero by value.")
    size = f"{report.stored:,} bytes, as many as dense"
    packed = report.compressed
    if packed is None:
        lines.append(f"Zeros take space: {size}, until the file is compressed.")
    else:
        lines.append(f"Zeros take space: {size}; deflate makes them {packed:,}.")
    lines.append("A dense runtime multiplies by zeros too: nothing is faster without kernels that skip them.")
    return lines
