"""A rule made ready for one model: its layers, its parts built, its masks computed."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
import numpy as np
from attrs import frozen

from . import registry
from .errors import OptionError, RuleError, SkippedLayer
from .protocols import Allocates, Bounded, Loss, OpenModel, Pattern, Scheduler
from .rules import Rule, as_rules, assign
from .scoring import NamedPruner, Scorer, as_pruner, blaming
from .selection import Selection, choose_masks


@frozen
class Once:
    """Everything at step 0: what a rule without a schedule does."""

    final_sparsity: float

    def sparsity(self, step: int) -> float:
        """Return the final sparsity, whatever the step."""
        return self.final_sparsity

    def due(self, step: int) -> bool:
        """Return whether `step` is 0."""
        return step == 0


@frozen(eq=False)
class Plan:
    """One rule at work: the layers it won, and its pruner, pattern and schedules, built."""

    rule: Rule
    named: NamedPruner
    pattern: Pattern | None
    schedules: Mapping[str, Scheduler]
    prepared: Mapping[str, float] = {}  # noqa: RUF012
    initial: Mapping[str, float] | None = None
    """The sparsity each layer's schedule was made to start from."""

    @property
    def names(self) -> tuple[str, ...]:
        """The layers this plan prunes, in the model's order."""
        return tuple(self.schedules)

    def due(self, step: int) -> bool:
        """Return whether any layer's schedule recomputes its mask at `step`."""
        return any(schedule.due(step) for schedule in set_of(self.schedules))

    def select(
        self,
        opened: OpenModel,
        step: int,
        *,
        alive: Mapping[str, np.ndarray] | None = None,
        data: Iterable[Any] | None = None,
        loss: Loss | None = None,
    ) -> Selection:
        """Score, select and lay out the masks of `step`; the model is only read."""
        scorer = Scorer(opened, self.named, self.names, data, loss, self.prepared)
        wanted = {name: float(schedule.sparsity(step)) for name, schedule in self.schedules.items()}
        sparsity = self._shares(scorer, opened, wanted)
        with blaming(self.named):
            return choose_masks(
                scorer.rankings(alive),
                sparsity,
                scope=self.rule.scope,
                pattern=self.pattern,
                rounding=self.rule.rounding,
                normaliser=self.rule.normaliser,
                min_keep=self.rule.min_keep,
                budget=self.rule.budget,
            )

    def _shares(
        self, scorer: Scorer, opened: OpenModel, wanted: Mapping[str, float]
    ) -> float | Mapping[str, float]:
        """Return one sparsity for all layers where they agree, else one for each."""
        allocated = {value: scorer.allocate(value) for value in set(wanted.values())}
        own = {
            name: shares[name] for name, value in wanted.items() if (shares := allocated[value]) is not None
        }
        if not own:
            return next(iter(wanted.values())) if len(allocated) == 1 else wanted
        if self.rule.scope == "layer":
            return own
        sizes = {name: opened.layers[name].size for name in own}
        count = sum(int(own[name] * size + 1e-9) for name, size in sizes.items())
        return count / max(1, sum(sizes.values()))

    def describe(self, name: str) -> str:
        """Return the plan for one layer in words that change when, and only when, the plan does."""
        parts = [self.named.pruner, self.pattern, self.schedules[name]]
        options = [
            self.rule.scope,
            self.rule.rounding,
            self.rule.normaliser,
            self.rule.min_keep,
            self.rule.budget,
        ]
        return f"{', '.join(_words(part) for part in parts)}, {', '.join(str(each) for each in options)}"

    def note(self, name: str, step: int) -> str:
        """Return what a report says of one layer: pruner, pattern, the sparsity asked for now."""
        pattern = "" if self.pattern is None else f", {type(self.pattern).__name__.lower()}"
        return f"{self.named.name}{pattern}, asked {self.schedules[name].sparsity(step):.4g}"


def resume(
    plan: Plan, opened: OpenModel, prepared: Mapping[str, float], initial: Mapping[str, float] | None
) -> Plan:
    """Return `plan` as it was when its session began."""
    schedules = _schedules(plan.rule, plan.named, list(plan.names), opened, initial)
    return attrs.evolve(plan, schedules=schedules, prepared=prepared, initial=initial)


