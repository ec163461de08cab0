"""Operations that read or write by index, and sorting."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .arithmetic import opaque
from .steps import Step, translates
from .tape import Tape


@translates("embedding")
def _embedding(tape: Tape, step: Step) -> None:
    tape.write("embedding", [step.arguments["indices"], step.arguments["weight"]], step.results)


@translates("index", "_unsafe_index")
def _index(tape: Tape, step: Step) -> None:
    x, indices = step.arguments["self"], step.arguments["indices"]
    used = [index for index in indices if index is not None]
    axes, result = _layout(x, indices)
    if len(result) != step.results[0].ndim:
        opaque(tape, step)
    else:
        tape.write("gather", [x, *used], step.results, axes=axes, result=result)


def _layout(x: Tensor, indices: Sequence[Tensor | None]) -> tuple[tuple[int, ...], tuple[int | None, ...]]:
    """Return the axes that are indexed, and the source of each axis of the result."""
    spans = [1 if index is None else _span(index) for index in indices]
    starts = [sum(spans[:position]) for position in range(len(spans))]
    used = [position for position, index in enumerate(indices) if index is not None]
    axes = tuple(starts[p] + offset for p in used for offset in range(spans[p]))
    rank = max((_rank(indices[p]) for p in used), default=0)
    left = [axis for axis in range(x.ndim) if axis not in axes]
    together = used == list(range(used[0], used[-1] + 1)) if used else True
    at = sum(axis < axes[0] for axis in left) if together and axes else 0
    return axes, (*left[:at], *[None] * rank, *left[at:])


def _span(index: Tensor) -> int:
    """Return how many axes an index stands for: a mask has as many as it has itself."""
    return index.ndim if index.dtype in (torch.bool, torch.uint8) else 1


def _rank(index: Tensor | None) -> int:
    if index is None:
        return 0
    return 1 if index.dtype in (torch.bool, torch.uint8) else index.ndim


@translates("index_select")
def _index_select(tape: Tape, step: Step) -> None:
    axis = step.axis()
    result = tuple(None if index == axis else index for index in range(step.rank))
    tape.write("gather", step.read[:2], step.results, axes=(axis,), result=result)


@translates("gather")
def _gather(tape: Tape, step: Step) -> None:
    """One index per number: axes along which it is shorter are read in part."""
    x, index, axis = step.arguments["self"], step.arguments["index"], step.axis()
    if x.ndim != index.ndim:
        opaque(tape, step)
        return
    kept = [None if at == axis or x.shape[at] != index.shape[at] else at for at in range(x.ndim)]
    read = tuple(at for at, source in enumerate(kept) if source is None)
    tape.write("gather", [x, index], step.results, axes=read, result=tuple(kept))


@translates("topk")
def _topk(tape: Tape, step: Step) -> None:
    axis = step.axis()
    result = tuple(None if index == axis else index for index in range(step.rank))
    for each in step.results:
        tape.write("gather", [step.arguments["self"]], [each], axes=(axis,), result=result)


@translates("index_put", "_index_put_impl", "_unsafe_index_put")
def _index_put(tape: Tape, step: Step) -> None:
    x, indices, values = (step.arguments[name] for name in ("self", "indices", "values"))
    used = [index for index in indices if index is not None]
    axes, _ = _layout(x, indices)
    tape.write("scatter", [x, values, *used], step.results, axes=axes)


@translates("scatter", "scatter_add", "scatter_reduce")
def _scatter(tape: Tape, step: Step) -> None:
    """One index per number: written along one axis, in part along the others."""
    x, index, source = step.arguments["self"], step.arguments["index"], step.arguments.get("src")
    if not isinstance(source, Tensor):
        tape.write("gather", [x, index], step.results, axes=step.axes(), result=tuple(range(x.ndim)))
        return
    axes = tuple(range(step.axis() + 1))
    tape.write("scatter", [x, source, index], step.results, axes=axes)


@translates("index_add", "index_copy", "index_reduce")
def _index_add(tape: Tape, step: Step) -> None:
    axes = tuple(range(step.axis() + 1))
    operands = [step.arguments["self"], step.arguments["source"], step.arguments["index"]]
    tape.write("scatter", operands, step.results, axes=axes)


@translates("index_fill")
def _index_fill(tape: Tape, step: Step) -> None:
    axis = step.axis()
    result = tuple(range(step.rank))
    tape.write("gather", step.read[:2], step.results, axes=(axis,), result=result)


@translates("masked_scatter")
def _masked_scatter(tape: Tape, step: Step) -> None:
    opaque(tape, step)
