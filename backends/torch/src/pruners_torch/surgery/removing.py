"""One removal from beginning to end: all of it, or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from attrs import define, field
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from pruners import ProofError, PrunersError
from pruners.structure.plan import Coordinates, Proof, RemovalPlan, Removed
from pruners.structure.program import Program
from pruners.timing import Stages

from .._layers import optimizers as listed
from ..tracing.running import Arguments, plainly
from . import attributes, distributed, optimizers
from .blaming import culprit
from .copies import copies_of, pieces_of
from .cutting import cut
from .proving import Evidence, Trial, modes_to_prove, together
from .running import Bench, fast_paths, lent, sheltered
from .tensors import Piece, pieces
from .undo import Snapshot


def remove(
    model: nn.Module,
    example_inputs: Any,
    programs: Mapping[str, Program],
    plan: RemovalPlan,
    coordinates: Coordinates,
    *,
    optimizer: Any = None,
    copies: Sequence[Any] = (),
    tolerance: float | None = None,
) -> Removed:
    """
    Cut a module in place and prove that it computes what the masked one computes.

    Parameters
    ----------
    model : torch.nn.Module
        The user's own module, without wrappers.
    example_inputs : tuple, mapping or one input
        What it was recorded with.
    programs : {mode: Program}
        What was recorded; the first mode is proved, all are run.
    plan : RemovalPlan
        What is kept of each tensor.
    coordinates : callable
        What is kept of each recorded value.
    optimizer : torch.optim.Optimizer, optional
        One or several; their state is cut as the parameters are.
    copies : sequence of modules or mappings
        Moving averages, cut alike.
    tolerance : float, optional
        Largest difference allowed, relative to the largest output.

    Raises
    ------
    ProofError
        If the smaller model fails or differs; names the module. Everything is as it was.
    RemovalError
        If the plan, an optimizer or a copy does not fit the model. Everything is as it was.
    """
    wrappers = distributed.wrappers(model)
    attempt = _Attempt(Bench(model, Arguments.of(example_inputs)), programs, plan, coordinates, tolerance)
    agreed = False
    try:
        proof, cleared = attempt.run(listed(optimizer), copies, wrappers)
        agreed = True
        distributed.agree(wrappers, plan, failed=False)
        for wrapper in wrappers:
            distributed.rebuild(wrapper)
        optimizers.tell(cleared)
    except BaseException as error:
        attempt.undo()
        for wrapper in wrappers:
            distributed.rebuild(wrapper)
        if isinstance(error, Exception) and not agreed:
            distributed.agree(wrappers, plan, failed=True)
        raise
    return Removed(model, proof, attempt.stages.seconds.get("proof", 0.0))


@define(eq=False)
class _Attempt:
    """Everything one removal does to a model and what hangs on it."""

    bench: Bench
    programs: Mapping[str, Program]
    plan: RemovalPlan
    coordinates: Coordinates
    tolerance: float | None
    before: Snapshot | None = None
    stages: Stages = field(factory=Stages)

    def run(
        self,
        used: Sequence[torch.optim.Optimizer],
        given: Sequence[Any],
        wrappers: Sequence[DistributedDataParallel],
    ) -> tuple[Proof, list[str]]:
        """Do it all; return the proof, and parameters whose optimizer state had to go."""
        model = self.bench.model
        planned = pieces(self.plan, model)
        attributes.check(model, self.plan.attributes)
        optimizers.check(used, model)
        distributed.check(model, wrappers)
        copies = copies_of(model, given)
        copied = [pieces_of(model, planned, copy) for copy in copies]
        self.before = Snapshot([model, *copies], used)
        with plainly():
            proof = self._cut_and_prove(self.before, planned)
            for copy, its_own in zip(copies, copied, strict=True):
                cut(copy, its_own, self.plan)
            self.before.restore_flags()
        return proof, optimizers.cut(used, planned)

    def undo(self) -> None:
        """Put everything back."""
        if self.before is not None:
            self.before.restore()

    def _cut_and_prove(self, before: Snapshot, planned: Sequence[Piece]) -> Proof:
        model = self.bench.model
        trials = [
            Trial.of(self.bench, self.programs[mode], mode, self.coordinates, planned)
            for mode in modes_to_prove(self.programs, [piece.name for piece in planned])
        ]
        evidence = []
        with self.stages.timing("proof"):
            for trial in trials:
                evidence.append(trial.reference())
                before.restore()
        cut(model, planned, self.plan)
        after = Snapshot([model])
        try:
            with self.stages.timing("proof"):
                return self._prove(trials, evidence, before, after)
        except PrunersError:
            raise
        except Exception as error:
            raise ProofError(
                f"the smaller model fails in {culprit(error, model)}; everything was put back"
            ) from error

    def _prove(
        self, trials: Sequence[Trial], evidence: Sequence[Evidence], before: Snapshot, after: Snapshot
    ) -> Proof:
        proofs = []
        for trial, found in zip(trials, evidence, strict=True):
            proofs.append(trial.prove(found, before, after, self.tolerance))
            after.restore()
        self._run_in_its_own_precision(after)
        return together([proof for proof in proofs if proof is not None])

    def _run_in_its_own_precision(self, after: Snapshot) -> None:
        for mode in self.programs:
            with lent(self.bench.model, sheltered), fast_paths():
                self.bench.run(mode)
            after.restore()
