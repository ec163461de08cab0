"""What a plugin says about itself: frozen values that are read without importing the algorithm."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from attrs import field, frozen, validators

Factory = Callable[..., Any] | str
"""Called with the options; or ``"package.module:attribute"``, imported only when first used."""

NEEDS = frozenset({"activated", "activations", "consumers", "gradients", "scales"})
"""What a pruner can need to look at besides weights: methods of `pruners.View`."""

_name = validators.and_(validators.instance_of(str), validators.matches_re(r"[a-z][a-z0-9-]*"))
_factory = validators.or_(
    validators.is_callable(),
    validators.and_(validators.instance_of(str), validators.matches_re(r"[\w.]+:[\w.]+")),
)
_text = validators.instance_of(str)


def _names(value: str | Iterable[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _needs(value: str | Iterable[str]) -> frozenset[str]:
    return frozenset(_names(value))


def _known_needs(_: Any, __: Any, value: frozenset[str]) -> None:
    unknown = sorted(value - NEEDS)
    if unknown:
        raise ValueError(f"'needs' has {unknown[0]!r}; a pruner can need {', '.join(sorted(NEEDS))}")


@frozen(kw_only=True)
class PrunerSpec:
    """One pruner: its name, how to make it, what it needs to look at."""

    kind: ClassVar[str] = "pruner"

    name: str = field(validator=_name)
    factory: Factory = field(validator=_factory)
    summary: str = field(default="", validator=_text)
    paper: str = field(default="", validator=_text)
    needs: frozenset[str] = field(default=frozenset(), converter=_needs, validator=_known_needs)


@frozen(kw_only=True)
class SchedulerSpec:
    """One schedule: its name and how to make it."""

    kind: ClassVar[str] = "schedule"

    name: str = field(validator=_name)
    factory: Factory = field(validator=_factory)
    summary: str = field(default="", validator=_text)
    paper: str = field(default="", validator=_text)


@frozen(kw_only=True)
class PatternSpec:
    """One pattern: its name and how to make it."""

    kind: ClassVar[str] = "pattern"

    name: str = field(validator=_name)
    factory: Factory = field(validator=_factory)
    summary: str = field(default="", validator=_text)
    paper: str = field(default="", validator=_text)


@frozen(kw_only=True)
class BackendSpec:
    """One framework: its name, how to make its adapter, and the modules that must be importable."""

    kind: ClassVar[str] = "backend"

    name: str = field(validator=_name)
    factory: Factory = field(validator=_factory)
    modules: tuple[str, ...] = field(default=(), converter=_names)
    summary: str = field(default="", validator=_text)


Spec = PrunerSpec | SchedulerSpec | PatternSpec | BackendSpec


def resolve(factory: Factory) -> Callable[..., Any]:
    """Return the callable behind a factory, importing it where it is written as text."""
    if not isinstance(factory, str):
        return factory
    module, _, attribute = factory.partition(":")
    found: Any = importlib.import_module(module)
    for part in attribute.split("."):
        found = getattr(found, part)
    return found  # type: ignore[no-any-return]
