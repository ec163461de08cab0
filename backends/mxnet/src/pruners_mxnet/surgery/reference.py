"""The masked reference: the model as it was, with everything that leaves set to zero."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from mxnet.gluon import Block, Parameter

from ..lending import lent, parameters
from ..tracing.graph import Entry, Graph, Instead
from .comparing import results
from .norms import Norm
from .pieces import Piece
from .running import Bench
from .values import host, is_float, like
from .watching import Diary, Watched


def run_masked(
    bench: Bench,
    mode: str,
    graph: Graph,
    pieces: Sequence[Piece],
    norms: Sequence[Norm],
    calls: Sequence[Watched],
    dtype: str | None,
) -> tuple[list[np.ndarray], Diary]:
    """
    Return what the masked model gives, and its diary.

    It is the user's own block that runs; where normalisation must be over kept features only, what
    was recorded of it runs, with these normalisations in place of its own.
    """
    diary = Diary.of(calls)
    if norms:
        return _recorded(bench, mode, graph, pieces, norms, calls, dtype, diary), diary
    with lent(bench.model, masked(bench.model, pieces, dtype)), diary.written(bench.model):
        return bench.run(mode, dtype), diary


def masked(model: Block, pieces: Sequence[Piece], dtype: str | None) -> Callable[[str, Any], Any]:
    """Return what lends a model the masked values, in their own or another precision."""
    return _lending(model, pieces, dtype, lambda piece, array, target: piece.masked(array, target))


def smaller(model: Block, pieces: Sequence[Piece], dtype: str | None) -> Callable[[str, Any], Any]:
    """Return what lends a smaller model its values, in their own or another precision."""

    def cut(piece: Piece, array: Any, target: str | None) -> Any:
        number = next((i for i, each in enumerate(piece.held._data) if each is array), 0)
        return piece.cut(piece.originals[number], target)

    return _lending(model, pieces, dtype, cut)


def _lending(
    model: Block,
    pieces: Sequence[Piece],
    dtype: str | None,
    made: Callable[[Piece, Any, str | None], Any],
) -> Callable[[str, Any], Any]:
    by_name = _by_name(parameters(model), pieces)

    def values(name: str, array: Any) -> Any:
        target = dtype if is_float(array) else None
        piece = by_name.get(name)
        return like(host(array), array, target) if piece is None else made(piece, array, target)

    return values


def _by_name(found: Mapping[str, Parameter], pieces: Sequence[Piece]) -> dict[str, Piece]:
    by_parameter = {id(piece.held): piece for piece in pieces}
    return {
        name: by_parameter[id(parameter)]
        for name, parameter in found.items()
        if id(parameter) in by_parameter
    }


def _recorded(
    bench: Bench,
    mode: str,
    graph: Graph,
    pieces: Sequence[Piece],
    norms: Sequence[Norm],
    calls: Sequence[Watched],
    dtype: str | None,
    diary: Diary,
) -> list[np.ndarray]:
    lend = masked(bench.model, pieces, dtype)
    values = {name: lend(name, each._data[0]) for name, each in parameters(bench.model).items()}
    feeds = graph.feeds(values, bench.given(dtype).arrays)
    for node, variable in graph.variables.items():
        if variable.kind == "constant" and is_float(variable.array):
            feeds[node] = like(host(variable.array), variable.array, dtype)
    instead: dict[int, Instead] = {
        index: _passed_on for index, node in enumerate(graph.nodes) if node.op.lower().endswith("dropout")
    }
    instead |= {norm.node: norm.instead for norm in norms}
    heard = [each for each in calls if {each.call.input, each.call.output} <= set(graph.values.values())]
    entries = _entries(graph)
    wanted = [entries[value] for each in heard for value in (each.call.input, each.call.output)]
    found = graph.run(feeds, instead, train=mode == "train", wanted=[*graph.heads, *wanted])
    for each in heard:
        read, given = found[len(graph.heads) :][2 * heard.index(each) :][:2]
        diary.add(each, given, read)
    return results(found[: len(graph.heads)])


def _entries(graph: Graph) -> dict[int, Entry]:
    entries: dict[int, Entry] = {}
    for entry, value in graph.values.items():
        entries.setdefault(value, entry)
    return entries


def _passed_on(inputs: list[Any], node: Any) -> list[Any]:
    return [inputs[0], inputs[0]]


def asked_types(graph: Graph) -> tuple[str, ...]:
    """Return the types that the model's code asked for on the way."""
    return tuple(dict.fromkeys(node.attrs["dtype"] for node in graph.nodes if "dtype" in node.attrs))
