"""A rule made ready for one model: its layers, its parts built, its masks computed."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from types import FunctionType
from typing import Any

import attrs
import numpy as np
from attrs import frozen

from .errors import SkippedLayer
from .protocols import Loss, OpenModel, Pattern, Peers, Scheduler
from .rules import Rule, as_rules, assign
from .scheduling import as_part, bound_schedules, is_due, sparsity_at
from .scoring import NamedPruner, Scorer, as_pruner, blaming
from .selection import Selection, choose_masks
from .sharding.ranks import boxes_of


@frozen(eq=False)
class Plan:
    """One rule at work: the layers it won, and its pruner, pattern and schedules, built."""

    rule: Rule
    named: NamedPruner
    pattern: Pattern | None
    schedules: Mapping[str, Scheduler]
    prepared: Mapping[str, float] = {}
    initial: Mapping[str, float] | None = None
    """The sparsity each layer's schedule was made to start from."""

    @property
    def names(self) -> tuple[str, ...]:
        """The layers this plan prunes, in the model's order."""
        return tuple(self.schedules)

    def due(self, steps: Iterable[int]) -> bool:
        """Return whether any layer's schedule recomputes its mask at any of `steps`."""
        return any(is_due(schedule, step) for step in steps for schedule in _distinct(self.schedules))

    def select(
        self,
        opened: OpenModel,
        step: int,
        *,
        alive: Mapping[str, np.ndarray] | None = None,
        data: Iterable[Any] | None = None,
        loss: Loss | None = None,
        example_inputs: Any = None,
        peers: Peers | None = None,
    ) -> Selection:
        """Score, select and lay out the masks of `step`, together with `peers`; the model is only read."""
        scorer = Scorer(
            opened, self.named, self.names, data, loss, self.prepared, example_inputs, peers=peers
        )
        wanted = {name: sparsity_at(schedule, step) for name, schedule in self.schedules.items()}
        sparsity = self._shares(scorer, wanted)
        rankings = scorer.rankings(alive)
        with blaming(self.named):
            selection = choose_masks(
                rankings,
                sparsity,
                scope=self.rule.scope,
                pattern=self.pattern,
                rounding=self.rule.rounding,
                normaliser=self.rule.normaliser,
                min_keep=self.rule.min_keep if self.named.unit == "weight" else max(1, self.rule.min_keep),
                budget=self.rule.budget,
            )
        return scorer.whole(selection, rankings, alive)

    def _shares(self, scorer: Scorer, wanted: Mapping[str, float]) -> float | Mapping[str, float]:
        """Return one sparsity for all layers where they agree, else one for each."""
        allocated = {value: scorer.allocate(value) for value in set(wanted.values())}
        own = {
            name: shares[name] for name, value in wanted.items() if (shares := allocated[value]) is not None
        }
        if not own:
            return next(iter(wanted.values())) if len(allocated) == 1 else wanted
        if self.rule.scope != "model":
            return own
        sizes = {name: scorer.units(name) for name in own}
        count = sum(int(own[name] * size + 1e-9) for name, size in sizes.items())
        return count / max(1, sum(sizes.values()))

    def describe(self, name: str) -> str:
        """
        Return the plan for one layer in words that change when the plan does.

        Of a part that is neither plain nor an attrs class only the type is told: its options are not known.
        """
        rule = self.rule
        parts = [self.named.pruner, self.pattern, self.schedules[name], rule.scope, rule.rounding]
        return ", ".join(_words(part) for part in (*parts, rule.normaliser, rule.min_keep, rule.budget))

    def note(self, name: str, step: int) -> str:
        """Return what a report says of one layer: pruner, pattern, the sparsity asked for now."""
        pattern = "" if self.pattern is None else f", {type(self.pattern).__name__.lower()}"
        return f"{self.named.name}{pattern}, asked {sparsity_at(self.schedules[name], step):.4g}"


def resume(
    plan: Plan, opened: OpenModel, prepared: Mapping[str, float], initial: Mapping[str, float] | None
) -> Plan:
    """Return `plan` as it was when its session began."""
    schedules = bound_schedules(plan.rule, plan.named, list(plan.names), opened, initial)
    return attrs.evolve(plan, schedules=schedules, prepared=prepared, initial=initial)


def _distinct(schedules: Mapping[str, Scheduler]) -> list[Scheduler]:
    """Return the distinct schedules of a mapping, in order."""
    return list({id(schedule): schedule for schedule in schedules.values()}.values())


def _words(part: object) -> str:
    if isinstance(part, (str, int, tuple)):
        return str(part)
    if part is None or attrs.has(type(part)):
        return repr(part)
    return part.__qualname__ if isinstance(part, FunctionType) else type(part).__qualname__


def make_plans(
    rules: Any,
    opened: OpenModel,
    *,
    initial: Mapping[str, float] | None = None,
    data: Iterable[Any] | None = None,
    loss: Loss | None = None,
    example_inputs: Any = None,
    peers: Peers | None = None,
) -> list[Plan]:
    """
    Build every rule's parts for one model.

    `initial` is the sparsity each layer has today, from which its schedule then starts.
    """
    listed = as_rules(rules)
    plans = []
    for rule, names in zip(listed, assign(listed, opened.layers), strict=True):
        if not names:
            continue
        named = as_pruner(rule.pruner)
        named.check_parts(rule.pattern, rule.budget, rule.scope)
        pattern = as_part("pattern", rule.pattern, ("mask", "check"))
        plan = Plan(
            rule, named, pattern, bound_schedules(rule, named, names, opened, initial), initial=initial
        )
        scorer = Scorer(opened, named, names, data, loss, example_inputs=example_inputs, peers=peers)
        prepared = scorer.prepare()
        plans.append(attrs.evolve(plan, prepared=prepared))
    return plans


def select_due(
    opened: OpenModel,
    plans: Iterable[Plan],
    steps: range,
    masks: Mapping[str, np.ndarray],
    *,
    skipped: Mapping[str, str],
    data: Iterable[Any] | None = None,
    loss: Loss | None = None,
    example_inputs: Any = None,
    peers: Peers | None = None,
) -> Selection | None:
    """
    Return the masks, for the last of `steps`, of every plan that was due at one of them, or None.

    The model is only read. Warns of layers that a pattern leaves dense and are not yet in `skipped`.
    """
    found: dict[str, np.ndarray] = {}
    left: dict[str, str] = {}
    due = [plan for plan in plans if plan.due(steps)]
    lying = boxes_of(opened)  # of a layer in pieces all ranks must take the same way
    for plan in due:
        alive = {name: masks[name] for name in plan.names if name in lying or not masks[name].all()}
        selection = plan.select(
            opened, steps[-1], alive=alive, data=data, loss=loss, example_inputs=example_inputs, peers=peers
        )
        found.update(selection.masks)
        left.update(selection.skipped)
    warn_skipped({name: reason for name, reason in left.items() if name not in skipped})
    return Selection(found, left) if due else None


def describe(plans: Iterable[Plan]) -> dict[str, str]:
    """Return what each layer's plan is, in words that a saved session is checked against."""
    return {name: plan.describe(name) for plan in plans for name in plan.names}


def warn_skipped(skipped: Mapping[str, str]) -> None:
    """Warn of each layer that a pattern left dense."""
    for name, reason in skipped.items():
        warnings.warn(SkippedLayer(f"layer {name!r} stays dense: {reason}"), stacklevel=4)
