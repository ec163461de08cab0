"""For each promise of a schedule, one that breaks it and no other."""

from __future__ import annotations

from typing import Any

from attrs import evolve, frozen

from .good import Ramp


class Undocumented(Ramp):
    """Rise in a straight line."""


@frozen(kw_only=True)
class Parabola(Ramp):
    __doc__ = Ramp.__doc__

    def sparsity(self, step: int) -> float:
        done = min(step / self.stop, 1.0)
        return self.initial_sparsity + (self.final_sparsity - self.initial_sparsity) * done * done


@frozen(kw_only=True)
class WholeZero(Ramp):
    __doc__ = Ramp.__doc__

    def sparsity(self, step: int) -> Any:
        return super().sparsity(step) or 0


@frozen(kw_only=True)
class Dip(Ramp):
    __doc__ = Ramp.__doc__

    def sparsity(self, step: int) -> float:
        return super().sparsity(step) - (0.1 if step == 7 else 0.0)


@frozen(kw_only=True)
class ShortSighted(Ramp):
    __doc__ = Ramp.__doc__

    def sparsity(self, step: int) -> float:
        if step > 2**54:
            raise OverflowError(f"step {step} is too far away")
        return super().sparsity(step)


@frozen(kw_only=True)
class OneOrZero(Ramp):
    __doc__ = Ramp.__doc__

    def due(self, step: int) -> Any:
        return 1 if super().due(step) else 0


@frozen(kw_only=True)
class NeverDue(Ramp):
    __doc__ = Ramp.__doc__

    def due(self, step: int) -> bool:
        return False


@frozen(kw_only=True)
class StopsShort(Ramp):
    __doc__ = Ramp.__doc__

    def due(self, step: int) -> bool:
        return step <= self.stop and step % 3 == 0


@frozen(kw_only=True)
class EndsWhereItWants(Ramp):
    __doc__ = Ramp.__doc__

    def between(self, initial: float | None, final: float | None) -> Ramp:
        return evolve(self, initial_sparsity=self.initial_sparsity if initial is None else initial)


@frozen(kw_only=True)
class HoldsAList(Ramp):
    __doc__ = Ramp.__doc__

    milestones: Any = [1, 2]  # noqa: RUF008


BAD = {
    "check_the_docstring_is_complete": Undocumented,
    "check_worked_values": Parabola,
    "check_sparsity_is_a_fraction": WholeZero,
    "check_sparsity_never_decreases": Dip,
    "check_every_step_works": ShortSighted,
    "check_due_is_a_bool": OneOrZero,
    "check_some_step_is_due": NeverDue,
    "check_the_end_is_reached": StopsShort,
    "check_ends_can_be_set": EndsWhereItWants,
    "check_options_are_all_there_is": HoldsAList,
}
