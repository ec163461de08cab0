"""Which checks run for which kind of plugin."""

from __future__ import annotations

from .checks import backend, keeper, pattern, pruner, runtime, scheduler, shared
from .outcome import Check
from .subject import Kind

NAMED: tuple[Check, ...] = (shared.check_listing_imports_no_framework, shared.check_the_spec_is_complete)
"""Checks of what is installed under a name; there is nothing to check for a bare factory."""

CHECKS: dict[Kind, tuple[Check, ...]] = {
    "pruner": (*NAMED, shared.check_the_docstring_is_complete, *pruner.CHECKS),
    "schedule": (*NAMED, shared.check_the_docstring_is_complete, *scheduler.CHECKS),
    "pattern": (*NAMED, shared.check_the_docstring_is_complete, *pattern.CHECKS),
    "backend": (*NAMED, *backend.CHECKS, *keeper.CHECKS),
    "runtime": (*NAMED, *runtime.CHECKS),
}


def checks_for(kind: Kind, named: bool) -> tuple[Check, ...]:
    """Return the checks of one kind, in the order in which they run."""
    return tuple(check for check in CHECKS[kind] if named or check not in NAMED)
