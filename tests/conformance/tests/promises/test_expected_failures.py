"""Expected failures are strict, reasoned and shown; other outcomes reach pytest as they are."""

from __future__ import annotations

from typing import Any

import pytest
from pruners_conformance import Record, pruner_checks, run, scheduler_checks
from pruners_conformance.marks import Bound

from . import bad_pruners, bad_schedules, good

pytest_plugins = ["pytester"]
DIP = "check_sparsity_never_decreases"


def record(check: str, factory: Any, **options: Any) -> Record:
    (found,) = [each for each in run(factory, kind="schedule", **options) if each.check == check]
    return found


def test_an_expected_failure_is_no_error_and_carries_its_reason() -> None:
    failures = {DIP: "it dips at step 7"}
    found = record(DIP, bad_schedules.Dip, examples=good.SCHEDULE, expected_failures=failures)
    assert (found.status, found.reason, found.ok) == ("expected failure", "it dips at step 7", True)


def test_an_expected_failure_that_passes_is_an_error() -> None:
    failures = {DIP: "it dips at step 7"}
    found = record(DIP, good.Ramp, examples=good.SCHEDULE, expected_failures=failures)
    assert (found.status, found.ok) == ("unexpected pass", False)
    assert "remove the entry" in found.reason


def test_an_expected_failure_that_does_not_apply_is_an_error() -> None:
    class Fixed:
        def sparsity(self, step: int) -> float:
            return 0.5

        def due(self, step: int) -> bool:
            return step == 0

    check = "check_ends_can_be_set"
    assert record(check, Fixed).status == "skipped"
    found = record(check, Fixed, expected_failures={check: "its end is fixed"})
    assert (found.status, found.ok) == ("unexpected pass", False)
    assert "no method between" in found.reason


def test_an_unknown_check_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="Did you mean 'check_sparsity_never_decreases'"):
        scheduler_checks(good.Ramp, examples={}, expected_failures={"check_sparsity_never_decrease": "typo"})


def test_checks_of_the_installed_name_are_unknown_for_a_factory() -> None:
    with pytest.raises(ValueError, match="no check that runs here"):
        scheduler_checks(good.Ramp, examples={}, expected_failures={"check_the_spec_is_complete": "no spec"})


@pytest.mark.parametrize("reason", ["", "  ", None])
def test_an_empty_reason_is_an_error(reason: Any) -> None:
    with pytest.raises(ValueError, match="needs a reason"):
        pruner_checks(
            good.Smallest, examples=good.PRUNER, expected_failures={"check_worked_examples": reason}
        )


def test_without_examples_the_plugin_is_rejected() -> None:
    records = run(good.Smallest, kind="pruner")
    assert [each.check for each in records if not each.ok] == ["check_worked_examples"]


def test_an_example_names_the_same_layers_twice() -> None:
    with pytest.raises(ValueError, match="one mask per layer"):
        good.Example({"w": [[1.0]]}, 0.5, {"v": [[1]]})


def test_a_rejection_reaches_pytest_as_the_assertion_it_was() -> None:
    bound: list[Bound] = pruner_checks(bad_pruners.Largest, examples=good.PRUNER).args[1]
    (worked,) = [each for each in bound if each.check.__name__ == "check_worked_examples"]
    with pytest.raises(AssertionError, match="example 0, layer 'w'"):
        worked()


SUITE = """
from attrs import frozen
from pruners_conformance import Example, pruner_checks

EXAMPLE = Example({"w": [[3.0, -1.0], [0.5, -2.0]]}, 0.5, {"w": [[1, 0], [0, 1]]})


@frozen
class Smallest:
    '''
    Score every weight by its absolute value to a power.

    Parameters
    ----------
    power : float
        Above 0.

    Notes
    -----
    References
    ----------
    Examples
    --------
    '''

    power: float = 1.0
    unit = "weight"

    def scores(self, view):
        return {name: view.ops.abs(w) ** self.power for name, w in view.weights.items()}


@pruner_checks(Smallest, examples=[EXAMPLE])
def test_plain(check):
    check()


@pruner_checks(
    Smallest,
    examples=[EXAMPLE],
    expected_failures={"check_scores_are_finite": "8.0**200 overflows float32"},
    power=200.0,
)
def test_power(check):
    check()


@pruner_checks(Smallest, examples=[EXAMPLE], expected_failures={"check_worked_examples": "it passes"})
def test_wrong(check):
    check()
"""


def test_nine_lines_give_one_test_per_promise_with_reasons(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(SUITE)
    result = pytester.runpytest_subprocess(
        "-v", "-rx", "-W", "ignore", "-k", "finite or worked or repeatable"
    )
    result.stdout.fnmatch_lines(
        [
            "*test_plain?check_worked_examples? PASSED*",
            "*test_plain?check_scores_are_finite? PASSED*",
            "*test_power?check_scores_are_finite? XFAIL*",
            "*test_wrong?check_worked_examples? FAILED*",
            "*8.0?*200 overflows float32*",
        ]
    )
    result.stdout.fnmatch_lines(["*remove the entry*"])
    result.assert_outcomes(passed=7, xfailed=1, failed=1)
