"""Records a graph's forward pass node by node: which recorded value each node stands for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from attrs import define, field, frozen
from torch import Tensor, fx, nn

from pruners.structure.program import Place, Program

from ..tracing.recorder import Recorder
from ..tracing.recording import Script, names_of
from ..tracing.running import Arguments, Snapshot, plainly, untouched
from ..tracing.tape import Tape
from .model import GraphModel, routines_of
from .nodes import place_of
from .routines import Routine


@frozen
class Made:
    """What a node gave when it was recorded."""

    value: int
    """Its number in the program."""
    shape: tuple[int, ...]


@frozen(eq=False)
class Recorded:
    """One mode's recorded pass over a graph."""

    program: Program
    script: Script
    made: Mapping[fx.Node, Any]
    """Per node a `Made` for each tensor, numbers as they are, nested as the node gives them."""
    output: Any


def record(model: GraphModel, mode: str, arguments: Arguments) -> Recorded:
    """Run one of a model's graphs under a recorder; the model is left as it was."""
    routine = routines_of(model)[mode]
    named, _ = names_of(model)
    snapshot = Snapshot(model)
    with untouched(snapshot), plainly():
        fresh = arguments.fresh()
        recorder = Recorder(model, named, snapshot.guard)
        scopes = recorder.scopes = _Scopes(model, recorder.tape)  # type: ignore[assignment]
        made: dict[fx.Node, Any] = {}

        def note(node: fx.Node, result: Any) -> None:
            made[node] = fx.node.map_aggregate(_plain(result), lambda each: _made(each, recorder.tape))

        with recorder:
            flat = routine.flat(fresh.positional, fresh.named)
            results = step_through(model, routine, flat, note, before=scopes.enter)
            output = routine.build(results)
        recorder.finish(output)
    script = Script(tuple(recorder.sequence), tuple(recorder.modules), dict(recorder.tape.origins))
    return Recorded(recorder.program, script, made, output)


def step_through(
    model: nn.Module,
    routine: Routine,
    flat: list[Any],
    after: Callable[[fx.Node, Any], None],
    before: Callable[[fx.Node], None] | None = None,
) -> Any:
    """Run a graph node by node; `after` sees what each node gives, `before` which one comes next."""
    inputs = iter(flat)
    known: dict[fx.Node, Any] = {}
    last = _last_uses(routine.graph)
    for node in routine.graph.nodes:
        if before is not None:
            before(node)
        args, kwargs = fx.map_arg(node.args, known.__getitem__), fx.map_arg(node.kwargs, known.__getitem__)
        if node.op == "output":
            return args[0]
        if node.op == "placeholder":
            known[node] = next(inputs)
        elif node.op == "get_attr":
            known[node] = _fetched(model, str(node.target))
        else:
            known[node] = node.target(*args, **kwargs)
        after(node, known[node])
        for spent in last.get(node, ()):
            del known[spent]
    raise ValueError("a graph has no output")


def _last_uses(graph: fx.Graph) -> dict[fx.Node, list[fx.Node]]:
    """Return which values nothing needs once a node has run."""
    found: dict[fx.Node, list[fx.Node]] = {}
    seen: set[fx.Node] = set()
    for node in reversed(list(graph.nodes)):
        for each in (*node.all_input_nodes, node):
            if each not in seen:
                seen.add(each)
                found.setdefault(node, []).append(each)
    return found


def _fetched(model: nn.Module, name: str) -> Any:
    value: Any = model
    for part in name.split("."):
        value = getattr(value, part)
    return value


def _plain(result: Any) -> Any:
    """Return named tuples and lists as tuples."""
    return tuple(result) if isinstance(result, (tuple, list)) else result


def _made(result: Any, tape: Tape) -> Any:
    return Made(tape.number(result), tuple(result.shape)) if isinstance(result, Tensor) else result


@define(eq=False)
class _Scopes:
    """Which module's node is running: what a recorder asks, answered from the graph."""

    model: nn.Module
    tape: Tape
    place: Place = field(factory=Place)

    @property
    def name(self) -> str:
        """The module that the running node comes from."""
        return self.place.module

    def enter(self, node: fx.Node) -> None:
        """Note which node comes next."""
        self.place = place_of(node)

    def watching(self) -> AbstractContextManager[None]:
        """Follow nothing: nodes are entered one by one."""
        return nullcontext()
