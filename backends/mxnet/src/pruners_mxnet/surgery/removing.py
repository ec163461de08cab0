"""One removal from beginning to end: all of it, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import define, field
from mxnet.gluon import Block, Trainer

from pruners import ProofError, PrunersError
from pruners.structure.plan import Coordinates, Proof, RemovalPlan, Removed
from pruners.timing import Stages

from .._keeper import trainers as listed
from ..lending import lent, parameters
from ..tracing.graph import Recording
from . import attributes, norms, trainers
from .blaming import culprit
from .copies import copies_of, pieces_of
from .cutting import cut
from .pieces import Piece, pieces
from .proving import Evidence, Trial, modes_to_prove, together
from .reference import smaller
from .running import Bench, settle
from .undo import Snapshot


def remove(
    block: Block,
    example_inputs: Any,
    recording: Recording,
    plan: RemovalPlan,
    coordinates: Coordinates,
    *,
    optimizer: Any = None,
    copies: Sequence[Any] = (),
    tolerance: float | None = None,
) -> Removed:
    """
    Cut a block in place and prove that it computes what the masked one computes.

    Parameters
    ----------
    block : mxnet.gluon.Block
        The user's own block, hybridized or not.
    example_inputs : tuple, mapping or one input
        What it was recorded with.
    recording : Recording
        What was recorded; the first mode is proved, all are run.
    plan : RemovalPlan
        What is kept of each parameter.
    coordinates : callable
        What is kept of each recorded value.
    optimizer : mxnet.gluon.Trainer, optional
        One or several; their state is cut as the parameters are.
    copies : sequence of blocks or dicts
        Moving averages, cut alike.
    tolerance : float, optional
        Largest difference allowed, relative to the largest output.

    Raises
    ------
    ProofError
        If the smaller block fails or differs; names the block in it. Everything is as it was.
    RemovalError
        If the plan, a trainer or a copy does not fit the block. Everything is as it was.
    """
    attempt = _Attempt(
        Bench.of(block, example_inputs, recording.graphs), recording, plan, coordinates, tolerance
    )
    try:
        proof, cleared = attempt.run(listed(optimizer), copies)
        trainers.tell(cleared)
    except BaseException:
        attempt.undo()
        raise
    return Removed(block, proof, attempt.stages.seconds.get("proof", 0.0))


@define(eq=False)
class _Attempt:
    """Everything one removal does to a model and what hangs on it."""

    bench: Bench
    recording: Recording
    plan: RemovalPlan
    coordinates: Coordinates
    tolerance: float | None
    before: Snapshot | None = None
    stages: Stages = field(factory=Stages)

    def run(self, used: Sequence[Trainer], given: Sequence[Any]) -> tuple[Proof, list[str]]:
        """Do it all; return the proof, and parameters whose state in a trainer had to go."""
        model = self.bench.model
        planned = pieces(self.plan, model)
        attributes.check(model, self.plan.attributes)
        trainers.check(used, model)
        copies = copies_of(model, given)
        copied = [pieces_of(model, planned, copy) for copy in copies]
        self.before = Snapshot([model, *copies], used)
        proof = self._cut_and_prove(self.before, planned)
        for copy, its_own in zip(copies, copied, strict=True):
            cut(copy, its_own, self.plan)
        return proof, trainers.cut(used, planned)

    def undo(self) -> None:
        """Put everything back."""
        if self.before is not None:
            try:
                settle()
            finally:
                self.before.restore()

    def _cut_and_prove(self, before: Snapshot, planned: Sequence[Piece]) -> Proof:
        model = self.bench.model
        trials = [
            Trial.of(self.bench, self.recording, mode, self.coordinates, planned)
            for mode in modes_to_prove(self.recording.programs, [piece.name for piece in planned])
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
        self._run_as_it_is(before, after, trials[0].pieces)
        shapes = {name: each._data[0].shape for name, each in parameters(self.bench.model).items()}
        norms.check(self.recording, self.coordinates, shapes)
        return together([proof for proof in proofs if proof is not None])

    def _run_as_it_is(self, before: Snapshot, after: Snapshot, planned: Sequence[Piece]) -> None:
        """Run every mode in the model's own precision, hybridized where it is; not what never ran so."""
        for mode in self.recording.programs:
            try:
                self._run(mode, planned)
            except Exception:
                settle()
                before.restore()
                ran = self._runs(mode)
                after.restore()
                if ran:
                    raise
            after.restore()

    def _run(self, mode: str, planned: Sequence[Piece]) -> None:
        model = self.bench.model
        with lent(model, smaller(model, planned, None)):
            self.bench.run(mode, hybrid=True)

    def _runs(self, mode: str) -> bool:
        """Return whether the model runs as it is now: half precision does not on a CPU."""
        try:
            self._run(mode, ())
        except Exception:
            settle()
            return False
        return True
