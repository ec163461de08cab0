"""Makes the program of a graph: every operator by its translation, or as one without a rule."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve, frozen
from mxnet.gluon import Block, nn
from mxnet.gluon.nn.conv_layers import _Conv

from pruners.structure.program import LiteralSize, Program

from . import arithmetic, indexing, layers, movement, products, reductions, reshaping  # noqa: F401  (they register)
from .capture import Capture
from .drawing import Drawn
from .graph import Entry, Graph, Node
from .steps import TRANSLATIONS, Step, UnusualError
from .tape import Tape
from .views import views, write_view


@frozen(eq=False)
class Translated:
    """A pass as a program, and the sizes that the model's code handed to operators."""

    program: Program
    graph: Graph
    literals: tuple[LiteralSize, ...]


def translate(seen: Capture, drawn: Drawn, mode: str, blocks: Mapping[str, Block]) -> Translated:
    """Return the program of a graph."""
    graph, tape = drawn.graph, Tape(mode)
    tape.entries = {id(array): entry for array in seen.watch.shapes if (entry := drawn.entry(array))}
    for index, variable in graph.variables.items():
        shape = drawn.shapes[index, 0]
        if variable.kind == "parameter":
            tape.values[index, 0] = tape.program.parameter(variable.name, shape)
        else:
            tape.values[index, 0] = tape.program.source(shape)
    found = views(graph, drawn.shapes, drawn.settings)
    for index, node in enumerate(graph.nodes):
        if node.op and index not in found.inner:
            _write(tape, drawn, index, blocks, found.starts.get(index))
    _finish(tape, seen, drawn)
    return Translated(tape.program, evolve(graph, values=dict(tape.values)), tuple(tape.literals))


def _write(
    tape: Tape, drawn: Drawn, index: int, blocks: Mapping[str, Block], view: tuple[Entry, int] | None
) -> None:
    node = drawn.graph.nodes[index]
    shapes: list[tuple[int, ...]] = []
    while (index, len(shapes)) in drawn.shapes:
        shapes.append(drawn.shapes[index, len(shapes)])
    block = blocks.get(node.module)
    step = Step(
        tape=tape,
        node=node,
        inputs=tuple(tape.values[entry] for entry in (node.inputs if view is None else view[:1])),
        shapes=tuple(shapes),
        given=drawn.settings.get(index, {}),
        owned=isinstance(block, (_Conv, nn.Dense, nn.Embedding)),
        numpy=drawn.graph.numpy,
    )
    mark = tape.mark()
    try:
        if view is not None:
            write_view(step, view[1])
        elif node.op in TRANSLATIONS:
            TRANSLATIONS[node.op](step)
        else:
            raise UnusualError(node.op)
        _check(step)
    except UnusualError:
        tape.back(mark)
        step.outputs.clear()
        step.write("opaque", function=node.op)
    tape.values.update(((index, number), value) for number, value in enumerate(step.outputs))


def _check(step: Step) -> None:
    written = tuple(step.tape.shape(value) for value in step.outputs)
    if written != step.shapes:
        raise UnusualError(f"{step.node.op}: wrote {written}, ran {step.shapes}")


def _finish(tape: Tape, seen: Capture, drawn: Drawn) -> None:
    """Write down what was read by the code, what was returned, and the calls of blocks with parameters."""
    reader = Node("asnumpy", "", {}, ())
    for entry in dict.fromkeys(drawn.entry(array) for array in seen.watch.read):
        if entry in tape.values:
            tape.op("whole", [tape.values[entry]], [], reader, reason="is read by the model's own code")
    for expression, value, line in seen.watch.fixed:
        if value >= 0:
            outside = tape.program.source((value,))
            tape.fixed(expression, outside, Node("computation", "", {}, (), line=line))
    for length, expression, line in seen.watch.lengths:
        tape.equal(length, expression, Node("comparison", "", {}, (), line=line))
    for head in drawn.graph.heads:
        tape.program.result(tape.values[head])
    owners = {name.rpartition(".")[0] for name in tape.program.parameters}
    for call in seen.scopes.calls:
        if call.module in owners and call.read is not None and call.gave:
            read, gave = drawn.entry(call.read), drawn.entry(call.gave[0])
            if read in tape.values and gave in tape.values:
                tape.program.call(call.module, tape.values[read], tape.values[gave])
