"""From the user's module to graphs: torch.export in each mode, its result taken apart."""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr
from io import StringIO
from typing import Any

import torch
from attrs import define, field, frozen
from torch import Tensor, fx, nn
from torch.export import ExportedProgram, export
from torch.export.graph_signature import InputKind, OutputKind
from torch.utils._pytree import tree_leaves

from pruners import OptionError, TraceError
from pruners.protocols import MODES

from .._layers import origin_of
from ..tracing.recording import names_of
from ..tracing.running import Arguments, Snapshot, set_mode, untouched
from . import inlining, modes
from .model import GraphModel, Held, held_by, origins_of, routines_of
from .nodes import PLACE, place_of
from .routines import Leaf, Routine
from .structures import Structure

_LACKING = tuple(int(part) for part in torch.__version__.split(".")[:2]) < (2, 7)
HINT = 'remove with form="module" instead, which needs no export'


@frozen(eq=False)
class Exported:
    """A module as graphs over its own tensors, and what it was exported with."""

    model: GraphModel
    """Holds the very tensors of the user's module."""
    arguments: Arguments
    modes: tuple[str, ...]
    """Modes that were exported, "eval" first; the graph of another one was derived."""
    notes: tuple[str, ...] = ()


def exported(module: nn.Module, example_inputs: Any, modes_: Sequence[str] = MODES) -> Exported:
    """
    Export a module in each mode; the module is left as it was.

    Where the first axis of the inputs can vary it does; a batch of one is exported as a batch of two.

    Raises
    ------
    pruners.TraceError
        If the module cannot be exported; the cause is chained.
    pruners.OptionError
        If a mode is unknown.
    """
    unknown = [mode for mode in modes_ if mode not in MODES]
    if unknown or not modes_:
        raise OptionError(
            f"modes must be among {', '.join(MODES)}, got {unknown[0] if unknown else 'none'!r}"
        )
    if _LACKING:
        raise TraceError(f'form="graph" needs PyTorch 2.7 or later; this is {torch.__version__}; {HINT}')
    arguments = Arguments.of(example_inputs)
    if isinstance(module, GraphModel):
        return _again(module, arguments, modes_)
    taker = _Taker(module)
    origins = {name: origin_of(each) for name, each in module.named_modules(remove_duplicate=False)}
    with untouched(Snapshot(module)), quietly():
        found, used, notes = _routines(module, arguments, modes_, taker)
    model = GraphModel(taker.held(), modes.completed(found), origins)
    return Exported(model, used, tuple(found), notes)


def _again(model: GraphModel, arguments: Arguments, modes_: Sequence[str]) -> Exported:
    """Take a model that is a graph already."""
    routines = routines_of(model)
    free = all(routine.ranges for routine in routines.values())
    wide = (arguments.doubled() if free else None) or arguments
    return Exported(GraphModel(held_by(model), routines, origins_of(model)), wide, tuple(sorted(modes_)))


def _routines(
    module: nn.Module, arguments: Arguments, modes_: Sequence[str], taker: _Taker
) -> tuple[dict[str, Routine], Arguments, tuple[str, ...]]:
    """Return the forward pass of each mode, what they were exported with, and what could not be."""
    used = arguments.doubled() or arguments
    found: dict[str, Routine] = {}
    notes: list[str] = []
    for mode in sorted(modes_):
        try:
            program, used = program_of(module, arguments, used, mode)
            found[mode] = taker.routine(program, mode)
        except Exception as error:
            if mode == "eval" or len(modes_) == 1:
                raise TraceError(_failure(module, mode, error)) from error
            notes.append(f"the training graph is derived from the one for evaluation: {_shown(error)}")
    return found, used, tuple(notes)


def program_of(
    module: nn.Module, arguments: Arguments, wide: Arguments, mode: str
) -> tuple[ExportedProgram, Arguments]:
    """Return a module's exported program, its batch free where it can be, and what it was exported with."""
    set_mode(module, mode)
    try:
        return _exported(module, wide.fresh(), free=True), wide
    except Exception:
        set_mode(module, mode)
        return _exported(module, arguments.fresh(), free=False), arguments


def _exported(module: nn.Module, given: Arguments, free: bool) -> ExportedProgram:
    shapes: Any = torch.export.ShapesCollection()  # type: ignore[no-untyped-call]
    leaves = tree_leaves((given.positional, dict(given.named)))
    for leaf in leaves if free else ():
        if isinstance(leaf, Tensor) and leaf.ndim and leaf.shape[0] > 1:
            shapes[leaf] = {0: torch.export.Dim.AUTO}
    free = free and bool(len(shapes))
    return export(
        module, given.positional, dict(given.named), dynamic_shapes=shapes if free else None, strict=False
    )


@contextmanager
def quietly() -> Iterator[None]:
    """Run a block without warnings, without what export prints, without the fused kernels of attention."""
    fast, disabled = torch.backends.mha.get_fastpath_enabled(), logging.root.manager.disable
    torch.backends.mha.set_fastpath_enabled(False)
    logging.disable(max(disabled, logging.ERROR))
    try:
        with ExitStack() as stack:
            stack.enter_context(redirect_stderr(StringIO()))
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.enable_grad())
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        logging.disable(disabled)


def _failure(module: nn.Module, mode: str, error: Exception) -> str:
    modes_ = {"eval": "evaluation", "train": "training"}
    return f"{type(module).__name__} cannot be exported in {modes_[mode]} mode: {_shown(error)}; {HINT}"


