"""Runs a recorded model again on other batches and yields the arrays behind recorded values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from mxnet.gluon import Block

from pruners import Loss, NeedsData, TraceError
from pruners.structure.program import Program

from .._arrays import shared
from ..lending import parameters, undisturbed
from .arguments import Arguments
from .capture import Capture, capture
from .drawing import draw
from .graph import Entry, Graph, Recording

Move = Callable[[Any], Any]
_ADVICE = "its operators depend on the data: pass example inputs that are typical, or batches alike"


def replay(
    block: Block,
    recording: Recording,
    wanted: Mapping[str, int],
    data: Iterable[Any],
    loss: Loss | None = None,
) -> Generator[tuple[str, Any], None, None]:
    """
    Run the model in evaluation mode on each batch and yield recorded values.

    Parameters
    ----------
    block : mxnet.gluon.Block
        The recorded model.
    recording : Recording
        What was recorded of it.
    wanted : {name: value}
        Values of the "eval" program, under names of the caller's.
    data : iterable
        Batches; a mapping holds keyword arguments, of a tuple or list the first entry is the input.
    loss : callable, optional
        ``loss(model, batch)`` runs the model once on a batch in place of a plain call.

    Yields
    ------
    (str, mxnet.np.ndarray)
        A name and its array of this batch, for each name and batch; none is the model's own memory.

    Raises
    ------
    pruners.TraceError
        If the model runs other operators than were recorded, or never runs.
    pruners.NeedsData
        If there is no batch.
    """
    graph, program = recording.graphs["eval"], recording.programs["eval"]
    names = {value: name for name, value in program.parameters.items()}
    entries = {value: entry for entry, value in graph.values.items()}
    found = {name: _source(program, value, {*names, *entries}) for name, value in wanted.items()}
    lost = [name for name, (value, _) in found.items() if value not in entries and value not in names]
    if lost:
        raise TraceError(f"the value {lost[0]!r} is never held by an array while the model runs")
    asked = list(dict.fromkeys(entries[value] for value, _ in found.values() if value in entries))
    count = 0
    for count, batch in enumerate(data, start=1):  # noqa: B007
        taken = _run(block, graph, asked, batch, loss)
        own = parameters(block)
        for name, (value, moves) in found.items():
            array = taken[entries[value]] if value in entries else own[names[value]].list_data()[0].copy()
            for move in moves:
                array = move(array)
            yield name, shared(array, numpy=True, writable=False)
    if not count:
        raise NeedsData("data gave no batch; pass a list or a loader that can be read again")


def _source(program: Program, value: int, held: Collection[int]) -> tuple[int, list[Move]]:
    """
    Return the value that an array holds, and what makes the wanted one of it.

    An operator may flatten or turn its input before it begins: no array of MXNet holds that.
    """
    makers = {output: op for op in program.ops for output in op.outputs}
    moves: list[Move] = []
    while value not in held and value in makers:
        op = makers[value]
        if op.kind == "transpose":
            moves.insert(0, partial(_turned, axes=op.options["axes"]))
        elif op.kind == "reshape" and len(program.shapes[value]) == 2:
            moves.insert(0, _flattened)
        else:
            break
        value = op.inputs[0]
    return value, moves


def _turned(array: Any, axes: tuple[int, ...]) -> Any:
    return array.transpose(axes)


def _flattened(array: Any) -> Any:
    """Keep the examples of a batch, however many they are, and lay the rest of each in a row."""
    return array.reshape((len(array), -1))


def _run(
    block: Block, graph: Graph, asked: Sequence[Entry], batch: Any, loss: Loss | None
) -> dict[Entry, Any]:
    """Return arrays of one batch by where they are in the recorded graph."""
    with undisturbed():
        if loss is None:
            given = batch[0] if isinstance(batch, (tuple, list)) else batch
            arguments = Arguments.of(batch) if isinstance(batch, Mapping) else Arguments((given,))
            seen = capture(block, arguments, "eval", sizes=False)
        else:
            passes: list[Capture] = []
            with _captured(block, passes):
                loss(block, batch)
            if not passes:
                raise TraceError("loss(model, batch) did not run the model")
            seen = passes[-1]
    drawn = draw(seen)
    _compare(graph, drawn.graph)
    arrays = drawn.graph.run(seen.feeds(drawn.graph), wanted=asked)
    return dict(zip(asked, arrays, strict=True))


@contextmanager
def _captured(block: Block, passes: list[Capture]) -> Iterator[None]:
    """Record every forward pass of a block that is called from outside."""
    original = block.forward

    def forward(*args: Any, **named: Any) -> Any:
        del vars(block)["forward"]
        try:
            passes.append(capture(block, Arguments(args, named), "eval", sizes=False, call=original))
        finally:
            vars(block)["forward"] = forward
        return passes[-1].output

    own = vars(block).get("forward")
    vars(block)["forward"] = forward
    try:
        yield
    finally:
        del vars(block)["forward"]
        if own is not None:
            vars(block)["forward"] = own


def _compare(known: Graph, found: Graph) -> None:
    """Refuse a pass that ran other operators than the recorded one."""
    for before, after in zip(known.nodes, found.nodes, strict=False):
        if (before.op, before.inputs) != (after.op, after.inputs):
            module = before.module or "the model"
            ran, expected = (node.op or "another array" for node in (after, before))
            raise TraceError(f"the model ran {ran} where {expected} was recorded in {module!r}; {_ADVICE}")
    if len(known.nodes) != len(found.nodes):
        raise TraceError(
            f"the model ran {len(found.nodes)} operators where {len(known.nodes)} were recorded; {_ADVICE}"
        )
