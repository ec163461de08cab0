"""A module's exported graphs, recorded node by node, and the means to make them smaller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen
from torch import nn

from pruners.protocols import MODES
from pruners.structure.plan import Coordinates, RemovalPlan, Removed
from pruners.structure.program import Attribute, LiteralSize, Program

from .exporting import Exported, exported
from .recording import Recorded, record
from .removing import GraphRemoval


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
    """Export a module and record its graphs on the example inputs; the module is left as it was."""
    found = exported(module, example_inputs, modes)
    recorded = {mode: record(found.model, mode, found.arguments) for mode in found.modes}
    return GraphTraced(module, found, recorded)