def _shown(error: Exception) -> str:
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@define(eq=False)
class _Taker:
    """Takes exported programs of one module apart: graphs over names, tensors by name."""

    module: nn.Module
    names: dict[str, str] = field(factory=dict)
    """Every name -> the first one of the same tensor."""
    constants: dict[str, Tensor] = field(factory=dict)
    _all: Mapping[str, tuple[str, ...]] = field(factory=dict)
    _named: Mapping[str, Tensor] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self._named, self._all = names_of(self.module)
        self.names = {name: first for first, names in self._all.items() for name in names}

    def held(self) -> list[Held]:
        """Return the module's tensors and those written in its code."""
        transient = {
            f"{prefix}.{name}" if prefix else name
            for prefix, module in self.module.named_modules()
            for name in module._non_persistent_buffers_set
        }
        own = [Held(names, self._named[first], first not in transient) for first, names in self._all.items()]
        return own + [Held((name,), tensor, persistent=False) for name, tensor in self.constants.items()]

    def routine(self, program: ExportedProgram, mode: str) -> Routine:
        """Return an exported program as a graph over the module's tensors."""
        given, returned = program.call_spec.in_spec, program.call_spec.out_spec
        graph, leaves = self._graph(program, mode)
        names = _spoken(leaves)
        return Routine(
            graph=graph,
            inputs=Structure.of(given),
            outputs=Structure.of(returned),
            leaves=tuple(_renamed(leaf, names) for leaf in leaves),
            names=_positional(self.module),
            ranges=_ranges(program, names),
        )

    def _graph(self, program: ExportedProgram, mode: str) -> tuple[fx.Graph, list[Leaf]]:
        graph = fx.Graph()
        known: dict[fx.Node, Any] = {}
        leaves: list[Leaf] = []
        kinds = {spec.arg.name: spec for spec in program.graph_signature.input_specs}
        for node in program.graph.nodes:
            if node.op == "placeholder":
                spec = kinds[node.name]
                if spec.kind is InputKind.USER_INPUT:
                    known[node] = graph.create_node("placeholder", node.name, name=node.name)
                    leaves.append(_leaf(node, spec.arg))
                else:
                    known[node] = graph.create_node("get_attr", self._tensor(program, spec, mode))
            elif node.op != "output":
                inlining.take(node, program.graph_module, graph, known)
        self._finish(program, graph, known)
        for node in graph.nodes:
            node.meta = {PLACE: place_of(node)}
        inlining.tidy(graph)
        return graph, leaves

    def _tensor(self, program: ExportedProgram, spec: Any, mode: str) -> str:
        """Return the name under which the model holds a parameter, a buffer or a tensor of the code."""
        if spec.target in self.names:
            return self.names[spec.target]
        if spec.kind is not InputKind.CONSTANT_TENSOR:
            raise TraceError(f"the exported program reads {spec.target!r}, a {spec.kind.name.lower()}")
        tensor = program.constants[spec.target]
        for name, known in self.constants.items():
            if known is tensor or (known.dtype == tensor.dtype and torch.equal(known, tensor)):
                return name
        name = f"constant_{len(self.constants)}_of_{mode}"
        self.constants[name] = tensor.detach().clone()
        return name

    def _finish(self, program: ExportedProgram, graph: fx.Graph, known: Mapping[fx.Node, Any]) -> None:
        """Write the output, and write back what the program changes of the module's tensors."""
        (output,) = (node for node in program.graph.nodes if node.op == "output")
        results = []
        specs = program.graph_signature.output_specs
        for spec, value in zip(specs, output.args[0], strict=True):
            mine = fx.map_arg(value, known.__getitem__)
            if spec.kind is OutputKind.USER_OUTPUT:
                results.append(mine)
            elif spec.kind is OutputKind.BUFFER_MUTATION:
                target = graph.create_node("get_attr", self.names[spec.target])
                graph.call_function(torch.ops.aten.copy_.default, (target, mine))
            else:
                raise TraceError(
                    f"the exported program changes its {spec.kind.name.lower().replace('_', ' ')}"
                )
        graph.output(tuple(results))


def _leaf(node: fx.Node, argument: Any) -> Leaf:
    value = node.meta.get("val")
    if isinstance(value, Tensor):
        return Leaf(node.name, tuple(_length(length) for length in value.shape))
    return Leaf(node.name, None, getattr(argument, "value", value))


def _length(length: Any) -> int | str:
    """Return a length as a number, or as the expression that it is while it may vary."""
    if isinstance(length, int):
        return length
    expression = length.node.expr
    return int(expression) if expression.is_number else str(expression)


def _spoken(leaves: Sequence[Leaf]) -> dict[str, str]:
    """Return a word for each length that varies by itself."""
    met = [length for leaf in leaves for length in leaf.lengths or () if isinstance(length, str)]
    symbols = [length for length in dict.fromkeys(met) if length.isidentifier()]
    return {symbol: f"batch_{number}" if number else "batch" for number, symbol in enumerate(symbols)}


def _renamed(leaf: Leaf, names: Mapping[str, str]) -> Leaf:
    if leaf.lengths is None:
        return leaf
    return Leaf(leaf.name, tuple(names.get(str(each), each) for each in leaf.lengths))


def _ranges(program: ExportedProgram, names: Mapping[str, str]) -> dict[str, tuple[int, int | None]]:
    """Return the values that each varying length may have; export itself never sees a length of one."""
    found: dict[str, tuple[int, int | None]] = {}
    for symbol, bounds in program.range_constraints.items():
        if str(symbol) in names:
            high = int(bounds.upper) if bounds.upper.is_Integer else None
            low = int(bounds.lower)
            found[names[str(symbol)]] = (1 if low <= 2 else low, high)
    return found


def _positional(module: nn.Module) -> tuple[str, ...]:
    """Return the names of the arguments that a module takes by position or by name."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD,)
    try:
        parameters = inspect.signature(module.forward).parameters.values()
    except (TypeError, ValueError):
        return ()
    return tuple(parameter.name for parameter in parameters if parameter.kind in kinds)
