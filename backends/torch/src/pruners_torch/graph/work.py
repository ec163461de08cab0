"""A graph being rewritten: sizes as integers or as nodes that compute them, and who rewrites which node."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import define, field
from torch import fx
from torch._ops import OpOverload

from pruners import PrunersError, RemovalError

from .lengths import Lengths
from .nodes import base_name, bound, give, shown

Handler = Callable[["Rewriting", fx.Node, dict[str, Any]], "dict[str, Any] | None"]
"""Returns the arguments of a node that change, by name; None: it has rewritten the node itself."""

HANDLERS: dict[str, Handler] = {}
"""Operation name without its overload and a trailing underscore -> what rewrites its sizes."""

_SIZE = re.compile(r"SymInt(?:\[\d*\])?\?? (\w+)")
"""An argument that is a size or several, in the text of a schema."""
HARMLESS = """adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d
    adaptive_max_pool2d adaptive_max_pool3d upsample_bilinear2d upsample_bicubic2d upsample_linear1d
    upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_trilinear3d _upsample_bilinear2d_aa
    _upsample_bicubic2d_aa _upsample_nearest_exact2d im2col col2im reflection_pad1d reflection_pad2d
    reflection_pad3d replication_pad1d replication_pad2d replication_pad3d embedding diagonal roi_align
    roi_pool"""
"""Operations whose sizes are about axes that no rule lets shrink."""


def handles(*names: str) -> Callable[[Handler], Handler]:
    """Enter a function in the table under these names."""

    def enter(function: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(names, function))
        return function

    return enter


@define(eq=False)
class Rewriting:
    """One graph being rewritten, node by node in order."""

    lengths: Lengths
    graph: fx.Graph
    twins: Mapping[fx.Node, fx.Node]
    numbers: dict[fx.Node, Any] = field(factory=dict)
    """Nodes that give numbers -> what they give in the smaller graph, on the recorded inputs."""
    _scaled: dict[tuple[fx.Node, int], fx.Node] = field(factory=dict)

    def take(self, node: fx.Node) -> None:
        """Rewrite one node."""
        if node.op != "call_function":
            return
        try:
            self._take(node)
        except PrunersError:
            raise
        except Exception as error:
            raise self.refuse(
                node, f"is called in an unknown way ({type(error).__name__}: {error})"
            ) from error

    def _take(self, node: fx.Node) -> None:
        made = self.lengths.made.get(node)
        if isinstance(made, (int, float)):
            self.numbers[node] = self._computed(node, made)
            return
        handler = HANDLERS.get(base_name(node))
        if handler is None:
            self._check(node)
            return
        changed = handler(self, node, bound(node))
        if changed:
            give(self.twins[node], changed)

    def sizes(self, given: Sequence[Any], old: Sequence[int], new: Sequence[int]) -> list[Any]:
        """Return lengths for lengths, where -1 goes on standing for what is left."""
        return [self.size(each, before, after) for each, before, after in zip(given, old, new, strict=True)]

    def size(self, given: Any, old: int, new: int) -> Any:
        """Return one length in place of another, as an integer or as a node that computes it."""
        if isinstance(given, fx.Node):
            return self.number(given, new)
        return given if given == -1 or old == new else new

    def number(self, given: Any, wanted: int) -> Any:
        """Return a node, or an integer, that gives `wanted` on the recorded inputs."""
        if not isinstance(given, fx.Node):
            return wanted
        now = self.numbers.get(given)
        twin = self.twins[given]
        if now == wanted:
            return twin
        if not isinstance(now, int) or now <= 0:
            raise RemovalError(
                f"{shown(given)} gives {now}, where {wanted} is needed; it cannot be rewritten"
            )
        key = (given, wanted)
        if key not in self._scaled:
            self._scaled[key] = self._times(
                twin, wanted // math.gcd(wanted, now), now // math.gcd(wanted, now)
            )
        return self._scaled[key]

    def twin(self, node: Any) -> Any:
        """Return an argument as it is in the copy."""
        return fx.map_arg(node, self.twins.__getitem__)

    def refuse(self, node: fx.Node, why: str) -> RemovalError:
        """Return the error that a node cannot be rewritten."""
        return RemovalError(
            f"{shown(node)} {why}, so the exported graph cannot be made smaller as planned; keep the "
            "layers around it whole with ignore="
        )

    def _times(self, node: fx.Node, factor: int, divisor: int) -> fx.Node:
        with self.graph.inserting_after(node):
            product = self.graph.call_function(operator.mul, (node, factor)) if factor > 1 else node
        if divisor == 1:
            return product
        with self.graph.inserting_after(product):
            return self.graph.call_function(operator.floordiv, (product, divisor))

    def _computed(self, node: fx.Node, made: Any) -> Any:
        """Return what a node that computes with sizes gives in the smaller graph."""
        name = base_name(node)
        if isinstance(node.target, OpOverload):
            x = node.args[0] if node.args else None
            if name == "sym_size" and self.lengths.gives_tensor(x):
                return self.lengths.new(x)[node.args[1]]  # type: ignore[arg-type, index]
            if name == "sym_numel" and self.lengths.gives_tensor(x):
                return math.prod(self.lengths.new(x))  # type: ignore[arg-type]
            return made
        if any(self.lengths.gives_tensor(each) for each in node.all_input_nodes):
            return made
        args, kwargs = fx.map_arg((node.args, node.kwargs), lambda each: self._number_of(each))
        return node.target(*args, **kwargs)  # type: ignore[operator]

    def _number_of(self, node: fx.Node) -> Any:
        return self.numbers.get(node, self.lengths.made.get(node))

    def _check(self, node: fx.Node) -> None:
        """Raise where an unknown operation has the length of an axis that changes as an argument."""
        if not isinstance(node.target, OpOverload) or base_name(node) in HARMLESS.split():
            return
        given = bound(node)
        sizes = {size for name in _SIZE.findall(str(node.target._schema)) for size in _integers(given[name])}
        lengths = self.lengths.cut(node)
        for each in node.all_input_nodes:
            lengths += self.lengths.cut(each)
        met = sizes & set(lengths)
        if met:
            raise self.refuse(node, f"has the length {met.pop()} as an argument, which is to change")


def _integers(given: Any) -> list[int]:
    if isinstance(given, (list, tuple)):
        return [size for each in given for size in _integers(each)]
    return [given] if isinstance(given, int) and not isinstance(given, bool) else []
