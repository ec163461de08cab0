"""Compare the masked original with the smaller model, on the example inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite

import numpy as np
from attrs import evolve, field, frozen

from pruners import ProofError
from pruners.structure.comparing import Comparison
from pruners.structure.plan import Coordinates, Proof
from pruners.structure.program import NONE, Program

from ..lending import lent, parameters
from ..tracing.graph import Graph, Recording
from .blaming import culprit
from .comparing import difference
from .norms import Norm, norms
from .pieces import Piece
from .reference import asked_types, run_masked, smaller
from .running import Bench, draws, settle
from .undo import Snapshot
from .values import FLOATS, name_of
from .watching import Diary, Watched, watched

TOLERANCES = {"float64": 1e-9, "float32": 1e-4, "float16": 1e-2, "bfloat16": 1e-2}
"""Largest difference allowed, relative to the largest output, by what the model computes in."""


@frozen(eq=False)
class Evidence:
    """What the masked reference gave."""

    dtype: str | None
    """What it ran in; None: the model's own."""
    results: list[np.ndarray]
    diary: Diary


@frozen(eq=False)
class Trial:
    """One removal to be proved: what is run, and what stays of what was recorded."""

    bench: Bench
    mode: str
    graph: Graph
    pieces: Sequence[Piece]
    calls: Sequence[Watched]
    norms: Sequence[Norm]
    random: bool
    """Whether random numbers are drawn."""
    own: str = field(init=False)
    """The coarsest precision among the model's own parameters."""

    @own.default
    def _own(self) -> str:
        found = {name_of(each._data[0]) for each in parameters(self.bench.model).values()} & set(FLOATS)
        return max(found, key=TOLERANCES.__getitem__, default="float32")

    @classmethod
    def of(
        cls, bench: Bench, recording: Recording, mode: str, coordinates: Coordinates, pieces: Sequence[Piece]
    ) -> Trial:
        """Prepare a trial of a plan on what was recorded in one mode."""
        graph = recording.graphs[mode]
        calls = watched(recording.programs[mode], mode, coordinates, pieces)
        found = norms(graph, mode, coordinates)
        return cls(bench, mode, graph, pieces, calls, found, draws(bench.model, graph, mode))

    @property
    def predictors(self) -> list[Watched]:
        """Calls of blocks that read fewer channels than before and give as many."""
        return [each for each in self.calls if each.cut and each.whole]

    def reference(self) -> Evidence:
        """Run the masked original in double precision, or in its own where it cannot."""
        settle()
        try:
            return self._reference("float64", self.predictors)
        except Exception:  # an operator without double precision, an array nobody registered
            settle()
        try:
            return self._reference(None, self.predictors)
        except Exception as error:
            where = culprit(error, self.bench.model)
            raise ProofError(f"the model cannot be run with what leaves set to zero: {where}") from error

    def prove(
        self, evidence: Evidence, before: Snapshot, after: Snapshot, tolerance: float | None
    ) -> Proof | None:
        """
        Compare the smaller model, in place now, with the reference; raise where they differ.

        None: it draws random numbers in training, so that nothing can be told there.
        """
        comparison = self._compare(evidence, put_back=True)
        limit = self._limit(evidence, comparison, tolerance)
        if comparison.telling and not comparison.senseless and comparison.error <= limit:
            return self._proof(evidence, comparison, limit)
        before.restore()
        random = self.random or self._varies(evidence)
        if random and self.mode == "train":
            return None
        full = self._reference(evidence.dtype, self.calls)
        after.restore()
        inside = self._compare(full, put_back=False)
        if not max(comparison.error, inside.error) <= limit:
            raise _mismatch(comparison, inside, limit, random)
        if comparison.senseless or not inside.telling:
            what = "NaN or infinite numbers" if comparison.senseless else "zeros, or nothing at all"
            raise ProofError(
                f"nothing can be proved on these example inputs: the masked model gives only {what}; "
                "pass others"
            )
        return self._proof(evidence, inside, limit)

    def _limit(self, evidence: Evidence, comparison: Comparison, tolerance: float | None) -> float:
        """Return the largest difference allowed: more where the model itself rounds on the way."""
        if tolerance is not None:
            return tolerance
        ran = TOLERANCES[evidence.dtype or self.own]
        if comparison.error <= ran or evidence.dtype is None:
            return ran
        return TOLERANCES[self._coarsest(evidence.dtype)]

    def _coarsest(self, ran: str) -> str:
        types = [each for each in asked_types(self.graph) if each in TOLERANCES]
        return max((ran, *types), key=TOLERANCES.__getitem__)

    def _reference(self, dtype: str | None, calls: Sequence[Watched]) -> Evidence:
        found, diary = run_masked(self.bench, self.mode, self.graph, self.pieces, self.norms, calls, dtype)
        return Evidence(dtype, found, diary)

    def _compare(self, evidence: Evidence, put_back: bool) -> Comparison:
        comparison = Comparison()
        model = self.bench.model
        values = smaller(model, self.pieces, evidence.dtype)
        with lent(model, values), evidence.diary.read_along(model, comparison, put_back):
            found = self.bench.run(self.mode, evidence.dtype)
        if len(found) != len(evidence.results):
            comparison.missing()
        for reference, other in zip(evidence.results, found, strict=False):
            comparison.add(difference(reference, other))
        return comparison

    def _varies(self, evidence: Evidence) -> bool:
        """Return whether the masked model gives something else each time: it draws where nobody sees it."""
        again = self._reference(evidence.dtype, self.predictors).results
        return not all(
            np.array_equal(one, other, equal_nan=True)
            for one, other in zip(evidence.results, again, strict=True)
        )

    def _proof(self, evidence: Evidence, comparison: Comparison, limit: float) -> Proof:
        ran = evidence.dtype or self.own
        dtype = (
            ran
            if limit == TOLERANCES[ran]
            else self._coarsest(ran)
            if comparison.error > TOLERANCES[ran]
            else ran
        )
        normalised = tuple(dict.fromkeys(norm.module for norm in self.norms))
        return Proof(comparison.error, limit, dtype, comparison.numbers, normalised)


