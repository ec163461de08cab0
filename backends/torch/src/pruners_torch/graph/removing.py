"""A smaller program from a recorded one: a copy is cut and proved, the user's module stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from attrs import define
from torch import Tensor, nn

from pruners import RemovalError
from pruners.structure import history
from pruners.structure.plan import Coordinates, RemovalPlan, Removed

from .._layers import optimizers as listed
from ..surgery import optimizers
from ..surgery.copies import copies_of, pieces_of
from ..surgery.cutting import cut
from ..surgery.tensors import pieces
from ..surgery.undo import Snapshot
from ..tracing.running import plainly
from . import modes
from .exporting import Exported
from .lengths import Lengths
from .model import GraphModel, Held, held_by, origins_of, routines_of
from .planning import planned_pieces
from .proving import Proving
from .recording import Recorded
from .rewriting import rewritten
from .routines import Routine


@define(eq=False)
class GraphRemoval:
    """One removal from an exported module."""

    module: nn.Module
    """The user's own."""
    exported: Exported
    recorded: Mapping[str, Recorded]
    plan: RemovalPlan
    coordinates: Coordinates
    tolerance: float | None

    def run(self, optimizer: Any, copies: Sequence[Any]) -> Removed:
        """Return the smaller model, proved; then let optimizers and copies follow."""
        used = listed(optimizer)
        optimizers.check(used, self.module)
        owners = self._mappings(copies)
        full = self.exported.model
        held = [_cloned(each) for each in held_by(full)]
        smaller = GraphModel(held, self._routines(), origins_of(full))
        proving = Proving(
            model=smaller,
            recorded=self.recorded,
            routines=self._rewritten(),
            arguments=self.exported.arguments,
            coordinates=self.coordinates,
            planned=planned_pieces(self.plan, smaller),
            plan=self.plan,
            tolerance=self.tolerance,
        )
        with plainly():
            proof = proving.run()
        smaller.train(self.module.training)
        undo = _undoing(owners, used)
        try:
            for owner in owners:
                cut(owner, pieces_of(self.module, pieces(self._own(), self.module), owner), self.plan)
            optimizers.tell(self._rebind(used, smaller))
        except BaseException:
            undo()
            raise
        history.replace(smaller, history.kept_of(self.module))
        return Removed(smaller, proof, proving.stages.seconds["proof"], undo)

    def _routines(self) -> dict[str, Routine]:
        return routines_of(self.exported.model)

    def _rewritten(self) -> dict[str, Routine]:
        """Return every mode's forward pass for the smaller tensors."""
        found = {}
        for mode, recorded in self.recorded.items():
            routine = self._routines()[mode]
            lengths = Lengths(recorded.made, mode, self.coordinates)
            found[mode] = routine.with_graph(rewritten(routine.graph, lengths))
        return modes.completed(found)

    def _mappings(self, copies: Sequence[Any]) -> list[Any]:
        found = copies_of(self.module, copies)
        for owner in found:
            if isinstance(owner, nn.Module):
                raise RemovalError(
                    'a copy that is a module would need its code rewritten, too; with form="graph" pass its '
                    "tensors, dict(copy.named_parameters()), or copy the smaller model afterwards"
                )
        return found

    def _own(self) -> RemovalPlan:
        """Return the part of the plan that is about the user's own tensors."""
        names = dict([*self.module.named_parameters(), *self.module.named_buffers()])
        kept = {name: axes for name, axes in self.plan.kept.items() if name in names}
        return RemovalPlan(kept, {}, self.plan.factors)

    def _rebind(self, used: Sequence[torch.optim.Optimizer], smaller: GraphModel) -> list[str]:
        """Let optimizers go on with the smaller model's parameters; return what had to be cleared."""
        if not used:
            return []
        cleared = optimizers.cut(used, pieces(self._own(), self.module))
        mine = dict(smaller.named_parameters(remove_duplicate=False))
        heirs = {id(old): mine[name] for name, old in self.module.named_parameters()}
        for optimizer in used:
            for group in optimizer.param_groups:
                group["params"][:] = [heirs.get(id(old), old) for old in group["params"]]
            state = [(heirs.get(id(old), old), kept) for old, kept in optimizer.state.items()]
            optimizer.state.clear()
            optimizer.state.update(state)
        return cleared


def _undoing(owners: Sequence[Any], used: Sequence[torch.optim.Optimizer]) -> Callable[[], None]:
    """Return what gives copies and optimizers back what they hold now."""
    before = Snapshot(owners, used)
    groups = [(group, list(group["params"])) for optimizer in used for group in optimizer.param_groups]

    def undo() -> None:
        for group, parameters in groups:
            group["params"][:] = parameters
        before.restore()

    return undo


def _cloned(held: Held) -> Held:
    tensor: Tensor = held.tensor.detach().clone(memory_format=torch.preserve_format)
    if isinstance(held.tensor, nn.Parameter):
        tensor = nn.Parameter(tensor, requires_grad=held.tensor.requires_grad)
    return Held(held.names, tensor, held.persistent)
