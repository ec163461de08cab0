"""The schedules of a rule: looked up, bound to the rule's ends, and called so that a failure names them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from . import registry
from .errors import OptionError, PrunerFailed, PrunersError, RuleError
from .options import percent_hint
from .protocols import Allocates, Bounded, OpenModel, Scheduler
from .rules import Rule
from .scoring import NamedPruner


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


def sparsity_at(schedule: Scheduler, step: int) -> float:
    """Return a schedule's sparsity at `step`; what it raises or returns wrongly names it and the step."""
    who = f"schedule {type(schedule).__name__!r} at step {step}"
    try:
        value = float(schedule.sparsity(step))
    except PrunersError:
        raise
    except Exception as error:
        raise PrunerFailed(f"{who} failed: {type(error).__name__}: {error}") from error
    if not value >= 0 or (value >= 1 and not isinstance(schedule, Once)):
        raise OptionError(f"{who} gave sparsity {value}; it must be a fraction in [0, 1)")
    return value


def is_due(schedule: Scheduler, step: int) -> bool:
    """Return whether a schedule recomputes masks at `step`; what it raises names it and the step."""
    try:
        return bool(schedule.due(step))
    except PrunersError:
        raise
    except Exception as error:
        who = f"schedule {type(schedule).__name__!r} at step {step}"
        raise PrunerFailed(f"{who} failed: {type(error).__name__}: {error}") from error


def bound_schedules(
    rule: Rule,
    named: NamedPruner,
    names: list[str],
    opened: OpenModel,
    initial: Mapping[str, float] | None,
) -> dict[str, Scheduler]:
    """
    Return each layer's schedule, from its sparsity today, if restored, to the rule's end.

    Layers that are pruned together (scope "model", a shared budget) start together, from the
    fraction of zeros in all of them.
    """
    base = as_part("schedule", rule.schedule, ("sparsity", "due"))
    starts = _starts(rule, named, names, opened, initial)
    made: dict[tuple[float | None, float | None], Scheduler] = {}
    schedules = {}
    for name in names:
        ends = (starts.get(name), _final(rule, opened, name))
        if ends not in made:
            _in_range(named, name, ends[1])
            made[ends] = _between(rule, base, *ends)
        schedules[name] = made[ends]
    return schedules


def as_part(kind: str, part: Any, methods: tuple[str, ...]) -> Any:
    """Return a schedule or pattern given by name, as an object, or not at all; checked to be one."""
    if part is None:
        return None
    if isinstance(part, str):
        return registry.make(kind, part, {})
    missing = [method for method in methods if not callable(getattr(part, method, None))]
    if isinstance(part, type):
        raise OptionError(f"{kind} {part.__name__} is a class; make one: {part.__name__}(...)")
    if missing:
        raise OptionError(f"{kind} must be a name or have the methods {', '.join(methods)}, got {part!r}")
    return part


def _starts(
    rule: Rule,
    named: NamedPruner,
    names: list[str],
    opened: OpenModel,
    initial: Mapping[str, float] | None,
) -> Mapping[str, float]:
    # A pruner that decides the amounts reads its schedule in units of its own: no start to restore.
    if initial is None or isinstance(named.pruner, Allocates):
        return {}
    if rule.scope != "model" and rule.budget == "uniform":
        return {name: initial[name] for name in names}
    sizes = {name: opened.layers[name].size for name in names}
    together = sum(initial[name] * size for name, size in sizes.items()) / max(1, sum(sizes.values()))
    return dict.fromkeys(names, together)


def _final(rule: Rule, opened: OpenModel, name: str) -> float | None:
    if not isinstance(rule.sparsity, Mapping):
        return rule.sparsity
    known = (name, *opened.layers[name].aliases)
    return next(rule.sparsity[each] for each in known if each in rule.sparsity)


def _in_range(named: NamedPruner, name: str, sparsity: float | None) -> None:
    if sparsity is not None and sparsity >= 1 and not isinstance(named.pruner, Allocates):
        hint = percent_hint(sparsity) or ": 1 would leave nothing"
        raise OptionError(f"sparsity of {name!r} must be a fraction in [0, 1), got {sparsity}{hint}")


def _between(rule: Rule, base: Scheduler | None, initial: float | None, final: float | None) -> Scheduler:
    if base is None:
        if final is None:
            raise RuleError(f"rule {rule.match!r} has no sparsity; give sparsity=, or a schedule with an end")
        return Once(final)
    if initial is not None or final is not None:
        if not isinstance(base, Bounded):
            what = "sparsity=" if final is not None else "restore=True"
            raise RuleError(
                f"rule {rule.match!r}: schedule {type(base).__name__} sets its own ends; leave {what} out"
            )
        try:
            base = base.between(initial, final)
        except Exception as error:
            text = error.args[0] if error.args else error
            raise OptionError(f"rule {rule.match!r}: {text}") from error
    sparsity_at(base, 0)  # a schedule without an end says so here, before anything is changed
    return base
