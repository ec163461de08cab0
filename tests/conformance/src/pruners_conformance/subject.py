"""What is being checked: one plugin with its options, by installed name or by factory."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal

from attrs import field, frozen

import pruners
from pruners.specs import Spec, resolve

from .example import Example, RuntimeExample

Kind = Literal["pruner", "schedule", "pattern", "backend", "runtime"]
KINDS: tuple[Kind, ...] = ("pruner", "schedule", "pattern", "backend", "runtime")
Model = Any
Make = Callable[..., Any]


@frozen
class Subject:
    """One plugin with its options; made anew each time, so that no state is shared."""

    kind: Kind
    plugin: str | Make
    options: Mapping[str, Any] = field(factory=dict)

    @property
    def name(self) -> str | None:
        """The installed name, or None when it was given as a factory."""
        return self.plugin if isinstance(self.plugin, str) else None

    @property
    def label(self) -> str:
        """How messages call it."""
        return f"{self.kind} {self.plugin!r}" if self.name else f"{self.kind} {self.documented().__name__}"

    def spec(self) -> Spec | None:
        """Return the installed spec, or None when it was given as a factory."""
        return pruners.installed().find(self.kind, self.name).spec if self.name else None

    def documented(self) -> Any:
        """Return the class or function that makes it, which carries the documentation."""
        spec = self.spec()
        return resolve(spec.factory) if spec else self.plugin

    def takes_options(self) -> bool:
        """Return whether there is any option to document."""
        return bool(inspect.signature(self.documented()).parameters)

    def make(self) -> Any:
        """Return a new one."""
        if self.name is None:
            return self.documented()(**self.options)
        if self.kind == "backend":
            return self.documented()()
        maker: dict[str, Make] = {
            "pruner": pruners.pruner,
            "schedule": pruners.schedule,
            "pattern": pruners.pattern,
            "runtime": pruners.runtime,
        }
        return maker[self.kind](self.name, **self.options)


@frozen(kw_only=True)
class PrunerCase:
    """A pruner under test; its examples are None where nobody could give any."""

    subject: Subject
    examples: tuple[Example, ...] | None = ()

    @property
    def needs(self) -> frozenset[str]:
        """What its spec says it needs to look at besides weights."""
        spec = self.subject.spec()
        return spec.needs if isinstance(spec, pruners.PrunerSpec) else frozenset()


@frozen(kw_only=True)
class SchedulerCase:
    """A schedule under test, with its worked values ``{step: sparsity}``."""

    subject: Subject
    examples: Mapping[int, float] | None = field(factory=dict)


@frozen(kw_only=True)
class PatternCase:
    """A pattern under test; the weights of its examples are the scores."""

    subject: Subject
    examples: tuple[Example, ...] | None = ()


@frozen(kw_only=True)
class BackendCase:
    """A backend under test, with the ways to make models of its framework."""

    subject: Subject
    make_model: Callable[[Mapping[str, Any]], Model] | None = None
    parameters: Callable[[Model], Mapping[str, Any]] | None = None
    models: tuple[Callable[[], Model], ...] = ()


@frozen(kw_only=True)
class RuntimeCase:
    """A runtime under test, with models of which it is known what they give."""

    subject: Subject
    examples: tuple[RuntimeExample, ...] = ()
    tolerance: float | None = None

    @property
    def format(self) -> str | None:
        """What its spec says that it opens; None where it was given as a factory."""
        spec = self.subject.spec()
        return spec.format if isinstance(spec, pruners.RuntimeSpec) else None


Case = PrunerCase | SchedulerCase | PatternCase | BackendCase | RuntimeCase
