"""Records one forward pass of a model per mode."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import mxnet
from mxnet.gluon import Block, SymbolBlock

from pruners import OptionError, TraceError
from pruners.protocols import MODES
from pruners.structure.program import Arithmetic, Attribute, LiteralSize

from .._layers import blocks, named
from ..lending import eager, lent
from .arguments import Arguments
from .capture import capture, kept_generators
from .drawing import draw
from .graph import Graph, Recording
from .translating import Translated, translate


def run(block: Block, example_inputs: Any) -> None:
    """
    Run a block once in evaluation mode, to the end of its work, on copies of its parameters.

    Raises
    ------
    pruners.TraceError
        If it does not run, or a parameter has no shape or no value yet.
    """
    arguments = _arguments(block, example_inputs)
    _check_parameters(block)
    try:
        with kept_generators(), mxnet.autograd.pause(train_mode=False):
            with lent(block, lambda _, array: array.copy()), eager(block):
                arguments.fresh().call(block)
            mxnet.nd.waitall()
    except Exception as error:
        raise TraceError(_failure(block, "eval", error)) from error


def trace(block: Block, example_inputs: Any, *, modes: Sequence[str] = MODES) -> Recording:
    """
    Record one forward pass of a block per mode.

    Parameters
    ----------
    block : mxnet.gluon.Block
        The model, hybridized or not; its parameters, running statistics, gradients and hybridization
        are left exactly as they were. It runs on copies of its parameters, block by block.
    example_inputs : array, tuple, list or mapping
        A tuple holds the positional arguments, a mapping the keyword arguments; anything else is
        the one argument.
    modes : sequence of {"eval", "train"}
        A training pass that fails is left out, with a note; one that tells nothing new, without.

    Returns
    -------
    Recording
        Programs and graphs.

    Raises
    ------
    pruners.TraceError
        If the first pass fails (the cause is chained), a parameter has no shape yet, or part of the
        model is a SymbolBlock.
    pruners.OptionError
        If a mode is unknown, or none is given.

    Notes
    -----
    MXNet cannot tell the state of its random generators, so it cannot be put back. Dropout runs
    without drawing a number, and the generators stay as they are. Where any other operator draws
    (``mx.nd.random``, randomized leaky ReLU), they are seeded afterwards with a number drawn just
    before: the same script gives the same numbers again, but others than without the recording.

    Sizes: while the user's code runs, lengths of arrays and integers that its blocks hold remember where
    they come from, through sums, products and quotients. A size that an operator is handed, and that is
    neither, is one written in the code, and keeps the channels it counts. So does a bound of a slice
    whose origin is not known: it may have been counted from the end. The sizes that Gluon's dense,
    convolution and embedding layers hand over follow their weights, and are none of these.
    """
    unknown = [mode for mode in modes if mode not in MODES]
    if unknown or not modes:
        got = repr(unknown[0]) if unknown else "none"
        raise OptionError(f"modes must be among {', '.join(MODES)}, got {got}")
    arguments = _arguments(block, example_inputs)
    _check_parameters(block)
    _check_blocks(block)
    notes: list[str] = []
    found: dict[str, Translated] = {}
    for mode in sorted(set(modes)):
        try:
            found[mode] = _best(block, arguments, mode)
        except Exception as error:
            if not found:
                raise TraceError(_failure(block, mode, error)) from error
            notes.append(f"the training pass was left out: {_shown(error)}")
    if len(found) == 2 and _alike(found["eval"].graph, found["train"].graph):
        del found["train"]
    literals = tuple(literal for each in found.values() for literal in each.literals)
    return Recording(
        programs={mode: each.program for mode, each in found.items()},
        graphs={mode: each.graph for mode, each in found.items()},
        literals=literals,
        attributes=_attributes(block, literals),
        notes=tuple(notes),
    )


def _best(block: Block, arguments: Arguments, mode: str) -> Translated:
    """Record one pass; where it fails, in training, a batch of two."""
    try:
        return record(block, arguments, mode)
    except Exception:
        two = arguments.doubled() if mode == "train" else None
        if two is None:
            raise
        return record(block, two, mode)


def record(block: Block, arguments: Arguments, mode: str) -> Translated:
    """Run a block once and return its program and graph."""
    seen = capture(block, arguments, mode)
    return translate(seen, draw(seen), mode, blocks(block))


def _alike(one: Graph, other: Graph) -> bool:
    """Say whether two passes ran the same operators with the same settings on the same arrays."""
    nodes = [
        [(node.op, node.attrs, node.inputs, node.module) for node in graph.nodes] for graph in (one, other)
    ]
    given = [
        [(index, each.kind, each.name, each.position) for index, each in graph.variables.items()]
        for graph in (one, other)
    ]
    return nodes[0] == nodes[1] and given[0] == given[1] and one.heads == other.heads


def _arguments(block: Block, example_inputs: Any) -> Arguments:
    arguments = Arguments.of(example_inputs)
    if not arguments.arrays:
        raise TraceError(
            f"example_inputs must hold arrays of MXNet for {type(block).__name__}, got "
            f"{type(example_inputs).__name__}; make one with mxnet.nd.array or mxnet.np.array"
        )
    return arguments


def _check_parameters(block: Block) -> None:
    for name, (_, _, parameter) in named(block).items():
        if parameter._data is None and parameter._deferred_init:
            raise TraceError(f"{name!r} has no shape yet; run the model once on a batch, then trace it")
        if parameter._data is None:
            raise TraceError(
                f"{name!r} is not initialised: call model.initialize() and run it once on a batch"
            )


def _check_blocks(block: Block) -> None:
    for name, each in blocks(block).items():
        if isinstance(each, SymbolBlock):
            raise TraceError(
                f"{repr(name) if name else 'the model'} is a SymbolBlock: the sizes of its operators are "
                "part of its symbol and cannot be changed. Build the network from Gluon layers and load the "
                "parameters into it; masks work on a SymbolBlock as it is"
            )


def _attributes(block: Block, literals: Iterable[LiteralSize]) -> Mapping[Attribute, int]:
    """Return the attributes that literals mention, with their values."""
    found: dict[Attribute, int] = {}
    held = blocks(block)
    for each in (each for literal in literals for each in _leaves(literal.expression)):
        if isinstance(each, Attribute):
            value = vars(held[each.module])[each.name]
            found[each] = value if each.index is None else value[each.index]
    return found


def _leaves(expression: Any) -> Iterator[Any]:
    if isinstance(expression, Arithmetic):
        yield from _leaves(expression.left)
        yield from _leaves(expression.right)
    else:
        yield expression


def _failure(block: Block, mode: str, error: Exception) -> str:
    name = {"eval": "evaluation", "train": "training"}[mode]
    return f"{type(block).__name__} does not run on the example inputs in {name} mode: {_shown(error)}"


def _shown(error: Exception) -> str:
    """Return an error in one line: MXNet's own message without where in its sources it was raised."""
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].startswith("Traceback"):
        lines = [line for line in lines[1:] if not line.startswith(" ")] or lines
        lines = [lines[0].partition("Error: ")[2] or lines[0]]
    return f"{type(error).__name__}: {lines[0].strip()}" if lines else type(error).__name__
