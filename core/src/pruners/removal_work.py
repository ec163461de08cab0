"""One removal in progress: analyse, score, choose, cut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Any, Literal

import numpy as np
from attrs import define, field

from .errors import OptionError, ProofError, RemovalError
from .protocols import Adjusts, Form, Loss, Ranked, Traceable, Traced
from .removals import Before, GroupRow, Latency, Removal
from .scoring import NamedPruner, Scorer
from .structure.axes import ignored_axes, output_axes
from .structure.choosing import Amount, Reduction, choose, unit_scores
from .structure.costs import Costs, costs
from .structure.engine import Structure, analyse
from .structure.literals import Reconciler, Restored
from .structure.plan import RemovalPlan, Removed

Heads = Literal["auto", "width", "heads"]


@define(eq=False)
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
    traced: Traced = field(init=False)
    structure: Structure = field(init=False)
    costs: Costs = field(init=False)
    gone: np.ndarray = field(init=False)
    plan: RemovalPlan = field(init=False)
    restored: list[Restored] = field(factory=list)
    seconds: dict[str, float] = field(factory=dict)

    @contextmanager
    def timing(self, stage: str) -> Iterator[None]:
        """Add the seconds of a block to a stage."""
        start = perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + perf_counter() - start

    def remove(self, options: Cutting, heads: Heads) -> Removed:
        """Analyse, choose and cut; with heads left open, take whole heads where their width is refused."""
        try:
            return self._remove_once(options, "width" if heads == "auto" else heads)
        except ProofError:
            if heads != "auto" or not self.structure.parted:
                raise
            return self._remove_once(options, "heads")

    def _remove_once(self, options: Cutting, heads: str) -> Removed:
        with self.timing("analysis"):
            self._analyse(options, heads)
        with self.timing("scores"):
            scorer = self._scorer()
            scores = self._scores(scorer)
        with self.timing("planning"):
            self._choose(scores)
        with self.timing("removal with proof"), self._adjusted(scorer):
            return self.traced.remove(
                self.plan,
                self._coordinates,
                optimizer=options.optimizer,
                copies=options.copies,
                tolerance=options.tolerance,
            )

    def _analyse(self, options: Cutting, heads: str) -> None:
        weights = output_axes(self.opened.layers, self.traced.programs)
        self.structure = analyse(
            self.traced.programs,
            weights=weights,
            ignore=ignored_axes(self.traced.programs, weights, options.ignore),
            literals=self.traced.literals,
            heads=heads,
            rescales=options.form == "graph",
        )
        if options.strict and self.structure.unruled:
            raise RemovalError(
                f"no rule for {self.structure.unruled[0]}; without strict=True its inputs are kept whole"
            )
        if not self.structure.groups:
            raise RemovalError("no channel of this model can leave: " + _first_reasons(self.whole()))
        self.costs = costs(self.structure, self.opened.layers)

    def _scorer(self) -> Scorer:
        names = [each.parameter for group in self.structure.groups for each in group.scored]
        ordered = [name for name in self.opened.layers if name in set(names)]
        return Scorer(
            self.opened,
            self.named,
            ordered,
            self.data,
            self.loss,
            traced=self.traced,
            structure=self.structure,
        )

    def _scores(self, scorer: Scorer) -> dict[str, np.ndarray]:
        scores = scorer.channel_scores()
        if isinstance(self.opened, Ranked):
            if self.distributed or (self.distributed is None and self.opened.ranks() > 1):
                scores = dict(self.opened.averaged(scores))
        elif self.distributed:
            raise OptionError("distributed=True, but this backend knows no ranks")
        return scores

    def _choose(self, scores: Mapping[str, np.ndarray]) -> None:
        by_unit = unit_scores(self.structure, scores, self.reduction)
        chosen = choose(self.structure, by_unit, self.amount, self.costs)
        rank = np.full(self.structure.size, -np.inf)
        for group in self.structure.groups:
            rank[group.units] = by_unit[group.name]
        reconciler = Reconciler(self.structure, self.traced.attributes)
        reconciler.add(self.traced.literals)
        self.gone, attributes, self.restored = reconciler.fit(chosen, rank)
        self.plan = RemovalPlan(self._kept(), attributes)

    def _kept(self) -> dict[str, dict[int, np.ndarray]]:
        kept: dict[str, dict[int, np.ndarray]] = {}
        for name in self.structure.parameters:
            for axis, roots in enumerate(self.structure.parameter(name)):
                if roots is not None and self.gone[roots].any():
                    kept.setdefault(name, {})[axis] = np.flatnonzero(~self.gone[roots])
        return kept

    def _coordinates(self, mode: str, value: int) -> tuple[np.ndarray | None, ...]:
        axes = self.structure.labels(mode, value)
        return tuple(
            None if roots is None or not self.gone[roots].any() else np.flatnonzero(~self.gone[roots])
            for roots in axes
        )

    @contextmanager
    def _adjusted(self, scorer: Scorer) -> Iterator[None]:
        """Let a pruner that repairs what remains change the weights, and undo it if anything fails."""
        if not isinstance(self.named.pruner, Adjusts):
            yield
            return
        kept = {}
        for name in scorer.names:
            (roots,) = (self.structure.parameter(name)[axis] for axis in [self._out_axis(name)])
            length = self.opened.layers[name].shape[0]
            kept[name] = np.ones(length, bool) if roots is None else ~self.gone[roots]
        changes = scorer.adjustments(kept)
        before = {name: self.opened.read(name).copy() for name in changes}
        self.opened.write(changes)
        try:
            yield
        except BaseException:
            self.opened.write(before)
            raise

    def _out_axis(self, name: str) -> int:
        return output_axes(self.opened.layers, self.traced.programs)[name]

    def whole(self) -> dict[str, str]:
        """Return why the output channels of layers all stay."""
        weights = output_axes(self.opened.layers, self.traced.programs)
        moving = {each.parameter for group in self.structure.groups for each in group.scored}
        found: dict[str, str] = {}
        for mode, program in self.traced.programs.items():
            for name, axis in weights.items():
                if name not in moving and name in program.parameters and self.opened.layers[name].default:
                    reasons = self.structure.reasons(mode, program.parameters[name], axis)
                    found.setdefault(name, str(reasons[0]) if reasons else "nothing sums over its channels")
        return found

    def removal(self, removed: Removed, form: Form, latency: tuple[Latency, Latency] | None) -> Removal:
        """Return what was done."""
        nothing = np.zeros(self.structure.size, bool)
        return Removal(
            model=removed.model,
            plan=self.plan,
            proof=removed.proof,
            groups=tuple(self._rows()),
            whole=self.whole(),
            parameters=Before(self.costs.parameters(nothing), self.costs.parameters(self.gone)),
            macs=Before(self.costs.macs(nothing), self.costs.macs(self.gone)),
            form=form,
            pruner=self.named.name,
            unruled=tuple(dict.fromkeys(str(place) for place in self.structure.unruled)),
            latency=latency,
            seconds=dict(self.seconds),
        )

    def _rows(self) -> Iterator[GroupRow]:
        because = {root: each.place for each in self.restored for root in each.roots}
        for group in self.structure.groups:
            places = {because[int(root)] for root in group.units if int(root) in because}
            yield GroupRow(
                layer=group.name,
                layers=tuple(member.parameter for member in group.scored),
                units=len(group),
                kept=int(np.count_nonzero(~self.gone[group.units])),
                restored="; ".join(sorted(f"a size in {place}" for place in places)),
            )


def _first_reasons(whole: Mapping[str, str]) -> str:
    shown = [f"{layer} {reason}" for layer, reason in list(whole.items())[:3]]
    return "; ".join(shown) or "it has no layer with output channels"
