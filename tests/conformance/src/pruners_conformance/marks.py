"""The decorators that turn a three-line test into one test per promise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pytest
from attrs import frozen

from .catalogue import checks_for
from .example import Example, RuntimeExample
from .outcome import Check, agree, attempt
from .recording import note
from .subject import BackendCase, Case, Make, PatternCase, PrunerCase, RuntimeCase, SchedulerCase, Subject

Failures = Mapping[str, str] | None


@frozen
class Bound:
    """One check with its case; calling it reports to pytest."""

    check: Check
    case: Case
    expected: str | None

    def __call__(self) -> None:
        """Run the check."""
        record = attempt(self.check, self.case, self.expected)
        note(self.case.subject, record)
        if record.status == "failed" and record.error is not None:
            raise record.error
        if record.status == "expected failure":
            pytest.xfail(record.reason)
        if record.status == "skipped":
            pytest.skip(record.reason)
        if record.status == "unexpected pass":
            pytest.fail(f"{record.check} {record.reason}", pytrace=False)


def _parametrise(case: Case, expected: Failures) -> pytest.MarkDecorator:
    checks = checks_for(case.subject.kind, named=case.subject.name is not None)
    agree(checks, expected or {})
    bound = [Bound(check, case, (expected or {}).get(check.__name__)) for check in checks]
    return pytest.mark.parametrize("check", bound, ids=[each.check.__name__ for each in bound])


def pruner_checks(
    plugin: str | Make,
    *,
    examples: Iterable[Example],
    expected_failures: Failures = None,
    **options: Any,
) -> pytest.MarkDecorator:
    """
    Run the decorated test once per promise that a pruner makes.

    Parameters
    ----------
    plugin : str or callable
        Name of an installed pruner, or what makes one.
    examples : iterable of Example
        Worked examples, from the paper where it has one; at least one.
    expected_failures : {check name: reason}, optional
        Checks that are known to fail. One that passes is an error.
    **options
        The pruner's options.

    Returns
    -------
    MarkDecorator
        For a test function with one argument, ``check``, which it calls.

    Raises
    ------
    ValueError
        If an expected failure names no check or gives no reason.

    Examples
    --------
    >>> example = Example({"w": [[3.0, -1.0], [0.5, -2.0]]}, 0.5, {"w": [[1, 0], [0, 1]]})
    >>> @pruner_checks("level", examples=[example])
    ... def test_level(check):
    ...     check()
    """
    case = PrunerCase(subject=Subject("pruner", plugin, options), examples=tuple(examples))
    return _parametrise(case, expected_failures)


def scheduler_checks(
    plugin: str | Make,
    *,
    examples: Mapping[int, float],
    expected_failures: Failures = None,
    **options: Any,
) -> pytest.MarkDecorator:
    """
    Run the decorated test once per promise that a schedule makes.

    Parameters
    ----------
    plugin : str or callable
        Name of an installed schedule, or what makes one.
    examples : {step: sparsity}
        Worked values, compared to within 5e-5 (four decimals); at least one.
    expected_failures : {check name: reason}, optional
        Checks that are known to fail. One that passes is an error.
    **options
        The schedule's options; the final sparsity among them.

    Returns
    -------
    MarkDecorator
        For a test function with one argument, ``check``, which it calls.

    Raises
    ------
    ValueError
        If an expected failure names no check or gives no reason.

    Examples
    --------
    >>> @scheduler_checks("linear", examples={5: 0.4}, final_sparsity=0.8, start=0, stop=10, every=1)
    ... def test_linear(check):
    ...     check()
    """
    case = SchedulerCase(subject=Subject("schedule", plugin, options), examples=examples)
    return _parametrise(case, expected_failures)


def pattern_checks(
    plugin: str | Make,
    *,
    examples: Iterable[Example],
    expected_failures: Failures = None,
    **options: Any,
) -> pytest.MarkDecorator:
    """
    Run the decorated test once per promise that a pattern makes.

    Parameters
    ----------
    plugin : str or callable
        Name of an installed pattern, or what makes one.
    examples : iterable of Example
        Worked examples, their weights ranked by magnitude; at least one.
    expected_failures : {check name: reason}, optional
        Checks that are known to fail. One that passes is an error.
    **options
        The pattern's options.

    Returns
    -------
    MarkDecorator
        For a test function with one argument, ``check``, which it calls.

    Raises
    ------
    ValueError
        If an expected failure names no check or gives no reason.

    Examples
    --------
    >>> @pattern_checks("nm", examples=[Example({"w": [[1, -3, 2, 0.5]]}, 0.5, {"w": [[0, 1, 1, 0]]})])
    ... def test_nm(check):
    ...     check()
    """
    case = PatternCase(subject=Subject("pattern", plugin, options), examples=tuple(examples))
    return _parametrise(case, expected_failures)


def backend_checks(
    plugin: str | Make,
    *,
    make_model: Callable[[Mapping[str, Any]], Any] | None = None,
    parameters: Callable[[Any], Mapping[str, Any]] | None = None,
    models: Sequence[Callable[[], Any]] = (),
    expected_failures: Failures = None,
) -> pytest.MarkDecorator:
    """
    Run the decorated test once per promise that a backend makes.

    Parameters
    ----------
    plugin : str or callable
        Name of an installed backend, or what makes one.
    make_model : callable, optional
        ``{parameter name: (out, in, *kernel) NumPy array} -> model``; by default
        `model_from_arrays` of the backend package's `testing` module.
    parameters : callable, optional
        ``model -> {parameter name: the framework's own parameter}``; by default `parameters` of
        the backend package's `testing` module, or `dict`.
    models : sequence of callables, optional
        Each makes a model as users have them, with every kind of layer worth a test.
    expected_failures : {check name: reason}, optional
        Checks that are known to fail. One that passes is an error.

    Returns
    -------
    MarkDecorator
        For a test function with one argument, ``check``, which it calls.

    Raises
    ------
    ValueError
        If an expected failure names no check or gives no reason.

    Examples
    --------
    >>> @backend_checks("numpy")
    ... def test_numpy(check):
    ...     check()
    """
    case = BackendCase(
        subject=Subject("backend", plugin), make_model=make_model, parameters=parameters, models=tuple(models)
    )
    return _parametrise(case, expected_failures)


def runtime_checks(
    plugin: str | Make,
    *,
    examples: Iterable[RuntimeExample] = (),
    tolerance: float | None = None,
    expected_failures: Failures = None,
    **options: Any,
) -> pytest.MarkDecorator:
    """
    Run the decorated test once per promise that a runtime makes.

    Parameters
    ----------
    plugin : str or callable
        Name of an installed runtime, or what makes one.
    examples : iterable of RuntimeExample, optional
        Models with what they give; by default small networks of the installed backends that have the
        runtime's format.
    tolerance : float, optional
        Largest difference of outputs, over the largest output; by default 1e-3, and 5e-2 of a runtime
        that converts.
    expected_failures : {check name: reason}, optional
        Checks that are known to fail. One that passes is an error.
    **options
        The runtime's options.

    Returns
    -------
    MarkDecorator
        For a test function with one argument, ``check``, which it calls.

    Raises
    ------
    ValueError
        If an expected failure names no check or gives no reason.

    Examples
    --------
    >>> @runtime_checks("torch-export")
    ... def test_torch_export(check):
    ...     check()
    """
    case = RuntimeCase(
        subject=Subject("runtime", plugin, options), examples=tuple(examples), tolerance=tolerance
    )
    return _parametrise(case, expected_failures)
