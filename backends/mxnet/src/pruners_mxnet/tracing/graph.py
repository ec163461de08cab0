"""A recorded forward pass in MXNet's own operators: it can be read, and run again on other numbers."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Literal

import mxnet
from attrs import field, frozen
from mxnet._ctypes.ndarray import _imperative_invoke
from mxnet.base import _LIB, OpHandle, c_str, check_call

from pruners import TraceError
from pruners.structure.program import Attribute as ModelAttribute
from pruners.structure.program import LiteralSize, Program

Entry = tuple[int, int]
"""A node and which of its outputs."""
Instead = Callable[[list[Any], "Node"], list[Any]]
"""``(inputs, node) -> outputs``: runs in place of one node."""

_WRITERS = dict.fromkeys(("BatchNorm", "_contrib_SyncBatchNorm", "_contrib_BatchNormWithReLU"), (1, 2, 3, 4))
"""Operators that write to inputs of theirs: running statistics, and a fixed scale."""
_ONCE = frozenset(["_CustomFunction", "_CachedOp", "_CachedOpThreadSafe", "_NDArray", "_Native"])
"""Operators whose code is not in the graph."""


@frozen(eq=False)
class Node:
    """One operator that ran, or an array that was there before."""

    op: str
    """MXNet's name of the operator, ``"Convolution"``; empty for an array."""
    name: str
    attrs: Mapping[str, str]
    inputs: tuple[Entry, ...]
    module: str = ""
    """Name of the block that ran it, ``"features.0"``; empty for the model itself."""
    line: str = ""
    """``"file.py:12"`` of the user's code, where known."""


@frozen(eq=False)
class Variable:
    """What an array is that was there before: a parameter, an argument, or one nobody registered."""

    kind: Literal["parameter", "input", "constant"]
    name: str = ""
    """First name of a parameter."""
    position: int = -1
    """Which of the arguments' arrays, `Arguments.arrays`."""
    array: Any = None
    """A constant's own array: do not write to it."""


@frozen(eq=False)
class Graph:
    """
    One recorded forward pass.

    Attributes
    ----------
    nodes : tuple of Node
        In an order in which they can run.
    heads : tuple of (node, output)
        What the model returned, as `arrays_in` flattens it. An array that the model returned as it got
        it is the head of a variable.
    variables : {node: Variable}
        What the arrays are that were there before.
    values : {(node, output): value}
        Where the entries are in the Program.
    numpy : bool
        Whether NumPy's shapes were in force (``npx.set_np``).
    """

    nodes: tuple[Node, ...]
    heads: tuple[Entry, ...]
    variables: Mapping[int, Variable]
    values: Mapping[Entry, int] = field(factory=dict)
    numpy: bool = False

    def feeds(self, parameters: Mapping[str, Any], inputs: Sequence[Any]) -> dict[int, Any]:
        """Return what `run` asks for: parameters by name, arguments by position, constants as they are."""
        found = {}
        for node, variable in self.variables.items():
            match variable.kind:
                case "parameter":
                    found[node] = parameters[variable.name]
                case "input":
                    found[node] = inputs[variable.position]
                case "constant":
                    found[node] = variable.array
        return found

    def run(
        self,
        feeds: Mapping[int, Any],
        instead: Mapping[int, Instead] | None = None,
        *,
        train: bool = False,
        wanted: Sequence[Entry] | None = None,
    ) -> list[Any]:
        """
        Return the heads, computed node by node; the arrays in `feeds` are not written to.

        Parameters
        ----------
        feeds : {node: array}
            An array per variable, of any shape that fits; constants that are missing are their own arrays.
        instead : {node: callable}, optional
            ``callable(inputs, node) -> outputs`` runs in place of these nodes.
        train : bool
            Whether operators behave as in training (dropout, batch statistics).
        wanted : sequence of (node, output), optional
            Other entries to return in place of the heads.

        Raises
        ------
        pruners.TraceError
            If the code of an operator is not in the graph.
        """
        heads = self.heads if wanted is None else tuple(wanted)
        left = self._readers(heads)
        held: dict[int, list[Any]] = {}
        with mxnet.autograd.pause(train_mode=train), mxnet.util.np_shape(self.numpy):
            for index, node in enumerate(self.nodes):
                if index not in left:
                    continue
                if not node.op:
                    held[index] = [feeds[index] if index in feeds else self.variables[index].array]
                    continue
                inputs = [held[maker][output] for maker, output in node.inputs]
                function = (instead or {}).get(index)
                held[index] = self._invoke(node, inputs) if function is None else function(inputs, node)
                for maker, _ in node.inputs:
                    left[maker] -= 1
                    if not left[maker]:
                        held.pop(maker, None)
        return [held[maker][output] for maker, output in heads]

    def _readers(self, heads: Sequence[Entry]) -> dict[int, int]:
        """Return how often each node that the heads need is read; the heads are never let go."""
        left: dict[int, int] = {}
        for node, _ in heads:
            left[node] = left.get(node, 0) + 1
        for index in range(len(self.nodes) - 1, -1, -1):
            if index in left:
                for node, _ in self.nodes[index].inputs:
                    left[node] = left.get(node, 0) + 1
        return left

    def _invoke(self, node: Node, inputs: list[Any]) -> list[Any]:
        if node.op in _ONCE:
            raise TraceError(
                f"{node.module or 'the model'} runs a compiled graph or code of its own as one operator "
                f"({node.op.strip('_')}), which cannot be run again from a recording; call MXNet's operators"
            )
        for index in _WRITERS.get(node.op, ()):
            inputs[index] = inputs[index].copy()
        return invoke(node.op, inputs, node.attrs, numpy=self.numpy)


def invoke(op: str, inputs: Sequence[Any], attrs: Mapping[str, Any], *, numpy: bool = False) -> list[Any]:
    """Run one operator on arrays; `attrs` are its settings, as text or as anything whose text is right."""
    outputs = _imperative_invoke(
        _handle(op), list(inputs), list(attrs), list(attrs.values()), None, numpy, True
    )
    return list(outputs)


@cache
def _handle(op: str) -> Any:
    handle = OpHandle()
    check_call(_LIB.NNGetOpHandle(c_str(op), ctypes.byref(handle)))
    return handle.value


@cache
def name_of(handle: int) -> str:
    """Return an operator's own name."""
    name = ctypes.c_char_p()
    check_call(_LIB.MXSymbolGetAtomicSymbolName(ctypes.c_void_p(handle), ctypes.byref(name)))
    return (name.value or b"").decode()


@frozen(eq=False)
class Recording:
    """
    What was recorded of one model.

    Attributes
    ----------
    programs : {mode: Program}
        The recorded passes, "eval" first.
    graphs : {mode: Graph}
        The same passes in MXNet's own operators.
    literals : tuple of LiteralSize
        Sizes that the model's code handed to operators.
    attributes : {Attribute: int}
        The integers in the model that `literals` mention, as they are now.
    notes : tuple of str
        What could not be recorded, and why.
    """

    programs: Mapping[str, Program]
    graphs: Mapping[str, Graph]
    literals: tuple[LiteralSize, ...] = ()
    attributes: Mapping[ModelAttribute, int] = field(factory=dict)
    notes: tuple[str, ...] = ()
