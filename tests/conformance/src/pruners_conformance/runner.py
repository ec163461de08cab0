"""All checks of one plugin outside pytest, as values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pruners

from .catalogue import checks_for
from .outcome import Record, agree, attempt
from .subject import (
    KINDS,
    BackendCase,
    Case,
    Kind,
    Make,
    PatternCase,
    PrunerCase,
    RuntimeCase,
    SchedulerCase,
    Subject,
)


def run(
    plugin: str | Make,
    *,
    kind: Kind | None = None,
    examples: Any = (),
    expected_failures: Mapping[str, str] | None = None,
    options: Mapping[str, Any] | None = None,
    **models: Any,
) -> tuple[Record, ...]:
    """
    Run every check of one plugin and return what came of each.

    Parameters
    ----------
    plugin : str or callable
        Name of an installed plugin, or what makes one.
    kind : {"pruner", "schedule", "pattern", "backend", "runtime"}, optional
        Needed for a callable, and for a name that several kinds have.
    examples : iterable of Example or RuntimeExample, or {step: sparsity} for a schedule
        Worked examples.
    expected_failures : {check name: reason}, optional
        Checks that are known to fail. One that passes is an error.
    options : mapping, optional
        The plugin's options.
    **models
        For a backend: `make_model`, `parameters` and `models` of `backend_checks`; for a runtime
        `tolerance` of `runtime_checks`.

    Returns
    -------
    tuple of Record
        One per check, in order; ``record.ok`` says whether it is good news.

    Raises
    ------
    LookupError
        If nothing is installed under the name.
    ValueError
        If the kind is not clear, or an expected failure names no check or gives no reason.

    Examples
    --------
    >>> from pruners_conformance import Example
    >>> example = Example({"w": [[3.0, -1.0], [0.5, -2.0]]}, 0.5, {"w": [[1, 0], [0, 1]]})
    >>> all(record.ok for record in run("level", examples=[example]))
    True
    """
    subject = Subject(kind or _kind_of(plugin), plugin, options or {})
    checks = checks_for(subject.kind, named=subject.name is not None)
    expected = expected_failures or {}
    agree(checks, expected)
    case = case_of(subject, examples, models)
    return tuple(attempt(check, case, expected.get(check.__name__)) for check in checks)


def case_of(subject: Subject, examples: Any, models: Mapping[str, Any]) -> Case:
    """Return a plugin under test with what its checks need."""
    if subject.kind == "backend":
        return BackendCase(subject=subject, **models)
    if subject.kind == "runtime":
        return RuntimeCase(subject=subject, examples=tuple(examples), **models)
    if subject.kind == "schedule":
        return SchedulerCase(subject=subject, examples=dict(examples))
    if subject.kind == "pattern":
        return PatternCase(subject=subject, examples=tuple(examples))
    return PrunerCase(subject=subject, examples=tuple(examples))


def _kind_of(plugin: str | Make) -> Kind:
    if not isinstance(plugin, str):
        raise ValueError(f"say kind= for a plugin given as a factory; the kinds are {', '.join(KINDS)}")
    found = [kind for kind in KINDS if plugin in pruners.installed().names(kind)]
    if not found:
        raise LookupError(f"nothing named {plugin!r} is installed; `pruners list` shows what is")
    if len(found) > 1:
        raise ValueError(f"{plugin!r} is the name of a {' and of a '.join(found)}: say which with kind=")
    return found[0]
