"""A module's exported graphs, recorded node by node, and the means to make them smaller."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from attrs import frozen
from torch import nn

from pruners import Loss, TraceError
from pruners.protocols import MODES, Stream
from pruners.structure.plan import Coordinates, RemovalPlan, Removed
from pruners.structure.program import Attribute, LiteralSize, Program

from ..surgery.comparing import difference, results
from ..surgery.running import Bench
from ..tracing.recording import Recording, names_of
from ..tracing.replay import replay
from ..tracing.running import Snapshot, plainly, untouched
from .exporting import HINT, Exported, exported
from .model import GraphModel
from .recording import Recorded, record
from .removing import GraphRemoval

_FAITHFUL = 1e-2
"""Largest difference between a module and its graph, relative to the largest output."""
_TINY = float(torch.finfo(torch.float32).tiny)


@frozen(eq=False)
class GraphTraced:
    """A module as graphs that were recorded, ready to be copied smaller."""

    module: nn.Module
    exported: Exported
    recorded: Mapping[str, Recorded]

    @property
    def programs(self) -> Mapping[str, Program]:
        """The recorded passes by mode, "eval" first."""
        return {mode: each.program for mode, each in self.recorded.items()}

    @property
    def literals(self) -> Sequence[LiteralSize]:
        """Nothing: every size in a graph can be rewritten."""
        return ()

    @property
    def attributes(self) -> Mapping[Attribute, int]:
        """Nothing: a graph reads no attribute of the module."""
        return {}

    def values(self, wanted: Mapping[str, int], data: Iterable[Any], loss: Loss | None = None) -> Stream:
        """Yield ``(name, tensor)`` for recorded values of the "eval" graph, batch by batch."""
        _, names = names_of(self.exported.model)
        scripts = {mode: each.script for mode, each in self.recorded.items()}
        recording = Recording(self.programs, scripts, names, notes=self.exported.notes)
        yield from replay(self.exported.model, recording, wanted, data, loss)

    def remove(
        self,
        plan: RemovalPlan,
        coordinates: Coordinates,
        *,
        optimizer: Any = None,
        copies: Sequence[Any] = (),
        tolerance: float | None = None,
    ) -> Removed:
        """Return the smaller model, proved; the module is left as it was."""
        removal = GraphRemoval(self.module, self.exported, self.recorded, plan, coordinates, tolerance)
        return removal.run(optimizer, copies)


def trace_graph(module: nn.Module, example_inputs: Any, modes: Sequence[str] = MODES) -> GraphTraced:
    """
    Export a module and record its graphs on the example inputs; the module is left as it was.

    Parameters
    ----------
    module : torch.nn.Module
        The user's own module, without wrappers, or a `GraphModel`.
    example_inputs : tuple, mapping or one input
        Positional arguments, keyword arguments, or the one argument.
    modes : sequence of {"eval", "train"}
        Modes to export. The graph of a mode that is left out, or that cannot be exported, is the
        other one with dropout and batch statistics turned on or off.

    Raises
    ------
    pruners.TraceError
        If the module cannot be exported (the cause is chained), or its graph computes something else.
    """
    found = exported(module, example_inputs, modes)
    recorded = {mode: record(found.model, mode, found.arguments) for mode in found.modes}
    if "eval" in recorded and not isinstance(module, GraphModel):
        _check_faithful(module, found, recorded["eval"])
    return GraphTraced(module, found, recorded)


def _check_faithful(module: nn.Module, found: Exported, recorded: Recorded) -> None:
    """Raise where a module gives something else than its graph."""
    with untouched(Snapshot(module)), plainly():
        own = results(Bench(module, found.arguments).run("eval"))
    graphs = results(recorded.output)
    gaps = [difference(mine, other) for mine, other in zip(own, graphs, strict=False)]
    wrong = [gap for gap in gaps if not gap.largest <= _FAITHFUL * max(gap.scale, _TINY)]
    if wrong or len(own) != len(graphs):
        raise TraceError(
            f"the exported graph of {type(module).__name__} gives other numbers than the module itself, as "
            f"export writes down values that the code computes from data or draws at random; {HINT}"
        )