def _mismatch(comparison: Comparison, inside: Comparison, limit: float, random: bool) -> ProofError:
    """Return an error that names the first block to differ."""
    named = inside.first_beyond(limit) or comparison.first_beyond(limit)
    where = f"module {named!r} is the first to differ" if named else "only what is returned differs"
    size = max(comparison.error, inside.error)
    far = (
        f"{size:.3g} of its largest output"
        if isfinite(size)
        else "more than rounding: shapes, NaN or indices"
    )
    drawn = " (it draws random numbers in evaluation, which may be why)" if random else ""
    return ProofError(
        f"the smaller model differs from the masked one by {far} (allowed: {limit:g}); {where}{drawn}; "
        "everything was put back"
    )


def modes_to_prove(programs: Mapping[str, Program], planned: Sequence[str]) -> list[str]:
    """Return the first mode, and others in which parameters to be cut are read that were not before."""
    left = set(planned)
    modes: list[str] = []
    for mode, program in programs.items():
        read = {value for op in program.ops for value in op.inputs}
        met = {name for name in left if program.parameters.get(name, NONE) in read}
        if met or not modes:
            modes.append(mode)
        left -= met
    return modes


def together(proofs: Sequence[Proof]) -> Proof:
    """Return one proof that stands for several."""
    worst = max(proofs, key=lambda proof: (proof.tolerance, proof.error))
    return evolve(
        worst,
        error=max(proof.error for proof in proofs),
        outputs=sum(proof.outputs for proof in proofs),
        normalised=tuple(dict.fromkeys(name for proof in proofs for name in proof.normalised)),
    )
