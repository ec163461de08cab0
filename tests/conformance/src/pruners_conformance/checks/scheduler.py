"""Promises of a schedule."""

from __future__ import annotations

import itertools
import math
from typing import Any

import attrs
from hypothesis import strategies as st

import pruners

from ..drawing import for_every
from ..outcome import UNKNOWN_EXAMPLES, Check, NotApplicable
from ..subject import SchedulerCase

HORIZON = 2000
"""Every step up to here is looked at; a schedule under test should end before it."""
FAR = (10_000, 123_457, 10**6, 10**9, 2**53 + 1)
BEYOND = (2**54 + 1, 2**60, 2**62)  # as far as a session looks for the end of a schedule
STEPS = (*range(HORIZON), *FAR)


def check_worked_values(case: SchedulerCase) -> None:
    """
    The sparsities at some steps are those of the paper, to four decimals; at least one is given.

    On failure: follow the formula by hand at the step of the message; check whether steps
    count from 0 and whether the end is included.
    """
    if case.examples is None:
        raise NotApplicable(UNKNOWN_EXAMPLES)
    assert case.examples, f"{case.subject.label} has no worked value; pass examples={{step: sparsity}}"
    schedule = case.subject.make()
    for step, expected in case.examples.items():
        found = schedule.sparsity(step)
        assert math.isclose(found, expected, abs_tol=5e-5), f"step {step}: expected {expected}, got {found}"


def check_sparsity_is_a_fraction(case: SchedulerCase) -> None:
    """
    The sparsity is a float in [0, 1) at every step: it is the fraction that is zero.

    On failure: clip where the formula leaves [0, 1), and return a plain float.
    """
    schedule = case.subject.make()
    for step in STEPS:
        sparsity = schedule.sparsity(step)
        assert isinstance(sparsity, float), f"step {step}: {sparsity!r} is a {type(sparsity).__name__}"
        assert 0 <= sparsity < 1, f"step {step}: {sparsity} is not in [0, 1)"


def check_sparsity_never_decreases(case: SchedulerCase) -> None:
    """
    A later step is never less sparse than an earlier one.

    On failure: look at the steps of the message; before the start the initial sparsity holds,
    after the end the final one.
    """
    schedule = case.subject.make()
    values = [(step, schedule.sparsity(step)) for step in STEPS]
    for (step, earlier), (later_step, later) in itertools.pairwise(values):
        assert later >= earlier - 1e-12, f"{earlier} at step {step}, but {later} at step {later_step}"


def check_every_step_works(case: SchedulerCase) -> None:
    """
    Any step from 0 on has a sparsity and can be asked for in any order.

    On failure: treat the step as a number and not as an event: keep no count of calls, and
    allow for steps before the start and far after the end.
    """

    def holds(steps: list[int]) -> None:
        schedule = case.subject.make()
        asked = {step: (schedule.sparsity(step), schedule.due(step)) for step in steps}
        for step in sorted(steps):
            again = (schedule.sparsity(step), schedule.due(step))
            alone = case.subject.make()
            fresh = (alone.sparsity(step), alone.due(step))
            assert asked[step] == again == fresh, f"step {step} depends on what was asked before it"

    holds([*FAR, *BEYOND])
    steps = st.one_of(st.integers(0, 200), st.integers(0, 2**60), st.sampled_from(FAR))
    for_every(holds, steps=st.lists(steps, min_size=1, max_size=8))


def check_due_is_a_bool(case: SchedulerCase) -> None:
    """
    `due` answers True or False at every step, and the same when asked again.

    On failure: return a comparison, and let it depend on the step alone.
    """
    schedule = case.subject.make()
    for step in STEPS:
        due = schedule.due(step)
        assert isinstance(due, bool), f"step {step}: due is {due!r}, not True or False"
        assert due is schedule.due(step), f"step {step}: due is {due}, then {not due}"