def set_of(schedules: Mapping[str, Scheduler]) -> list[Scheduler]:
    """Return the distinct schedules of a mapping, in order."""
    return list({id(schedule): schedule for schedule in schedules.values()}.values())


def _words(part: object) -> str:
    return repr(part) if part is None or attrs.has(type(part)) else type(part).__qualname__


def make_plans(
    rules: Any,
    opened: OpenModel,
    *,
    initial: Mapping[str, float] | None = None,
    data: Iterable[Any] | None = None,
    loss: Loss | None = None,
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
        pattern = registry.pattern(rule.pattern) if isinstance(rule.pattern, str) else rule.pattern
        plan = Plan(rule, named, pattern, _schedules(rule, named, names, opened, initial), initial=initial)
        prepared = Scorer(opened, named, names, data, loss).prepare()
        plans.append(attrs.evolve(plan, prepared=prepared))
    return plans


def _schedules(
    rule: Rule,
    named: NamedPruner,
    names: list[str],
    opened: OpenModel,
    initial: Mapping[str, float] | None,
) -> dict[str, Scheduler]:
    base = registry.schedule(rule.schedule) if isinstance(rule.schedule, str) else rule.schedule
    made: dict[tuple[float | None, float | None], Scheduler] = {}
    schedules = {}
    for name in names:
        # A pruner that decides the amounts reads its schedule in units of its own: no start to restore.
        start = None if isinstance(named.pruner, Allocates) else (initial or {}).get(name)
        ends = (start, _final(rule, opened, name))
        if ends not in made:
            _in_range(rule, named, name, ends[1])
            made[ends] = _between(rule, base, *ends)
        schedules[name] = made[ends]
    return schedules


def _final(rule: Rule, opened: OpenModel, name: str) -> float | None:
    if not isinstance(rule.sparsity, Mapping):
        return rule.sparsity
    known = (name, *opened.layers[name].aliases)
    return next(rule.sparsity[each] for each in known if each in rule.sparsity)


def _in_range(rule: Rule, named: NamedPruner, name: str, sparsity: float | None) -> None:
    if sparsity is not None and sparsity >= 1 and not isinstance(named.pruner, Allocates):
        raise OptionError(
            f"sparsity of {name!r} must be a fraction in [0, 1): 1 would leave nothing, got {sparsity}"
        )


def _between(rule: Rule, base: Scheduler | None, initial: float | None, final: float | None) -> Scheduler:
    if base is None:
        if final is None:
            raise RuleError(
                f"rule {rule.match!r} has no sparsity; give sparsity=, or a schedule that has an end"
            )
        return Once(final)
    if initial is not None or final is not None:
        if not isinstance(base, Bounded):
            what = "sparsity=" if final is not None else "restore=True"
            raise RuleError(
                f"rule {rule.match!r}: schedule {type(base).__name__} sets its own ends; leave {what} out"
            )
        try:
            base = base.between(initial, final)
        except (TypeError, ValueError) as error:
            text = error.args[0] if error.args else error
            raise OptionError(f"rule {rule.match!r}: {text}") from error
    base.sparsity(0)  # a schedule without an end says so here, before anything is changed
    return base


def select_due(
    opened: OpenModel,
    plans: Iterable[Plan],
    time: int,
    masks: Mapping[str, np.ndarray],
    *,
    data: Iterable[Any] | None = None,
    loss: Loss | None = None,
) -> Selection | None:
    """Return the masks of every plan that is due at `time`, or None; the model is only read."""
    found: dict[str, np.ndarray] = {}
    skipped: dict[str, str] = {}
    due = [plan for plan in plans if plan.due(time)]
    for plan in due:
        alive = {name: masks[name] for name in plan.names if not masks[name].all()}
        selection = plan.select(opened, time, alive=alive, data=data, loss=loss)
        found.update(selection.masks)
        skipped.update(selection.skipped)
    return Selection(found, skipped) if due else None


def describe(plans: Iterable[Plan]) -> dict[str, str]:
    """Return what each layer's plan is, in words that a saved session is checked against."""
    return {name: plan.describe(name) for plan in plans for name in plan.names}


def warn_skipped(skipped: Mapping[str, str]) -> None:
    """Warn of each layer that a pattern left dense."""
    for name, reason in skipped.items():
        warnings.warn(SkippedLayer(f"layer {name!r} stays dense: {reason}"), stacklevel=4)
