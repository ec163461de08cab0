"""What a plugin says about itself: frozen values that are read without importing the algorithm."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import attrs
from attrs import field, frozen, validators

from .errors import IncompatiblePlugin

API = 1
"""The version of what plugins and core expect of each other; see ``docs/compatibility.md``."""
OLDEST = 1
"""The oldest version that core still takes, and the one of a spec that declares none."""

Factory = Callable[..., Any] | str
"""Called with the options; or ``"package.module:attribute"``, imported only when first used."""

NEEDS = frozenset({"activated", "activations", "consumers", "gradients", "inputs", "scales"})
"""What a pruner can need to look at besides weights: methods of `pruners.View`."""

_name = validators.and_(validators.instance_of(str), validators.matches_re(r"[a-z][a-z0-9-]*"))
_factory = validators.or_(
    validators.is_callable(),
    validators.and_(validators.instance_of(str), validators.matches_re(r"[\w.]+:[\w.]+")),
)
_text = validators.instance_of(str)


def _version(_: Any, __: Any, value: Any) -> None:
    if type(value) is not int or value < 1:
        raise ValueError(f"'api' must be a whole number from 1, got {value!r}; this Pruners has API {API}")


class _Spec:
    """What all specs share: one that has fields of a later API is refused for its API, not for them."""

    __slots__ = ()

    def __new__(cls, *_: Any, **fields: Any) -> Any:
        api = fields.get("api", OLDEST)
        known: Any = attrs.fields(cls)  # type: ignore[arg-type]  # every spec is an attrs class
        unknown = set(fields) - {each.name for each in known}
        if unknown and type(api) is int and api > API:
            raise IncompatiblePlugin(too_new(api), newer=True)
        return super().__new__(cls)


def too_new(api: int, newest: int = API) -> str:
    """Return why a spec of a later API cannot be used."""
    return f"it is written for plugin API {api}, and this Pruners has {newest}: pip install --upgrade pruners"


def _names(value: str | Iterable[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _needs(value: str | Iterable[str]) -> frozenset[str]:
    return frozenset(_names(value))


def _known_needs(_: Any, __: Any, value: frozenset[str]) -> None:
    unknown = sorted(value - NEEDS)
    if unknown:
        raise ValueError(f"'needs' has {unknown[0]!r}; a pruner can need {', '.join(sorted(NEEDS))}")


@frozen(kw_only=True)
class PrunerSpec(_Spec):
    """One pruner: its name, how to make it, what it needs to look at."""

    kind: ClassVar[str] = "pruner"

    name: str = field(validator=_name)
    factory: Factory = field(validator=_factory)
    summary: str = field(default="", validator=_text)
    paper: str = field(default="", validator=_text)
    needs: frozenset[str] = field(default=frozenset(), converter=_needs, validator=_known_needs)
    api: int = field(default=OLDEST, validator=_version)
    """The version of the plugin API it is written for; without it, the oldest that core takes."""


@frozen(kw_only=True)
class SchedulerSpec(_Spec):
    """One schedule: its name and how to make it."""

    kind: ClassVar[str] = "schedule"

    name: str = field(validator=_name)
    factory: Factory = field(validator=_factory)
    summary: str = field(default="", validator=_text)
    paper: str = field(default="", validator=_text)
    api: int = field(default=OLDEST, validator=_version)
    """The version of the plugin API it is written for; without it, the oldest that core takes."""


@frozen(kw_only=True)
class PatternSpec(_Spec):
    """One pattern: its name and how to make it."""

    kind: ClassVar[str] = "pattern"

    name: str = field(validator=_name)
    factory: Factory = field(validator=_factory)
    summary: str = field(default="", validator=_text)
    paper: str = field(default="", validator=_text)
    api: int = field(default=OLDEST, validator=_version)
    """The version of the plugin API it is written for; without it, the oldest that core takes."""


@frozen(kw_only=True)
class BackendSpec(_Spec):
    """One framework: its name, how to make its adapter, and the modules that must be importable."""

    kind: ClassVar[str] = "backend"

    name: str = field(validator=_name)
    factory: Factory = field(validator=_factory)
    modules: tuple[str, ...] = field(default=(), converter=_names)
    summary: str = field(default="", validator=_text)
    api: int = field(default=OLDEST, validator=_version)
    """The version of the plugin API it is written for; without it, the oldest that core takes."""


@frozen(kw_only=True)
class RuntimeSpec(_Spec):
    """One runtime: its name, how to make it, the format it reads, the modules that must be importable."""

    kind: ClassVar[str] = "runtime"

    name: str = field(validator=_name)
    factory: Factory = field(validator=_factory)
    format: str = field(validator=_name)
    """What it opens: a file format that backends export, as "onnx", or a backend's name for live models."""
    modules: tuple[str, ...] = field(default=(), converter=_names)
    summary: str = field(default="", validator=_text)
    api: int = field(default=OLDEST, validator=_version)
    """The version of the plugin API it is written for; without it, the oldest that core takes."""


Spec = PrunerSpec | SchedulerSpec | PatternSpec | BackendSpec | RuntimeSpec


@frozen
class Wrapped:
    """The factory of an adapted spec: calls `factory`, wraps what it made, and has the options of it."""

    factory: Factory
    wrap: Callable[[Any], Any]

    def __call__(self, **options: Any) -> Any:
        """Make the plugin and wrap it."""
        return resolve(self)(**options)


def wrapped(spec: Any, wrap: Callable[[Any], Any]) -> Any:
    """Return a spec whose objects pass through `wrap`; the factory is imported as late as before."""
    return attrs.evolve(spec, factory=Wrapped(spec.factory, wrap))


def made_by(factory: Factory) -> Any:
    """Return what a factory is, if it has been imported; else None, as of an adapted factory."""
    if isinstance(factory, Wrapped):
        return None
    if isinstance(factory, str) and factory.partition(":")[0] not in sys.modules:
        return None
    try:
        return resolve(factory)
    except AttributeError:
        return None


def resolve(factory: Factory) -> Callable[..., Any]:
    """Return the callable behind a factory, importing it where it is written as text."""
    if isinstance(factory, Wrapped):
        return _wrapping(resolve(factory.factory), factory.wrap)
    if not isinstance(factory, str):
        return factory
    module, _, attribute = factory.partition(":")
    found: Any = importlib.import_module(module)
    for part in attribute.split("."):
        found = getattr(found, part)
    return found  # type: ignore[no-any-return]


def _wrapping(factory: Callable[..., Any], wrap: Callable[[Any], Any]) -> Callable[..., Any]:
    @functools.wraps(factory, updated=())
    def make(**options: Any) -> Any:
        return wrap(factory(**options))

    return make


def home(factory: Factory) -> str:
    """Return the module that a factory is in; nothing is imported."""
    if isinstance(factory, Wrapped):
        return home(factory.factory)
    return factory.partition(":")[0] if isinstance(factory, str) else factory.__module__
