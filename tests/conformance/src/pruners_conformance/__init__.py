"""Checks that tell whether a pruner, schedule, pattern or backend keeps its promises.

A plugin's whole conformance test is a decorator and a call; see `pruner_checks`. Outside
pytest, `run` does the same and returns a record per check.
"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("pruners_conformance.checks")

from .examining import Examination, examine  # noqa: E402
from .example import Example, RuntimeExample  # noqa: E402
from .marks import (  # noqa: E402
    backend_checks,
    pattern_checks,
    pruner_checks,
    runtime_checks,
    scheduler_checks,
)
from .outcome import NotApplicable, Record  # noqa: E402
from .runner import run  # noqa: E402

__version__ = "0.1.0"

__all__ = [
    "Examination",
    "Example",
    "NotApplicable",
    "Record",
    "RuntimeExample",
    "backend_checks",
    "examine",
    "pattern_checks",
    "pruner_checks",
    "run",
    "runtime_checks",
    "scheduler_checks",
]
