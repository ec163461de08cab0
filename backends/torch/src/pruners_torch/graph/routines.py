"""One mode's forward pass as a graph of operations, ready to run on a model's tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from attrs import define, evolve, field, frozen
from torch import Tensor, fx, nn

from pruners import OptionError

from .regions import closing_regions, enter_autocast
from .structures import Structure


@frozen
class Leaf:
    """What one input must be: a tensor of some lengths, or a fixed value."""

    name: str
    lengths: tuple[int | str, ...] | None = None
    """A number, or the name of a length that may vary; None: no tensor."""
    value: Any = None
    """The one value that an input which is no tensor can have."""


@define(eq=False, slots=False)
class Routine:
    """
    A graph over the tensors of a model.

    Placeholders are the leaves of the inputs, ``get_attr`` nodes name the model's tensors, every
    other node calls an operation.
    """

    graph: fx.Graph
    inputs: Structure
    """Of ``(positional, named)`` arguments."""
    outputs: Structure
    leaves: tuple[Leaf, ...]
    names: tuple[str, ...] = ()
    """Names of the positional arguments, so that they can be given by name."""
    ranges: Mapping[str, tuple[int, int | None]] = field(factory=dict)
    """Smallest and largest value of each length that may vary; None: no largest."""

    def __deepcopy__(self, memo: Any) -> Routine:
        return self

    def __reduce__(self) -> Any:
        from .storing import packed_routine, restored

        return restored, (packed_routine(self),)

    def with_graph(self, graph: fx.Graph) -> Routine:
        """Return the same with another graph."""
        return evolve(self, graph=graph)

    @cached_property
    def has_regions(self) -> bool:
        """Whether parts of the graph run under other rules for automatic casts."""
        return any(node.target is enter_autocast for node in self.graph.nodes)

    @cached_property
    def function(self) -> Callable[..., Any]:
        """The graph as a function of a model and the leaves of its inputs."""
        code = self.graph.python_code("self")
        namespace = dict(code.globals)
        exec(compile(code.src, "<graph of a smaller model>", "exec"), namespace)
        made: Callable[..., Any] = namespace["forward"]
        return made

    def run(self, model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Return what the graph gives."""
        flat = self.flat(args, kwargs)
        if not self.has_regions:
            return self.build(self.function(model, *flat))
        with closing_regions():
            return self.build(self.function(model, *flat))

    def build(self, results: Sequence[Any]) -> Any:
        """Return the results put together as the model returns them."""
        return self.outputs.build(iter(results))

    def flat(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Any]:
        """Return the leaves of the inputs, checked."""
        positional, named = self._ordered(args, kwargs)
        first, second = self.inputs.children
        flat = [*first.flatten(positional, "the arguments"), *second.flatten(named, "the named arguments")]
        known: dict[str, int] = {}
        for leaf, value in zip(self.leaves, flat, strict=True):
            self._check(leaf, value, known)
        return flat

    def _ordered(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, Any]:
        """Return arguments given by name or by position as they were when the model was exported."""
        if len(args) == len(self.inputs.children[0].children) and not self.inputs.children[1].keys:
            return (args, kwargs)
        given = {**dict(zip(self.names, args, strict=False)), **kwargs}
        if len(args) > len(self.names) or len(given) != len(args) + len(kwargs):
            return (args, kwargs)
        count, named = len(self.inputs.children[0].children), self.inputs.children[1].keys
        first = [name for name in self.names[:count] if name in given]
        positional = tuple(given.pop(name) for name in first)
        return (positional, {key: given.pop(key) for key in named if key in given} | given)

    def _check(self, leaf: Leaf, value: Any, known: dict[str, int]) -> None:
        if leaf.lengths is None:
            if type(value) is not type(leaf.value) or value != leaf.value:
                raise OptionError(
                    f"input {leaf.name!r} is {value!r}; the model was exported with {leaf.value!r}, which is "
                    "part of its graph now: export it again for another value"
                )
            return
        if not isinstance(value, Tensor):
            raise OptionError(f"input {leaf.name!r} is a {type(value).__name__}; it must be a tensor")
        fits = len(value.shape) == len(leaf.lengths) and all(
            length == wanted if isinstance(wanted, int) else self._varies(wanted, length, known)
            for length, wanted in zip(value.shape, leaf.lengths, strict=True)
        )
        if not fits:
            shown = ", ".join(map(str, leaf.lengths))
            raise OptionError(
                f"input {leaf.name!r} has shape {tuple(value.shape)}; "
                f"this program takes ({shown}){self._told()}"
            )

    def _varies(self, name: str, length: int, known: dict[str, int]) -> bool:
        low, high = self.ranges.get(name, (0, None))
        return low <= length and (high is None or length <= high) and known.setdefault(name, length) == length

    def _told(self) -> str:
        bounds = [
            f"{name} at least {low}" + (f" and at most {high}" if high is not None else "")
            for name, (low, high) in self.ranges.items()
        ]
        return f", with {', '.join(bounds)}" if bounds else ""
