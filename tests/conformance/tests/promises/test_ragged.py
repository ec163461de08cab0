"""Patterns whose groups differ in size at the ends of a layer are held to what they can keep."""

from __future__ import annotations

import pytest
from pruners_conformance.checks.pattern import check_equal_scores_change_no_count
from pruners_conformance.subject import PatternCase, Subject

from . import bad_patterns


@pytest.mark.parametrize("shape", [(2, 2), (3, 5)])
def test_counts_that_depend_on_which_groups_go_are_no_fault(shape: tuple[int, int]) -> None:
    check_equal_scores_change_no_count(PatternCase(subject=Subject("pattern", "block", {"shape": shape})))


def test_a_threshold_is_still_found() -> None:
    with pytest.raises(AssertionError, match="kept of equal"):
        check_equal_scores_change_no_count(PatternCase(subject=Subject("pattern", bad_patterns.AllOrNothing)))
