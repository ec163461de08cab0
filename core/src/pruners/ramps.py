"""Parts of schedules that rise from one sparsity to another: their two ends and their steps.

Write the schedule as an attrs class of its own and take from here what every ramp needs:
converters and validators for its fields, the values of its ends, and the body of `between`.
Nothing is inherited, and no array library is imported.

>>> from attrs import field, frozen
>>> from attrs.converters import optional
>>> from pruners import ramps
>>> @frozen(kw_only=True)
... class Root:
...     initial_sparsity: float = field(default=0.0, converter=float, validator=ramps.fraction)
...     final_sparsity: float | None = field(
...         default=None, converter=optional(float), validator=ramps.final_fraction
...     )
...     stop: int = field(converter=ramps.integer, validator=ramps.whole(1))
...     def sparsity(self, step):
...         first, final = ramps.ends("root", self)
...         return first + (final - first) * min(1, step / self.stop) ** 0.5
...     def due(self, step):
...         return step <= self.stop
...     def between(self, initial, final):
...         return ramps.between(self, initial, final)
>>> Root(stop=4).between(0.0, 0.8).sparsity(1)
0.4
"""

from __future__ import annotations

from typing import Any, Protocol, TypeVar, cast

from attrs import Attribute, evolve, validators

from .errors import OptionError
from .options import integer, whole

__all__ = ["Ramp", "after_start", "between", "ends", "final_fraction", "fraction", "integer", "whole"]

_fraction = validators.and_(validators.ge(0.0), validators.lt(1.0))
_whole = whole()


class Ramp(Protocol):
    """A schedule whose ends are the options `initial_sparsity` and `final_sparsity`."""

    @property
    def initial_sparsity(self) -> float:
        """The fraction of weights that are zero at first, in [0, 1)."""
        ...

    @property
    def final_sparsity(self) -> float | None:
        """The fraction that is zero in the end, in [0, 1); None until a rule gives it."""
        ...


_R = TypeVar("_R", bound=Ramp)


def fraction(instance: object, attribute: Attribute[Any], value: float) -> None:
    """Refuse a value outside [0, 1): a validator for `initial_sparsity`."""
    _fraction(instance, attribute, value)


def final_fraction(instance: Ramp, attribute: Attribute[Any], value: float | None) -> None:
    """Refuse a value outside [0, 1) or below `initial_sparsity`: a validator for `final_sparsity`.

    None passes: the rule's ``sparsity`` is still to come. The class lists `initial_sparsity`
    first, so that it is checked first.
    """
    if value is None:
        return
    _fraction(instance, attribute, value)
    if value < instance.initial_sparsity:
        raise OptionError(
            f"{attribute.name!r} must be at least 'initial_sparsity', {instance.initial_sparsity}: {value}"
        )


def after_start(instance: Any, attribute: Attribute[Any], value: int) -> None:
    """Refuse what is no whole number above `start`: a validator for `stop`.

    The class lists `start` first, so that it is checked first.
    """
    _whole(instance, attribute, value)
    if value <= instance.start:
        raise OptionError(f"{attribute.name!r} must be above 'start', {instance.start}: {value}")


def ends(name: str, ramp: Ramp) -> tuple[float, float]:
    """
    Return the sparsity at first and in the end, once both are known.

    Parameters
    ----------
    name : str
        The name of the schedule, for the message.
    ramp : Ramp
        The schedule.

    Returns
    -------
    tuple of float
        `initial_sparsity` and `final_sparsity`, fractions of weights that are zero, in [0, 1).

    Raises
    ------
    pruners.OptionError
        If `final_sparsity` was left out and no rule gave it.
    """
    if ramp.final_sparsity is None:
        raise OptionError(f"schedule {name!r} has no end: give final_sparsity=, or sparsity= in its rule")
    return ramp.initial_sparsity, ramp.final_sparsity


def between(ramp: _R, initial: float | None, final: float | None) -> _R:
    """
    Return a ramp with other ends: what `pruners.Bounded` asks of a schedule.

    Parameters
    ----------
    ramp : Ramp
        The schedule, an instance of an attrs class; it stays as it is.
    initial : float or None
        Sparsity at first, in [0, 1); None leaves that of `ramp`.
    final : float or None
        Sparsity in the end, in [0, 1); None leaves that of `ramp`.

    Returns
    -------
    Ramp
        A schedule of the same class. With `initial` given, an end below it is raised to it, so
        that a layer which starts above the end never goes back.

    Raises
    ------
    ValueError
        If an end is outside [0, 1), or `initial` is left out and `final` is below that of `ramp`.
    """
    final = ramp.final_sparsity if final is None else final
    if initial is None:
        return _evolve(ramp, final_sparsity=final)
    return _evolve(
        ramp, initial_sparsity=initial, final_sparsity=None if final is None else max(initial, final)
    )


def _evolve(ramp: _R, **changed: float | None) -> _R:
    return cast(_R, evolve(cast(Any, ramp), **changed))
