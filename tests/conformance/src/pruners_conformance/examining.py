"""All checks of an installed plugin with the examples that its own tests hold, or without any."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from attrs import evolve, field, frozen

import pruners
from pruners import registry

from .catalogue import checks_for
from .frameworks import UntestedBackend, untested
from .gathering import Test, gather, source_tests
from .outcome import Record, attempt
from .runner import case_of
from .subject import Kind, PatternCase, PrunerCase, SchedulerCase, Subject

TYPICAL = {"schedule": {"final_sparsity": 0.8, "stop": 100}}
"""Options without which a plugin of a kind cannot be tried, by the names that they usually have."""


@frozen
class Examination:
    """
    The outcomes of all checks of one plugin with one set of options.

    Attributes
    ----------
    options : mapping
        The plugin's options.
    records : tuple of Record
        One per check, in order.
    test : str
        The test function that holds the worked examples; empty where there was none.
    path : Path or None
        The file it is in.
    """

    options: Mapping[str, Any]
    records: tuple[Record, ...]
    test: str = field(default="", kw_only=True)
    path: Path | None = field(default=None, kw_only=True)

    @property
    def ok(self) -> bool:
        """Whether every promise is kept as far as was agreed."""
        return all(record.ok for record in self.records)


def examine(
    plugin: pruners.Plugin,
    *,
    options: Mapping[str, Any] | None = None,
    tests: Path | None = None,
    look: bool = True,
) -> tuple[Examination, ...]:
    """
    Run every check of an installed plugin, with the examples of its tests where they are at hand.

    Parameters
    ----------
    plugin : pruners.Plugin
        As `pruners.installed` lists it.
    options : mapping, optional
        Options to check it with, in place of those in tests.
    tests : Path, optional
        A file or folder with the plugin's tests; by default those beside its source, where it is
        installed in editable mode.
    look : bool, default True
        Whether to look for tests by default.

    Returns
    -------
    tuple of Examination
        One per test function; one without worked examples where there are no tests.

    Raises
    ------
    pruners.PrunersError
        If the tests cannot be loaded, or hold nothing about this plugin; if it cannot be made with
        these options.
    """
    kind = cast(Kind, plugin.kind)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UntestedBackend)
        if not options:
            place = tests or (source_tests(plugin) if look else None)
            found = gather(place, kind, plugin.name) if place else ()
            if found:
                return tuple(_examined(test) for test in found)
            if tests:
                raise pruners.PrunersError(
                    f"no test in {str(tests)!r} is decorated with the checks of {kind} {plugin.name!r}"
                )
        return (_without_tests(Subject(kind, plugin.name, options or {})),)


def uncompared(plugin: pruners.Plugin) -> tuple[str, ...]:
    """Return why some installed backends took no part in the checks of a plugin."""
    return () if plugin.kind == "backend" else untested()


def _examined(test: Test) -> Examination:
    records = tuple(attempt(bound.check, bound.case, bound.expected) for bound in test.bound)
    options = test.bound[0].case.subject.options
    return Examination(options, records, test=test.function, path=test.path)


def _without_tests(subject: Subject) -> Examination:
    subject = evolve(subject, options={**_typical(subject), **subject.options})
    registry.make(subject.kind, str(subject.name), dict(subject.options))
    case = case_of(subject, (), {})
    if isinstance(case, (PrunerCase, SchedulerCase, PatternCase)):
        case = evolve(case, examples=None)
    records = tuple(attempt(check, case) for check in checks_for(subject.kind, named=True))
    return Examination(subject.options, records)


def _typical(subject: Subject) -> dict[str, Any]:
    """Return values for the options that have none and cannot be left out."""
    usual = TYPICAL.get(subject.kind, {})
    parameters = inspect.signature(subject.documented()).parameters
    unset = (None, inspect.Parameter.empty)
    return {name: usual[name] for name, each in parameters.items() if name in usual and each.default in unset}
