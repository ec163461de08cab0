"""What came of one check."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from attrs import field, frozen

Check = Callable[[Any], None]
Status = Literal["passed", "failed", "expected failure", "unexpected pass", "skipped"]


UNKNOWN_EXAMPLES = "no worked example is known here; they are in the tests of the plugin"


class NotApplicable(Exception):
    """Raised by a check that cannot say anything about this plugin; carries the reason."""


@frozen
class Record:
    """
    The outcome of one check.

    Attributes
    ----------
    check : str
        Name of the check; the name is the promise.
    status : {"passed", "failed", "expected failure", "unexpected pass", "skipped"}
        ``failed`` and ``unexpected pass`` are errors.
    reason : str
        What was found, or why it was expected or skipped; empty when it passed.
    advice : str
        What to do about it; empty unless it failed.
    error : Exception or None
        What the check raised.
    """

    check: str
    status: Status
    reason: str = ""
    advice: str = ""
    error: Exception | None = field(default=None, eq=False, repr=False)

    @property
    def ok(self) -> bool:
        """Whether the plugin keeps this promise as far as was agreed."""
        return self.status not in ("failed", "unexpected pass")


def attempt(check: Check, case: Any, expected: str | None = None) -> Record:
    """Run one check; `expected` is the reason why it is known to fail."""
    name = check.__name__
    try:
        check(case)
    except NotApplicable as why:
        if expected:
            reason = f"does not apply ({why}), yet expected_failures lists it: remove the entry"
            return Record(name, "unexpected pass", reason)
        return Record(name, "skipped", str(why))
    except Exception as error:
        if expected:
            return Record(name, "expected failure", expected, error=error)
        return Record(name, "failed", _told(error), advice(check), error)
    if expected:
        reason = f"passed, yet expected_failures says {expected!r}: remove the entry"
        return Record(name, "unexpected pass", reason)
    return Record(name, "passed")


def advice(check: Check) -> str:
    """Return what the check's docstring says to do on failure."""
    return " ".join(_doc(check).partition("On failure:")[2].split())


def agree(checks: Iterable[Check], expected: Mapping[str, str]) -> None:
    """Raise ValueError where an expected failure names no check or gives no reason."""
    names = [check.__name__ for check in checks]
    for name, reason in expected.items():
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(
                f"expected_failures lists {name!r}, which is no check that runs here.{hint} "
                f"The checks are {', '.join(names)}."
            )
        if not isinstance(reason, str) or not reason.strip():
            raise ValueError(f"expected_failures[{name!r}] needs a reason in words, got {reason!r}")


def _doc(check: Check) -> str:
    return inspect.getdoc(check) or ""


def _told(error: Exception) -> str:
    told = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
    return "\n".join([told, *getattr(error, "__notes__", ())]).strip()
