"""One removal in progress: analyse, score, choose, cut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
from attrs import define, field, frozen

from .errors import ProofError, RemovalError
from .interrupts import checkpoint
from .protocols import Adjusts, Form, Loss, Traceable, Traced
from .removal_plans import Candidate, follow, propose, scored_layers, whole_layers
from .scoring import NamedPruner, Scorer
from .sharding.averaging import averaged
from .sharding.ranks import peers_at
from .structure import history
from .structure.axes import ignored_axes, output_axes
from .structure.choosing import Amount, Reduction
from .structure.engine import Structure, analyse
from .structure.plan import RemovalPlan, Removed
from .timing import Stages

Heads = Literal["auto", "width", "heads"]


@frozen(eq=False)
class Cutting:
    """What is passed on to the backend, and how strictly."""

    optimizer: Any
    copies: Sequence[Any]
    tolerance: float | None
    strict: bool
    ignore: tuple[str, ...]
    form: Form


@define(eq=False)
class Work:
    """One removal in progress."""

    opened: Traceable
    named: NamedPruner
    amount: Amount
    reduction: Reduction
    data: Iterable[Any] | None
    loss: Loss | None
    distributed: bool | None
    cutting: Cutting
    plan: RemovalPlan | None = None
    """Made elsewhere, and carried out here: nothing is scored or chosen."""
    traced: Traced = field(init=False)
    stages: Stages = field(factory=Stages)
    _known: dict[tuple[str, ...], dict[str, np.ndarray]] = field(factory=dict)

    def remove(self, heads: Heads) -> tuple[Candidate, Removed]:
        """Choose and cut; with heads left open, take what leaves the smaller model and can be proved."""
        refused: ProofError | None = None
        for candidate in self._candidates(heads):
            try:
                return candidate, self._cut(candidate)
            except ProofError as error:
                refused = refused or error
        raise refused or RemovalError("there is nothing to try")

    def _candidates(self, heads: Heads) -> Iterator[Candidate]:
        """Yield what to try; of two that both lose something to sizes in code, the smaller one first."""
        if self.plan is not None:
            yield self._following(self.plan, heads)
            return
        try:
            first = self._candidate("width" if heads == "auto" else heads)
        except RemovalError:
            if heads != "auto":
                raise
            first = self._candidate("heads")
        if heads != "auto" or not first.structure.parted or self.cutting.form == "graph":
            yield first
        elif first.restored:
            yield from sorted((first, self._candidate("heads")), key=lambda each: each.parameters.after)
        else:
            yield first
            yield self._candidate("heads")

    def _candidate(self, heads: str) -> Candidate:
        checkpoint()
        with self.stages.timing("analysis"):
            structure = self._analyse(heads)
        with self.stages.timing("scores"):
            scores = self._scores(structure, heads)
        with self.stages.timing("planning"):
            return propose(self.opened.layers, self.traced, structure, scores, self.amount, self.reduction)

    def _following(self, plan: RemovalPlan, heads: Heads) -> Candidate:
        """Return what a plan takes out; heads left open are found to be what they were there."""
        with self.stages.timing("analysis"):
            structure = self._analyse("width" if heads == "auto" else heads)
            try:
                return follow(self.opened.layers, self.traced, structure, plan)
            except RemovalError:
                if heads != "auto" or not structure.parted:
                    raise
                return follow(self.opened.layers, self.traced, self._analyse("heads"), plan)

    def _analyse(self, heads: str) -> Structure:
        weights = output_axes(self.opened.layers, self.traced.programs)
        structure = analyse(
            self.traced.programs,
            weights=weights,
            ignore=ignored_axes(self.traced.programs, weights, self.cutting.ignore),
            literals=self.traced.literals,
            heads=heads,
            rescales=self.cutting.form == "graph",
        )
        if self.cutting.strict and structure.unruled:
            raise RemovalError(
                f"no rule for {structure.unruled[0]}; without strict=True its inputs are kept whole"
            )
        if not structure.groups:
            reasons = whole_layers(self.opened.layers, self.traced, structure)
            shown = "; ".join(f"{layer} {reason}" for layer, reason in list(reasons.items())[:3])
            raise RemovalError(f"no channel can leave: {shown or 'the model has no layer with channels'}")
        return structure

    def _scorer(self, structure: Structure) -> Scorer:
        names = scored_layers(structure, self.opened.layers)
        return Scorer(
            self.opened, self.named, names, self.data, self.loss, traced=self.traced, structure=structure
        )

    def _scores(self, structure: Structure, heads: str) -> dict[str, np.ndarray]:
        scorer = self._scorer(structure)
        key = (*scorer.names, heads if "consumers" in self.named.needs else "")
        if key not in self._known:
            self._known[key] = self._averaged(scorer.channel_scores())
        return self._known[key]

    def _averaged(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return float64 arrays that are the same on every rank: scores, repaired weights."""
        peers = peers_at(self.opened, self.distributed)
        return arrays if peers is None else averaged(peers, arrays)

    def _cut(self, candidate: Candidate) -> Removed:
        checkpoint()
        with self.stages.timing("removal"), self._adjusted(candidate):
            removed = self.traced.remove(
                candidate.plan,
                candidate.coordinates,
                optimizer=self.cutting.optimizer,
                copies=self.cutting.copies,
                tolerance=self.cutting.tolerance,
            )
        self.stages.move(removed.proving, "removal", "proof")
        history.record(removed.model, candidate.plan)
        return removed

    @contextmanager
    def _adjusted(self, candidate: Candidate) -> Iterator[None]:
        """Let a pruner that repairs what remains change the weights; undo it if anything fails."""
        if self.plan is not None or not isinstance(self.named.pruner, Adjusts):
            yield
            return
        repaired = self._scorer(candidate.structure).adjustments(candidate.kept_channels())
        exact = self._averaged({name: weight.astype(np.float64) for name, weight in repaired.items()})
        changes = {name: weight.astype(repaired[name].dtype) for name, weight in exact.items()}
        before = {name: self.opened.read(name).copy() for name in changes}
        self.opened.write(changes)
        try:
            yield
        except BaseException:
            self.opened.write(before)
            raise