def check_some_step_is_due(case: SchedulerCase) -> None:
    """
    Masks are recomputed at least once in the first 2000 steps.

    On failure: check the steps that `due` compares with; give the test options that fit.
    """
    schedule = case.subject.make()
    assert any(schedule.due(step) for step in range(HORIZON)), f"no step below {HORIZON} is due"


def check_the_end_is_reached(case: SchedulerCase) -> None:
    """
    The last time masks are recomputed, the sparsity is the one of all later steps.

    On failure: make the step at which the final sparsity is reached a due step; a span that
    is no multiple of the interval, or an end taken as excluded, leaves the network short.
    """
    schedule = case.subject.make()
    due = [step for step in range(HORIZON) if schedule.due(step)]
    if not due:
        raise NotApplicable(f"no step below {HORIZON} is due")
    reached, end = schedule.sparsity(due[-1]), schedule.sparsity(FAR[-1])
    assert math.isclose(reached, end, abs_tol=1e-9), f"step {due[-1]} is the last due, {reached} of {end}"


def check_ends_can_be_set(case: SchedulerCase) -> None:
    """
    `between` returns a schedule with the given ends and leaves this one as it is.

    On failure: return a changed copy (`attrs.evolve`); None leaves an end as it is, the final
    sparsity is reached exactly, and no step is below the initial one.
    """
    if not isinstance(case.subject.make(), pruners.Bounded):
        raise NotApplicable("it has no method between(initial, final)")
    schedule = case.subject.make()
    before = [schedule.sparsity(step) for step in STEPS]
    moved = schedule.between(0.25, 0.625)
    assert [schedule.sparsity(step) for step in STEPS] == before, "between changed the schedule itself"
    values = [moved.sparsity(step) for step in STEPS]
    assert math.isclose(values[-1], 0.625, abs_tol=1e-9), f"between(0.25, 0.625) ends at {values[-1]}"
    assert min(values) >= 0.25 - 1e-9, f"between(0.25, 0.625) starts at {min(values)}"
    same = schedule.between(None, None)
    assert [same.sparsity(step) for step in STEPS] == before, "between(None, None) changes sparsities"
    ended = schedule.between(None, 0.625).sparsity(FAR[-1])
    assert math.isclose(ended, 0.625, abs_tol=1e-9), f"between(None, 0.625) ends at {ended}"
    due = [step for step in range(HORIZON) if schedule.due(step)]
    assert [step for step in range(HORIZON) if moved.due(step)] == due, "between changes which steps are due"


def check_options_are_all_there_is(case: SchedulerCase) -> None:
    """
    A schedule is its options: rebuilt from them, as plain values, it is equal and acts the same.

    On failure: make it a frozen attrs class whose fields are the options: numbers, texts,
    flags, None, or tuples of those. Nothing else is saved with a session.
    """
    schedule: Any = case.subject.make()
    kind: Any = type(schedule)
    assert attrs.has(kind), f"{kind.__name__} is not an attrs class"
    options = {}
    for each in attrs.fields(kind):
        value = getattr(schedule, each.name)
        assert _plain(value), f"{kind.__name__}.{each.name} is {value!r}, which is no plain value"
        if each.init:
            options[each.alias] = value
    again: Any = kind(**options)
    assert again == schedule, f"rebuilt from {options} it is {again!r}, not {schedule!r}"
    for step in STEPS:
        assert again.sparsity(step) == schedule.sparsity(step), f"rebuilt, step {step} has another sparsity"
        assert again.due(step) == schedule.due(step), f"rebuilt, step {step} differs in being due"


CHECKS: tuple[Check, ...] = (
    check_worked_values,
    check_sparsity_is_a_fraction,
    check_sparsity_never_decreases,
    check_every_step_works,
    check_due_is_a_bool,
    check_some_step_is_due,
    check_the_end_is_reached,
    check_ends_can_be_set,
    check_options_are_all_there_is,
)


def _plain(value: object) -> bool:
    if isinstance(value, tuple):
        return all(_plain(each) for each in value)
    return value is None or isinstance(value, (bool, int, float, str))
