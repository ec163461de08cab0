"""Proof that a smaller program computes what the masked original computes, in every mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from attrs import define, field
from torch import Tensor

from pruners import ProofError, PrunersError
from pruners.structure.plan import Coordinates, Proof, RemovalPlan
from pruners.timing import Stages

from ..surgery.cutting import cut
from ..surgery.proving import Evidence, Trial
from ..surgery.running import Bench, lent, sheltered
from ..surgery.tensors import Piece
from ..surgery.undo import Snapshot
from ..tracing.running import Arguments
from .blaming import first_different, first_wrong
from .lengths import Lengths
from .model import GraphModel, routines_of, set_routines
from .modes import certain
from .recording import Recorded
from .routines import Routine

_TRAINING_TOLERANCE = 1e-6
"""Batch statistics of few numbers make rounding errors grow."""


@define(eq=False)
class Proving:
    """A full-size copy of a program, about to be cut in place and compared with what it was."""

    model: GraphModel
    recorded: Mapping[str, Recorded]
    routines: Mapping[str, Routine]
    """The rewritten forward passes."""
    arguments: Arguments
    coordinates: Coordinates
    planned: Sequence[Piece]
    plan: RemovalPlan
    tolerance: float | None
    stages: Stages = field(factory=Stages)

    def run(self) -> Proof:
        """Cut the model and prove it in each recorded mode; the first one's proof is returned."""
        full = dict(routines_of(self.model))
        whole = Snapshot([self.model])
        cut(self.model, self.planned, self.plan)
        set_routines(self.model, self.routines)
        small = Snapshot([self.model])
        proofs = []
        for mode in self.recorded:
            compared = self._compared_routines(mode, full[mode])
            if compared is None:
                continue
            whole.restore()
            set_routines(self.model, {**full, mode: compared[0]})
            before = Snapshot([self.model])
            small.restore()
            set_routines(self.model, {**self.routines, mode: compared[1]})
            after = Snapshot([self.model])
            with self.stages.timing("proof"):
                proofs.append(self._proved(mode, compared, before, after))
            small.restore()
        with self.stages.timing("proof"):
            for mode in self.routines:
                self._runs(mode, small)
        return proofs[0]

    def _compared_routines(self, mode: str, full: Routine) -> tuple[Routine, Routine] | None:
        """Return a mode's graphs without chance; None where another mode must do for the proof."""
        found = certain(full), certain(self.routines[mode])
        if found[0] is not None and found[1] is not None:
            return found[0], found[1]
        return (full, self.routines[mode]) if mode == next(iter(self.recorded)) else None

    def _lengths(self, mode: str) -> Lengths:
        return Lengths(self.recorded[mode].made, mode, self.coordinates)

    def _proved(
        self, mode: str, compared: tuple[Routine, Routine], before: Snapshot, after: Snapshot
    ) -> Proof:
        """Compare at a batch size that was not recorded where it may vary, else at the recorded one."""
        longer = lengthened(compared[0], self.arguments)
        if longer is not None:
            try:
                return self._compared(mode, longer, compared, before, after)
            except PrunersError:
                pass
        return self._compared(mode, self.arguments, compared, before, after)

    def _compared(
        self,
        mode: str,
        arguments: Arguments,
        compared: tuple[Routine, Routine],
        before: Snapshot,
        after: Snapshot,
    ) -> Proof:
        bench = Bench(self.model, arguments)
        trial = Trial.of(bench, self.recorded[mode].program, mode, self.coordinates, self.planned)
        before.restore()
        evidence = trial.reference()
        after.restore()
        try:
            proof = self._judged(trial, evidence, before, after)
        except ProofError as error:
            before.restore()
            where = first_different(trial, compared, self._lengths(mode), before, after)
            raise ProofError(f"{error}; in the graph, {where} is the first to differ") from error
        except Exception as error:
            after.restore()
            where = first_wrong(self.model, compared[1], self.arguments, self._lengths(mode))
            raise ProofError(f"the smaller graph fails at {where}: {error}") from error
        if proof is None:
            raise ProofError("nothing can be proved: the graph still draws random numbers")
        return proof

    def _judged(self, trial: Trial, evidence: Evidence, before: Snapshot, after: Snapshot) -> Proof | None:
        """Let a trial decide, more leniently where batch statistics are taken and another mode is strict."""
        try:
            return trial.prove(evidence, before, after, self.tolerance)
        except ProofError:
            if trial.mode != "train" or len(self.recorded) == 1:
                raise
            after.restore()
            tolerance = max(_TRAINING_TOLERANCE, self.tolerance or 0.0)
            return trial.prove(evidence, before, after, tolerance)

    def _runs(self, mode: str, small: Snapshot) -> None:
        """Run the smaller model once in a mode."""
        try:
            with lent(self.model, sheltered):
                Bench(self.model, self.arguments).run(mode)
        except Exception as error:
            where = f"mode {mode!r}"
            if mode in self.recorded:
                where = first_wrong(self.model, self.routines[mode], self.arguments, self._lengths(mode))
            raise ProofError(f"the smaller graph fails at {where}: {error}") from error
        finally:
            small.restore()


def lengthened(routine: Routine, arguments: Arguments) -> Arguments | None:
    """Return a batch with one more example, the first once again; None where the batch cannot vary so."""
    flat = routine.flat(arguments.positional, arguments.named)
    grown = []
    for leaf, value in zip(routine.leaves, flat, strict=True):
        lengths = leaf.lengths or ()
        free = [length for length in lengths if isinstance(length, str)]
        if not isinstance(value, Tensor) or not free:
            grown.append(value)
            continue
        high = routine.ranges.get(free[0], (0, 0))[1]
        if free != [lengths[0]] or free[0] not in routine.ranges or (high is not None and len(value) >= high):
            return None
        grown.append(torch.cat((value, value[:1])))
    if all(one is other for one, other in zip(grown, flat, strict=True)):
        return None
    positional, named = routine.inputs.build(iter(grown))
    return Arguments(tuple(positional), named)
