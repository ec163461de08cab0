"""How large the weights or scores of chosen layers are, and where the cut between kept and pruned lies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import asdict, frozen

from ..errors import OptionError
from ..plots import INK, clean
from .drawing import KEPT, PRUNED, draw
from .elements import Block, Cell, Figure, Name, Section, short, table_of
from .given import Given

HOW = "give a model with zeros, and the one before: dense=, --dense; or scores="
BINS = 40


@frozen(kw_only=True)
class Histogram:
    """Values of one layer in bins, kept and pruned."""

    name: str
    what: str
    edges: Sequence[float]
    kept: Sequence[int]
    pruned: Sequence[int]
    cut: float | None
    """The value below which as many lie as are pruned; None where none is or what is pruned is not known."""
    below: float | None
    """Fraction of the pruned that lies below the cut; 1 where these values alone decided."""
    left_out: int = 0
    """Values that are not finite."""


def section(given: Given) -> Section | None:
    """Return histograms of the chosen layers, or None where there is nothing to tell."""
    found = [found for name in given.chosen for found in _of_layer(given, name)]
    if not found:
        return None
    columns: dict[str, list[Cell | None]] = {
        "layer": [each.name for each in found],
        "of": [each.what for each in found],
        "kept": [f"{sum(each.kept):,}" for each in found],
        "pruned": [f"{sum(each.pruned):,}" if each.cut is not None else None for each in found],
        "cut": [short(each.cut) for each in found],
        "pruned below the cut": [None if each.below is None else f"{each.below:.2%}" for each in found],
        "smallest": [short(each.edges[0]) for each in found],
        "largest": [short(each.edges[-1]) for each in found],
    }
    figures = tuple(_figure(index, each) for index, each in enumerate(found))
    cut = any(each.cut is not None for each in found)
    caption = "The cut, dashed: as many values lie below it as are pruned." if cut else ""
    return Section(
        name="scores",
        title="Scores and the cut",
        lines=list(_sentences(given, found)),
        key=(Name("kept", 0), Name("pruned", 1)) if cut else (),
        blocks=[Block(figures=figures, table=table_of(caption, columns, ("layer", "of")))],
        data={"histograms": [_plain(each) for each in found]},
    )


def _of_layer(given: Given, name: str) -> list[Histogram]:
    found = []
    mask = given.mask(name)
    if given.dense is not None and name in given.dense.layers:
        before = given.dense.read(name)
        if before.shape == mask.shape:
            found.append(_split(name, "|w| before", np.abs(before.astype(np.float64)), mask))
    elif mask.any():
        kept = np.abs(given.opened.read(name).astype(np.float64))[mask]
        found.append(_split(name, "|w| kept", kept, np.ones(kept.shape, bool)))
    if name in given.scores:
        scores = given.scores[name].astype(np.float64)
        found.append(_split(name, "score", scores, _by_score(name, scores, mask)))
    return found


def _by_score(name: str, scores: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return what the scores alone would keep, as many as the mask does."""
    if scores.size == mask.size:
        pruned = int(mask.size - np.count_nonzero(mask))
    elif scores.shape == mask.shape[:1]:
        pruned = int(np.count_nonzero(~mask.reshape(mask.shape[0], -1).any(axis=1)))
    else:
        raise OptionError(
            f"scores of {name!r} have shape {scores.shape}; give one per weight {mask.shape} or one per "
            f"output {mask.shape[:1]}"
        )
    kept = np.ones(scores.size, bool)
    kept[np.argsort(scores, axis=None, kind="stable")[:pruned]] = False
    return kept.reshape(scores.shape)


def _split(name: str, what: str, values: np.ndarray, mask: np.ndarray) -> Histogram:
    finite = np.isfinite(values)
    kept, pruned = values[mask & finite], values[~mask & finite]
    edges = np.histogram_bin_edges(np.concatenate([kept, pruned]), BINS)
    cut = below = None
    if pruned.size:
        cut = float(np.partition(np.concatenate([kept, pruned]), pruned.size - 1)[pruned.size - 1])
        below = float(np.mean(pruned <= cut))
    return Histogram(
        name=name,
        what=what,
        edges=edges.tolist(),
        kept=np.histogram(kept, edges)[0].tolist(),
        pruned=np.histogram(pruned, edges)[0].tolist(),
        cut=cut,
        below=below,
        left_out=int(values.size - np.count_nonzero(finite)),
    )


def _sentences(given: Given, found: list[Histogram]) -> list[str]:
    lines = []
    kinds = {each.what for each in found}
    if "|w| before" in kinds:
        lines.append(
            "|w| before: weights of the model given as dense, coloured by what the masks keep now. Where "
            "training went on in between, or a pruner looks at more than size, kept and pruned overlap."
        )
    if "|w| kept" in kinds:
        lines.append("|w| kept: pruned weights are zero now and not drawn; give the dense model to see them.")
    if "score" in kinds:
        lines.append(
            "score: scores as given; coloured as pruned are as many of the lowest as the mask prunes."
        )
    lines += [
        f"{each.name}: {each.left_out:,} values are not finite and not drawn."
        for each in found
        if each.left_out
    ]
    return lines


def _plain(found: Histogram) -> dict[str, Any]:
    return asdict(found)


def _figure(index: int, found: Histogram) -> Figure:
    def paint(figure: Any) -> None:
        axes = figure.subplots()
        clean(axes)
        bottom = np.array(found.pruned, np.float64)
        axes.stairs(bottom + found.kept, found.edges, baseline=bottom, fill=True, color=KEPT, linewidth=0)
        axes.stairs(bottom, found.edges, fill=True, color=PRUNED, linewidth=0)
        if found.cut is not None:
            axes.axvline(found.cut, color=INK, linewidth=1, linestyle=(0, (4, 3)))
        axes.set_xlim(found.edges[0], found.edges[-1])
        axes.set_ylim(bottom=0)
        axes.set_xlabel("score" if found.what == "score" else "|w|")

    cut = "" if found.cut is None else f", {sum(found.pruned):,} pruned, cut at {found.cut:.3g}"
    label = f"{found.name}, {found.what}: {sum(found.kept):,} kept{cut}"
    return Figure(markup=draw(f"scores{index}", label, (3.6, 2.0), paint), caption=f"{label}.")
